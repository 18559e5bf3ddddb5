"""Storage systems: directories of this machine that `agave://SYSTEM/PATH` names files in. Nothing outside them is reached.

Every method blocks; the event loop calls them in threads. Paths are absolute on their system; `names_of` has the rules.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from abacod.errors import FileMissing, PathRefused
from abacod.services.storage.contained import Root, names_of
from abacod.services.storage.copying import empty

_SCHEME: Final = "agave://"
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """A file or directory on a storage system; `path` is absolute there, with no `.` and no double slashes in it."""

    system: str
    path: str

    @property
    def uri(self) -> str:
        """As users write it."""
        return f"{_SCHEME}{self.system}{self.path}"


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it is on disk: size in bytes, time of its last change in seconds since 1970."""

    size: int
    modified: float


class Systems:
    """All storage systems. Every method raises `PathRefused` for a system that there is not, and for a path that is refused."""

    def __init__(self, roots: Mapping[str, Path]) -> None:
        """`roots` are the directories, by the systems' ids."""
        self._roots = {name: Root(path, f"the storage system {name}") for name, path in roots.items()}

    def split(self, uri: str) -> Place:
        """The place that an `agave://SYSTEM/PATH` names. The path is taken as it stands: `%20` is no space.

        Raises:
            PathRefused: it is no such URI, or names no system of this server.
        """
        if not uri.startswith(_SCHEME):
            shown = uri[:100].encode("ascii", "backslashreplace").decode()
            raise PathRefused(f"{shown} is no URI of a file; write agave://SYSTEM/PATH.")
        system, _, path = uri.removeprefix(_SCHEME).partition("/")
        return self.place(system, path)

    def place(self, system: str, path: str) -> Place:
        """The place at this path of this system, with the path in its normal form."""
        self.root(system)
        return Place(system, "/" + "/".join(names_of(path)))

    def root(self, system: str) -> Root:
        """The root of a system, for what works on whole directories."""
        root = self._roots.get(system)
        if root is None:
            shown = system[:100].encode("ascii", "backslashreplace").decode()
            known = ", ".join(sorted(self._roots))
            raise PathRefused(f"There is no storage system {shown!r}; this server has {known}.")
        return root

    def make_directory(self, system: str, path: str) -> None:
        """Make a directory, and those above it; one that is there is left as it is.

        Raises:
            OSError: the disk refused.
        """
        with self.root(system).directory(path, make=True):
            pass

    def empty_directory(self, system: str, path: str) -> None:
        """Remove all that is in a directory, and make it if there is none.

        A system's root is refused, and so is a symbolic link at the end of the path: what it leads to belongs to others.

        Raises:
            OSError: the disk refused.
        """
        names = names_of(path)
        if not names:
            raise PathRefused(f"The root of the storage system {system} is not emptied; name a directory in it.")
        with self.root(system).directory("/".join(names[:-1]), make=True) as directory:
            with suppress(FileExistsError):
                os.mkdir(names[-1], dir_fd=directory.descriptor)
            try:
                directory.enter_only(names[-1])
            except FileMissing as error:
                raise PathRefused(f"{path} on the storage system {system} is a link, and is not emptied.") from error
            empty(directory)

    def listing(self, system: str, path: str, *, passed_over: Callable[[str], None] = lambda name: None) -> list[str]:
        """All regular files under a directory, as sorted absolute paths on the system.

        A link to a file inside the system is listed, one to a directory or out of the system is not, nor is what is no
        file, or has a name that is no text; `passed_over` is told each such name, from the directory on.

        Raises:
            FileMissing: there is no such directory.
        """
        base = "/".join(["", *names_of(path)])
        return [f"{base}/{name}" for name in self.root(system).files(path, passed_over=passed_over)]

    @contextmanager
    def opened(self, system: str, path: str) -> Iterator[BinaryIO]:
        """A regular file, for reading.

        Raises:
            FileMissing: there is none.
        """
        with self.root(system).opened(path) as file:
            yield file

    def exists(self, system: str, path: str) -> bool:
        """Whether there is such a regular file."""
        try:
            with self.opened(system, path):
                return True
        except FileMissing:
            return False

    def state(self, system: str, path: str) -> FileState:
        """What the disk knows of a file.

        Raises:
            FileMissing: there is none.
        """
        with self.opened(system, path) as file:
            return _state(file)

    def checksum(self, system: str, path: str) -> tuple[FileState, str]:
        """A file's state and its SHA-256 in hexadecimal digits; it is read in pieces.

        Raises:
            FileMissing: there is none.
            OSError: the disk refused.
        """
        digest = hashlib.sha256()
        with self.opened(system, path) as file:
            state = _state(file)
            while piece := file.read(_PIECE):
                digest.update(piece)
        return state, digest.hexdigest()


def _state(file: BinaryIO) -> FileState:
    found = os.fstat(file.fileno())
    return FileState(found.st_size, found.st_mtime)
