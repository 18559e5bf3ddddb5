"""Copying and removing whole directories below roots. Every call blocks, and may be called again after it was broken off."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import BinaryIO, Final

from abacod.errors import PathRefused
from abacod.services.storage.contained import Directory, Root, names_of

# Read at a time, in bytes.
_PIECE: Final = 1 << 20
_EVERYTHING: Final = stat.S_IRWXU


class Broken(Exception):
    """Whoever wanted the copy does not want it any more."""


def copy(
    source: Root,
    path: str,
    target: Root,
    destination: str,
    *,
    wanted: Callable[[], bool] = lambda: True,
    leave_out: Collection[str] = (),
) -> list[str]:
    """Copy a file, or a directory with all regular files in it, to `destination` under another root; returns the copies' paths.

    `leave_out` are files of the directory that are not copied, as names from there.

    A file that is there is replaced, in one step; nothing else of the target goes. Symbolic links are copied as the files
    that they lead to inside the source, and are never followed at the end of a target's path.

    Raises:
        FileMissing: there is nothing at the path.
        PathRefused: one of the paths leads out of its root, or names no file or directory, or a directory stands where a
            file is to go.
        OSError: a disk refused.
        Broken: `wanted` says so; asked between pieces.
    """
    names = names_of(destination)
    if is_file(source, path):
        if not names:
            raise PathRefused(f"A file needs a name on {target.shown}.")
        _copy_file(source, path, target, names, wanted)
        return ["/".join(names)]
    copied = []
    base = "/".join(names_of(path))
    with target.directory(destination, make=True):
        pass
    for name in source.files(path):
        if name in leave_out:
            continue
        to = names + name.split("/")
        _copy_file(source, f"{base}/{name}", target, to, wanted)
        copied.append("/".join(to))
    return copied


def is_file(root: Root, path: str) -> bool:
    """Whether a regular file is at the path; False for a directory.

    Raises:
        FileMissing: there is neither.
        PathRefused: the path.
    """
    try:
        with root.opened(path):
            return True
    except PathRefused:
        with root.directory(path):
            return False


def empty(directory: Directory) -> None:
    """Remove all that is in the directory, however deep; links are removed, not followed.

    Directories are taken apart from above: what is in one moves up, so that depth costs nothing.

    Raises:
        OSError: something cannot be removed.
    """
    top = directory.descriptor
    while names := _names(top):
        for name in names:
            _take_apart(top, name)


def _names(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


def _take_apart(top: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=top)
    except FileNotFoundError:
        return
    except OSError as error:
        # EPERM is what POSIX wants for a directory, EISDIR what Linux says.
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
    else:
        return
    opened = _opened_for_removal(top, name)
    try:
        for child in _names(opened):
            _lift(opened, child, top)
    finally:
        os.close(opened)
    with suppress(FileNotFoundError):
        try:
            os.rmdir(name, dir_fd=top)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:  # somebody wrote into it meanwhile: the next round gets that
                raise


def _lift(opened: int, child: str, top: int) -> None:
    """Remove a file of a directory, or put a directory of it beside it."""
    try:
        os.unlink(child, dir_fd=opened)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
        os.close(_opened_for_removal(opened, child))
        os.rename(child, f"removing-{secrets.token_hex(8)}", src_dir_fd=opened, dst_dir_fd=top)


def _opened_for_removal(parent: int, name: str) -> int:
    """Open a directory that may have been made unreadable, and make it one that can be taken apart."""
    held = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        path = f"/proc/self/fd/{held}"
        if os.fstat(held).st_mode & _EVERYTHING != _EVERYTHING:
            os.chmod(path, _EVERYTHING)  # noqa: PTH101 - through a descriptor
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(held)


def _copy_file(source: Root, path: str, target: Root, names: list[str], wanted: Callable[[], bool]) -> None:
    with source.opened(path) as file, target.directory("/".join(names[:-1]), make=True) as directory:
        part = f".part-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(part, flags, 0o600, dir_fd=directory.descriptor)
        try:
            with os.fdopen(descriptor, "wb") as copied:
                _pour(file, copied, wanted)
                os.fchmod(copied.fileno(), stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o777 | stat.S_IRUSR)
            os.rename(part, names[-1], src_dir_fd=directory.descriptor, dst_dir_fd=directory.descriptor)
        except IsADirectoryError as error:
            raise PathRefused(f"{names[-1]} on {target.shown} is a directory; a file cannot take its place.") from error
        finally:
            with suppress(FileNotFoundError):
                os.unlink(part, dir_fd=directory.descriptor)


def _pour(file: BinaryIO, copied: BinaryIO, wanted: Callable[[], bool]) -> None:
    while piece := file.read(_PIECE):
        if not wanted():
            raise Broken
        copied.write(piece)
