"""What a held container and its daemon share: a folder with named pipes, and beside it what outlives the daemon.

    NAME/record    what the container was given last; rewritten in place
    NAME/log       its output so far
    NAME/command   the pipe to the supervisor
    NAME/answer    the pipe from it
    NAME/shown/    mounted into the container, read-only: script, output pipe, results socket, binary message, busybox

The container can change nothing of it. The supervisor's own pipes are shown only until it has opened them. Output goes
through a pipe, as with an engine, and from there straight to the file; what is in a pipe outlives a daemon, for the container
holds it open as well.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import sys
import termios
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from abacod.errors import StorageUnavailable
from abacod.ids import ExecutionId
from abacod.runtime.results import LastingSocket
from abacod.runtime.run import Outcome

COMMAND: Final = "command"
ANSWER: Final = "answer"
OUTPUT: Final = "output"
BINARY: Final = "binary"

_SUPERVISORS: Final = (COMMAND, ANSWER)
# A container may run as any user.
_FOR_ALL: Final = 0o666
_RECORD_BYTES: Final = 4096
"""A record is written as a whole and always as long: rewriting it needs no room on the disk."""
_NOTHING: Final = b" " * _RECORD_BYTES
_PIECE: Final = 1_048_576
_LEAST: Final = 65_536


@dataclass(frozen=True, slots=True)
class Record:
    """What became of an execution that a container was given.

    `released_at` is None until just before its command goes out; `pid` is its process in the container, None where it is not
    known; `outcome` is there once it has ended.
    """

    execution_id: ExecutionId
    number: int
    released_at: datetime | None = None
    pid: int | None = None
    outcome: Outcome | None = None


class Folder:
    """The folder of one container, with its pipes open; see the module."""

    def __init__(self, place: Path, *, log_bytes: int) -> None:
        """Open what is there already; `log_bytes` is how much output it keeps.

        Raises:
            OSError: not all of it is there.
        """
        self.place = place
        self.shown = place / "shown"
        self._log_bytes = log_bytes
        self._open: list[int] = []
        self._results: LastingSocket | None = None
        try:
            self._command, self.answer = (self._opened_pipe(place / name) for name in _SUPERVISORS)
            self.output_pipe = self._opened_pipe(self.shown / OUTPUT)
            self._record = self._opened(place / "record", os.O_RDWR | os.O_CREAT)
            self._log = self._opened(place / "log", os.O_RDWR | os.O_CREAT)
            self._script = self._opened(self.shown / "script", os.O_RDWR | os.O_CREAT)
        except OSError:
            self.close()
            raise
        os.fchmod(self._script, 0o644)
        self._kept = os.fstat(self._log).st_size
        self._line = b""
        self._shows_binary = False

    @classmethod
    def made(cls, place: Path, busybox: Path, *, log_bytes: int) -> Self:
        """A new one.

        Raises:
            StorageUnavailable: it cannot be made.
        """
        shown = place / "shown"
        try:
            shown.mkdir(parents=True)
            shown.chmod(0o755)
            for pipe in (shown / OUTPUT, *(place / name for name in _SUPERVISORS)):
                os.mkfifo(pipe)
                pipe.chmod(_FOR_ALL)
            for name in _SUPERVISORS:
                os.link(place / name, shown / name)
            os.link(busybox, shown / "busybox")
            return cls(place, log_bytes=log_bytes)
        except OSError as error:
            shutil.rmtree(place, ignore_errors=True)
            raise _unavailable(error) from error

    def hide(self) -> None:
        """The supervisor has opened its pipes: what runs in the container is not to find them."""
        for name in _SUPERVISORS:
            (self.shown / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it; what is in the pipes stays as long as the container does."""
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()
        if self._results is not None:
            self._results.close()
            self._results = None

    def remove(self) -> None:
        """Close and remove it."""
        self.close()
        shutil.rmtree(self.place, ignore_errors=True)

    @property
    def results(self) -> LastingSocket:
        """The results socket, made at its first use; raises `StorageUnavailable`."""
        if self._results is None:
            self._results = LastingSocket(self.shown)
        return self._results

    # --- the record

    def assign(self, record: Record, script: bytes, binary: Path | None) -> None:
        """Lay everything ready for an execution.

        Raises:
            StorageUnavailable: there is no room.
        """
        try:
            if self._kept:
                os.ftruncate(self._log, 0)
                self._kept = 0
            # It is empty, for `clear` comes between two executions.
            _write_all(self._script, script)
            if binary is not None:
                self._show(binary)
            self.note(record)
        except OSError as error:
            with suppress(OSError):
                self.clear()
            raise _unavailable(error) from error

    def note(self, record: Record) -> None:
        """Rewrite the record; raises `OSError`."""
        os.pwrite(self._record, _written(record), 0)

    def record(self) -> Record | None:
        """The record on disk."""
        return _read(os.pread(self._record, _RECORD_BYTES, 0))

    def clear(self) -> None:
        """Forget the execution: the container is idle. Raises `OSError`."""
        os.pwrite(self._record, _NOTHING, 0)
        # The message and its secrets are in the script.
        os.ftruncate(self._script, 0)
        if self._shows_binary:
            (self.shown / BINARY).unlink(missing_ok=True)
            self._shows_binary = False

    # --- the pipes

    def send(self, line: bytes) -> None:
        """Give the supervisor a command; raises `OSError`."""
        os.write(self._command, line)

    @property
    def unread(self) -> int:
        """Bytes of commands that the supervisor has not taken yet."""
        counted = bytearray(4)
        fcntl.ioctl(self._command, termios.FIONREAD, counted)
        return int.from_bytes(counted, sys.byteorder)

    def answers(self) -> list[bytes]:
        """Whole lines that have come, without their ends."""
        with suppress(BlockingIOError):
            while data := os.read(self.answer, _LEAST):
                self._line += data
        *lines, self._line = self._line.split(b"\n")
        # No supervisor writes lines as long; who does is not to fill the memory.
        self._line = self._line[-_LEAST:]
        return lines

    def output(self) -> bytes:
        """What has come of output; empty if nothing has. It is on file, so far as there is room, before it is anywhere else."""
        try:
            if self._kept < self._log_bytes:
                size = self._moved()
                return os.pread(self._log, size, self._kept - size)
            return os.read(self.output_pipe, _PIECE)
        except BlockingIOError:
            return b""
        except OSError:
            # The file system of the log cannot do it, or is full: what comes from now on is delivered, and not kept.
            self._log_bytes = 0
            return self.output()

    def kept(self, position: int) -> bytes:
        """Some of the output on file, from a position on; empty at its end."""
        return os.pread(self._log, min(_PIECE, max(0, self._kept - position)), position)

    def _moved(self) -> int:
        size = os.splice(self.output_pipe, self._log, _PIECE, None, self._kept, os.SPLICE_F_NONBLOCK)
        self._kept += size
        return size

    def _show(self, binary: Path) -> None:
        self._shows_binary = True
        try:
            os.link(binary, self.shown / BINARY)
        except OSError:
            shutil.copyfile(binary, self.shown / BINARY)
            (self.shown / BINARY).chmod(0o444)

    def _opened_pipe(self, path: Path) -> int:
        descriptor = self._opened(path, os.O_RDWR | os.O_NONBLOCK)
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(path)
        return descriptor

    def _opened(self, path: Path, flags: int) -> int:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._open.append(descriptor)
        return descriptor


