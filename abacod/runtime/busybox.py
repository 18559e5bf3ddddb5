"""The static busybox that supervisors run on."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from threading import Lock
from typing import Final

# ELF: the class is byte 4, the byte order byte 5; of each class where the program headers are told, and their sizes.
_HEADER: Final = {1: ("I", 28, 42), 2: ("Q", 32, 54)}
_IDENTITY: Final = 16
_INTERPRETER: Final = 3
_NAME: Final = "busybox"
# Several workers may begin at the same time, each in a thread.
_one_at_a_time: Final = Lock()


def problem_of(path: Path) -> str | None:
    """Why the file cannot serve; None if it is a statically linked program."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if not os.access(path, os.X_OK):
        return f"{path} is not executable"
    if not _is_static(head):
        return f"{path} is not statically linked"
    return None


def placed(path: Path, directory: Path) -> Path:
    """A copy in `directory`, which containers see where the file itself may be out of their engine's sight; made once.

    Raises:
        OSError: there is no room.
    """
    target = directory / _NAME
    source = path.stat()
    with _one_at_a_time:
        if not target.exists() or target.stat().st_size != source.st_size or target.stat().st_mtime < source.st_mtime:
            new = directory / f"{_NAME}.new"
            shutil.copyfile(path, new)
            new.chmod(0o755)
            new.rename(target)
    return target


def _is_static(head: bytes) -> bool:
    """Whether a program's first bytes say that it needs no other file to be run."""
    if len(head) < _IDENTITY or head[:4] != b"\x7fELF" or head[4] not in _HEADER:
        return False
    order = "<" if head[5] == 1 else ">"
    kind, offset_at, sizes_at = _HEADER[head[4]]
    try:
        (offset,) = struct.unpack_from(f"{order}{kind}", head, offset_at)
        size, count = struct.unpack_from(f"{order}HH", head, sizes_at)
        kinds = [struct.unpack_from(f"{order}I", head, offset + number * size)[0] for number in range(count)]
    except (struct.error, OverflowError, ValueError):
        return False
    return _INTERPRETER not in kinds
