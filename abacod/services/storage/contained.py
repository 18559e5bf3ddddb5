"""Files below a root directory, and never outside it, whatever paths, symbolic links or other processes do meanwhile.

Contained by construction: the kernel is never given a path to walk, only single names in directories that are open already,
and it never follows a symbolic link. Links are followed here, name by name, and `..` leads back to the directory that is
still open, so that there is no way above the root. Every call blocks; the event loop does not make them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from abacod.errors import FileMissing, PathRefused

# What Linux takes as one name and as one path, in bytes.
_LONGEST_NAME: Final = 255
_LONGEST_PATH: Final = 4095
# Directories within each other; each one on the way is open at the same time.
_DEEPEST: Final = 200
# As many links on one path as the kernel follows.
_MOST_LINKS: Final = 40
# These say nothing about the path: the machine is short of something, or the disk is broken. Whoever asks must not take it for
# a file that is not there.
_TROUBLE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def names_of(path: str) -> list[str]:
    """The names on a path, which begins at a root whether or not it has a slash in front.

    Raises:
        PathRefused: it has `..` or NUL in it, is no text that a file can be named with, is too long or too deep.
    """
    try:
        encoded = path.encode()
    except UnicodeEncodeError as error:
        raise PathRefused("A path has a character in it that no file name can have; use valid Unicode.") from error
    shown = path if len(path) <= _LONGEST_NAME else path[:_LONGEST_NAME] + "…"
    if b"\0" in encoded:
        raise PathRefused("A path has a NUL character in it; remove it.")
    names = [name for name in path.split("/") if name not in ("", ".")]
    if ".." in names:
        raise PathRefused(f"The path {shown} has .. in it; write it without.")
    if len(encoded) > _LONGEST_PATH or len(names) > _DEEPEST:
        raise PathRefused(f"The path {shown} is too long: {_LONGEST_PATH} bytes and {_DEEPEST} levels are allowed.")
    if any(len(name.encode()) > _LONGEST_NAME for name in names):
        raise PathRefused(f"A name in the path {shown} is too long: {_LONGEST_NAME} bytes are allowed.")
    return names


def is_plain(name: str) -> bool:
    """Whether the name on disk is text; what is not cannot be shown, nor named in a request."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _raise_trouble(error: OSError) -> None:
    """Raise the error if it says nothing about the path."""
    if error.errno in _TROUBLE:
        raise error