def record_in(place: Path) -> Record | None:
    """The record of a folder that may be going away; None without one."""
    try:
        return _read((place / "record").read_bytes())
    except OSError:
        return None


def _write_all(descriptor: int, data: bytes) -> None:
    at = 0
    while at < len(data):
        at += os.pwrite(descriptor, data[at:], at)


def _written(record: Record) -> bytes:
    text = _text(record, record.outcome)
    if len(text) > _RECORD_BYTES:
        # An engine told a long story. Without its end the record says that the execution was given away, which is enough.
        text = _text(record, None)
    return text.ljust(_RECORD_BYTES)


def _text(record: Record, outcome: Outcome | None) -> bytes:
    fields: dict[str, object] = {
        "execution_id": record.execution_id,
        "number": record.number,
        "released_at": record.released_at and record.released_at.isoformat(),
        "pid": record.pid,
        "outcome": outcome
        and {
            "exit_code": outcome.exit_code,
            "final_state": dict(outcome.final_state),
            "started_at": outcome.started_at.isoformat(),
            "finished_at": outcome.finished_at.isoformat(),
            "cpu": outcome.cpu,
            "io": outcome.io,
        },
    }
    return json.dumps(fields).encode()


def _read(data: bytes) -> Record | None:
    try:
        fields: Mapping[str, Any] = json.loads(data)
        outcome = fields["outcome"]
        return Record(
            ExecutionId(fields["execution_id"]),
            fields["number"],
            fields["released_at"] and datetime.fromisoformat(fields["released_at"]),
            fields["pid"],
            outcome
            and Outcome(
                outcome["exit_code"],
                outcome["final_state"],
                datetime.fromisoformat(outcome["started_at"]),
                datetime.fromisoformat(outcome["finished_at"]),
                outcome["cpu"],
                outcome["io"],
            ),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _unavailable(error: OSError) -> StorageUnavailable:
    return StorageUnavailable(f"The folder of the container cannot be written at the moment: {error.strerror}.")
