"""The data directory: made at first use, and held by one daemon at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from abacod.errors import ConfigError, DataDirInUse


@contextmanager
def held(lock_path: Path, *directories: Path) -> Iterator[None]:
    """Make the directories, readable by this user only, and hold the lock while the block runs.

    The kernel drops the lock when the process dies, however it dies.

    Raises:
        DataDirInUse: another daemon holds it.
        ConfigError: a directory or the lock cannot be made.
    """
    try:
        for directory in directories:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"Cannot use the data directory {lock_path.parent}: {error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataDirInUse(f"Another abacod uses the data directory {lock_path.parent}.") from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
