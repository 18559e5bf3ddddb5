"""Secret keys in files of their own: made once, readable by nobody else, the same for all processes."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

import structlog

from abacod.errors import ConfigError

_log = structlog.get_logger()


def key_at(path: Path, what: str, make: Callable[[], bytes]) -> bytes:
    """What the key file at `path` holds; `make` gives the content of a new one, if there is none yet.

    A new file has mode 0600, a new directory 0700. Processes that start together agree on one key. `what` names the key in
    messages.

    Raises:
        ConfigError: the file cannot be read or made.
    """
    try:
        if not path.exists():
            _make(path, make())
        _warn_if_exposed(path)
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"Cannot read or make the {what} {path}: {error}") from error


def _make(path: Path, content: bytes) -> None:
    """Put the key at `path`, unless another process is faster: a link, unlike a rename, never replaces a file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(partial)
    except FileExistsError:
        _log.debug("key_made_by_another_process", path=str(path))
    finally:
        partial.unlink()


def _warn_if_exposed(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning("key_exposed", path=str(path), mode=f"{mode:04o}", hint=f"chmod 600 {path}")
