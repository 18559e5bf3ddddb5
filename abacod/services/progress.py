"""What is known of an execution while it runs, above all its log so far."""

from __future__ import annotations

import codecs
from datetime import datetime
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.config import LogSettings
from abacod.errors import StorageUnavailable
from abacod.ids import ExecutionId, WorkerId
from abacod.store import executions, logs, messages
from abacod.store.database import Database, Transaction

TRUNCATED: Final = " LOG LIMIT EXCEEDED; this execution log was TRUNCATED!"
"""How a log ends that was longer than the limit (spec/actors-api 4.4)."""

# Output gathered in memory before it is written, in bytes.
_PIECE: Final = 65_536

_log = structlog.get_logger()


class Progress:
    """The sink of one run: marks the start on disk and keeps the log, in pieces on disk and the newest in memory."""

    def __init__(
        self, execution_id: ExecutionId, worker_id: WorkerId, database: Database, settings: LogSettings, clock: Clock
    ) -> None:
        self.execution_id = execution_id
        self.started_at: datetime | None = None
        self._worker_id = worker_id
        self._database = database
        self._settings = settings
        self._clock = clock
        self._stored = 0
        self._tail = bytearray()
        self._truncated = False
        self._forget_stored = False
        self._flushed_at = clock.monotonic()

    async def starting(self) -> None:
        """Mark the execution RUNNING and its message as started; returns once that is on disk.

        Raises:
            IllegalTransition: the execution was cancelled.
        """
        moment = self._clock.now()

        def mark(tx: Transaction) -> None:
            executions.start(tx, self.execution_id, self._worker_id, moment)
            messages.mark_started(tx, self.execution_id)

        await self._database.write(mark)
        self.started_at = moment

    async def log(self, data: bytes) -> None:
        """Keep more output, up to the limit; what comes behind the limit is dropped."""
        room = self._settings.max_bytes - self._stored - len(self._tail)
        self._truncated = self._truncated or len(data) > room
        self._tail += data[: max(0, room)]
        due = self._clock.monotonic() - self._flushed_at >= self._settings.flush_seconds
        if len(self._tail) >= _PIECE or (due and self._tail):
            await self._flush()

    async def log_restarts(self) -> None:
        """Forget the log so far: it comes again from its beginning."""
        self._stored = 0
        self._tail.clear()
        self._truncated = False
        self._forget_stored = True

    def finish(self, tx: Transaction) -> None:
        """Write the rest of the log and, if it was cut, the notice; part of the transaction that settles the execution."""
        self._store(tx, self.snapshot()[1])

    def snapshot(self) -> tuple[int, bytes]:
        """How many bytes of the log are on disk, and the bytes behind them."""
        return self._stored, bytes(self._tail) + (TRUNCATED.encode() if self._truncated else b"")

    async def _flush(self) -> None:
        piece = bytes(self._tail)
        self._flushed_at = self._clock.monotonic()
        try:
            await self._database.write(lambda tx: self._store(tx, piece))
        except StorageUnavailable as error:
            # The log stays in memory, which its limit bounds, and is written with a later piece or at the end.
            _log.warning("log_not_flushed", execution=self.execution_id, error=error.message)
            return
        # Only now: had the commit failed, the piece would be neither on disk nor in memory.
        del self._tail[: len(piece)]
        self._stored += len(piece)
        self._forget_stored = False

    def _store(self, tx: Transaction, piece: bytes) -> None:
        if self._forget_stored:
            logs.remove(tx, self.execution_id)
        if piece:
            logs.append(tx, self.execution_id, self._stored, piece)


def decode(log: bytes) -> str:
    """The log as text: UTF-8, with a replacement sign for what is none; a character cut by the limit is left out."""
    notice = TRUNCATED.encode()
    if not log.endswith(notice):
        return log.decode(errors="replace")
    return codecs.getincrementaldecoder("utf-8")("replace").decode(log.removesuffix(notice)) + TRUNCATED