class Directory:
    """An open directory below the root, and those on the way to it. To be used with `with`."""

    def __init__(self, root: Path, shown: str) -> None:
        """Open the root; `shown` is how messages name it.

        Raises:
            PathRefused: there is no such directory, or it may not be read.
        """
        self._shown = shown
        self._root = root
        try:
            # The root itself is the operator's, and may be a link.
            self._open = [os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        except OSError as error:
            _raise_trouble(error)
            raise PathRefused(f"The directory of {shown} cannot be opened: {error.strerror}.") from error
        self._links = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it, and all those on the way."""
        while self._open:
            os.close(self._open.pop())

    @property
    def descriptor(self) -> int:
        """The open directory, for calls that take one name in it."""
        return self._open[-1]

    def up(self) -> None:
        """Go back to the directory before.

        Raises:
            PathRefused: this is the root.
        """
        if len(self._open) == 1:
            raise PathRefused(f"A symbolic link leads out of {self._shown}.")
        os.close(self._open.pop())

    def enter(self, names: list[str], *, make: bool = False) -> None:
        """Go on to the directory that the names lead to; `make` makes those that are missing.

        Raises:
            FileMissing: there is none.
            PathRefused: a link leads out of the root, or something on the way is no directory or may not be read.
        """
        left = list(reversed(names))
        while left:
            name = left.pop()
            if name == "..":
                self.up()
            elif name not in ("", "."):
                left += self._step(name, make=make)

    def enter_only(self, name: str) -> None:
        """Go into the directory of that name in this one.

        Raises:
            FileMissing: there is none; a link to one counts as none.
            PathRefused: it lies too deep, or may not be read.
        """
        if self._step(name, make=False):
            raise FileMissing(f"{name} on {self._shown} is a symbolic link.")

    def read(self, name: str) -> int:
        """Open the regular file that this name in this directory stands for; links are followed to where they lead.

        Returns the descriptor, which the caller closes. Moves to the directory that the file is really in.

        Raises:
            FileMissing: there is none.
            PathRefused: it is no regular file, or a link leads out of the root.
        """
        while True:
            target = self._link(name)
            if target is None:
                return self._regular(name)
            names = self._from(target)
            if not names or names[-1] in ("", ".", ".."):
                raise PathRefused(f"{name} on {self._shown} is no regular file.")
            self.enter(names[:-1])
            name = names[-1]

    def _step(self, name: str, *, make: bool) -> list[str]:
        """Go into the directory of that name; returns what is to be walked instead if it is a link, last name first."""
        if len(self._open) > _DEEPEST:
            raise PathRefused(f"The directories of {self._shown} lie deeper than {_DEEPEST} levels.")
        try:
            self._open.append(os.open(name, _DIRECTORY, dir_fd=self.descriptor))
        except FileNotFoundError as error:
            if not make:
                raise FileMissing(f"There is no {name} on {self._shown}.") from error
            self._make(name)
            return [name]
        except OSError as error:
            _raise_trouble(error)
            target = self._link(name) if error.errno in (errno.ENOTDIR, errno.ELOOP) else None
            if target is None:
                raise PathRefused(f"{name} on {self._shown} cannot be entered: {error.strerror}.") from error
            return list(reversed(self._from(target)))
        return []

    def _make(self, name: str) -> None:
        try:
            os.mkdir(name, dir_fd=self.descriptor)
        except FileExistsError:
            return
        except FileNotFoundError as error:  # this directory has been removed meanwhile
            raise FileMissing(f"There is no {name} on {self._shown} any more.") from error

    def _link(self, name: str) -> str | None:
        """Where the link of this name leads, None if it is none."""
        try:
            target = os.readlink(name, dir_fd=self.descriptor)
        except FileNotFoundError as error:
            raise FileMissing(f"There is no {name} on {self._shown}.") from error
        except OSError as error:
            _raise_trouble(error)
            return None
        self._links += 1
        if self._links > _MOST_LINKS:
            raise PathRefused(f"There are too many symbolic links on the way to {name} on {self._shown}.")
        return target

    def _from(self, target: str) -> list[str]:
        """The names to walk from here to a link's target; for one that is absolute, from the root, which it must name."""
        if not target.startswith("/"):
            return target.split("/")
        root = str(self._root).rstrip("/") + "/"
        if not target.startswith(root):
            raise PathRefused(f"A symbolic link leads out of {self._shown}.")
        while len(self._open) > 1:
            os.close(self._open.pop())
        return target[len(root) :].split("/")

    def _regular(self, name: str) -> int:
        try:
            # What is no file is not even opened: opening alone has an effect on some devices.
            if not stat.S_ISREG(os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mode):
                raise PathRefused(f"{name} on {self._shown} is no regular file.")
            descriptor = os.open(name, _READ, dir_fd=self.descriptor)
        except FileNotFoundError as error:
            raise FileMissing(f"There is no {name} on {self._shown}.") from error
        except OSError as error:
            _raise_trouble(error)
            raise PathRefused(f"{name} on {self._shown} cannot be read: {error.strerror}.") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise PathRefused(f"{name} on {self._shown} is no regular file.")
        return descriptor


class Root:
    """A directory of this machine, and what is below it. Paths are written from it, with or without a slash in front."""

    def __init__(self, path: Path, shown: str) -> None:
        """`shown` is how messages name it, as `the storage system data`."""
        self.path = path
        self.shown = shown

    def at_root(self) -> Directory:
        """The root, open. Raises PathRefused as `Directory`."""
        return Directory(self.path, self.shown)

    @contextmanager
    def directory(self, path: str, *, make: bool = False) -> Iterator[Directory]:
        """The directory at the path, open. Raises FileMissing and PathRefused."""
        names = names_of(path)
        with self.at_root() as directory:
            directory.enter(names, make=make)
            yield directory

    @contextmanager
    def opened(self, path: str) -> Iterator[BinaryIO]:
        """The regular file at the path, for reading. Raises FileMissing and PathRefused."""
        names = names_of(path)
        if not names:
            raise PathRefused(f"The root of {self.shown} is no regular file.")
        with self.at_root() as directory:
            directory.enter(names[:-1])
            descriptor = directory.read(names[-1])
        with os.fdopen(descriptor, "rb") as file:
            yield file

    def files(
        self, path: str, *, links: bool = True, passed_over: Callable[[str], None] = lambda name: None
    ) -> list[str]:
        """All regular files under a directory, as names joined by slashes from there, sorted.

        Links to files inside the root are listed as what they lead to, if `links`; those that lead out, or to directories,
        are left out, as is what is no file, or has a name that is no text. `passed_over` is told each such name; one that
        is no text has surrogates in it.

        Raises:
            FileMissing: there is no such directory.
            PathRefused: the path, or a directory that lies too deep, or may not be read.
        """
        found: list[str] = []
        with self.directory(path) as directory:
            self._collect(directory, path.strip("/"), "", found, passed_over, links=links)
        return sorted(found)

    def _collect(
        self,
        directory: Directory,
        base: str,
        prefix: str,
        found: list[str],
        passed_over: Callable[[str], None],
        *,
        links: bool,
    ) -> None:
        # At most _DEEPEST levels of Python's stack: `enter` refuses more.
        with os.scandir(directory.descriptor) as entries:
            kinds = [
                (
                    entry.name,
                    entry.is_symlink(),
                    entry.is_dir(follow_symlinks=False),
                    entry.is_file(follow_symlinks=False),
                )
                for entry in entries
            ]
        for name, is_link, is_directory, is_file in kinds:
            if not is_plain(name):
                passed_over(prefix + name)
            elif is_file or (is_link and links and self._leads_to_file(f"{base}/{prefix}{name}")):
                found.append(prefix + name)
            elif is_directory:
                # One that has become a link or is gone since it was seen has no files of its own.
                with suppress(FileMissing), self._below(directory, name):
                    self._collect(directory, base, f"{prefix}{name}/", found, passed_over, links=links)
            else:
                passed_over(prefix + name)

    @contextmanager
    def _below(self, directory: Directory, name: str) -> Iterator[None]:
        before = directory.descriptor
        directory.enter_only(name)
        try:
            yield
        finally:
            while directory.descriptor != before:
                directory.up()

    def _leads_to_file(self, path: str) -> bool:
        try:
            with self.opened(path):
                return True
        except (FileMissing, PathRefused):
            return False
