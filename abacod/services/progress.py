"""What is known of an execution while it runs, above all its log so far."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.config import LogSettings, ResultSettings
from abacod.errors import StorageUnavailable
from abacod.ids import ExecutionId, WorkerId
from abacod.services.news import Answer, News
from abacod.store import executions, logs, messages, results
from abacod.store.database import Database, Transaction

TRUNCATED: Final = " LOG LIMIT EXCEEDED; this execution log was TRUNCATED!"
"""How a log ends that was longer than the limit (spec/actors-api 4.4)."""

# Output gathered in memory before it is written, in bytes.
_PIECE: Final = 65_536

# Pause before results are written again after the database refused, in seconds.
_STORAGE_PAUSE: Final = 1.0

_log = structlog.get_logger()


class Progress:
    """The sink of one run.

    Marks the start on disk, keeps the log, in pieces on disk and the newest in memory, and stores results.
    """

    def __init__(
        self,
        execution_id: ExecutionId,
        worker_id: WorkerId,
        database: Database,
        settings: LogSettings,
        clock: Clock,
        *,
        kept_results: ResultSettings,
        news: News,
        started_at: datetime | None = None,
    ) -> None:
        """`started_at` is set where the execution is marked RUNNING already."""
        self.execution_id = execution_id
        self.started_at = started_at
        self._worker_id = worker_id
        self._database = database
        self._settings = settings
        self._clock = clock
        self._kept_results = kept_results
        self._news = news
        self._results_full = False
        self._answer: bytes | None = None
        self._for_sender = False
        self._stored = 0
        self._tail = bytearray()
        self._truncated = False
        self._forget_stored = False
        self._flushed_at = clock.monotonic()

    async def starting(self) -> None:
        """Mark the execution RUNNING and its message as started, unless it is; returns once that is on disk.

        Raises:
            IllegalTransition: the execution was cancelled.
        """
        if self.started_at is not None:
            self._news.tell_course(self.execution_id)
            return
        moment = self._clock.now()

        def mark(tx: Transaction) -> None:
            executions.start(tx, self.execution_id, self._worker_id, moment)
            messages.mark_started(tx, self.execution_id)

        await self._database.write(mark)
        self.started_at = moment
        self._news.tell_course(self.execution_id)

    async def log(self, data: bytes) -> None:
        """Keep more output, up to the limit; what comes behind the limit is dropped."""
        room = self._settings.max_bytes - self._stored - len(self._tail)
        self._truncated = self._truncated or len(data) > room
        self._tail += data[: max(0, room)]
        self._news.tell_course(self.execution_id)
        due = self._clock.monotonic() - self._flushed_at >= self._settings.flush_seconds
        if len(self._tail) >= _PIECE or (due and self._tail):
            await self._flush()

    async def log_restarts(self) -> None:
        """Forget the log so far: it comes again from its beginning."""
        self._stored = 0
        self._tail.clear()
        self._truncated = False
        self._forget_stored = True

    async def results(self, data: Sequence[bytes]) -> None:
        """Store results, as many as the limit allows; returns once they are on disk, however long that takes.

        The first one goes to the sender of a synchronous message, if somebody waits for it, and not to the disk.
        """
        if data and self._news.give(self.execution_id, Answer(data[0])):
            data = data[1:]
        if not data:
            return
        while True:
            try:
                kept = await self._database.write(lambda tx: self._store_results(tx, data))
                break
            except StorageUnavailable as error:
                _log.error("results_not_stored", execution=self.execution_id, error=error.message)
                await self._clock.sleep(_STORAGE_PAUSE)
        if kept < len(data) and not self._results_full:
            _log.warning("results_full", execution=self.execution_id, dropped=len(data) - kept, bytes=len(data[kept]))
        # A container that goes on sending is not to fill the log.
        self._results_full = kept < len(data)
        self._news.tell(self.execution_id)

    def answer(self, data: bytes) -> None:
        """Keep the result that comes with the end; it is stored or handed over when the execution is settled."""
        self._answer = data

    async def answered(self) -> None:
        """The execution is settled: hand its answer, else its log, to the sender of a synchronous message, if one waits."""
        if (
            self._answer is not None
            and self._for_sender
            and not self._news.give(self.execution_id, Answer(self._answer))
        ):
            # The sender has gone between the two.
            await self.results([self._answer])
        # Of a log that is on disk already who waits reads the whole from there.
        if self._stored or not self._news.expects(self.execution_id):
            self._news.tell(self.execution_id)
        else:
            self._news.give(self.execution_id, Answer(None, decode(self.snapshot()[1])))
            self._news.tell_course(self.execution_id)

    def settling(self) -> None:
        """The execution is about to be settled: is there somebody who waits for its answer?"""
        self._for_sender = self._news.expects(self.execution_id)

    def finish(self, tx: Transaction) -> None:
        """Write what is left: the rest of the log with the notice if it was cut, and the answer unless its sender waits for it.

        Part of the transaction that settles the execution.
        """
        self._store(tx, self.snapshot()[1])
        if self._answer is not None and not self._for_sender:
            self._store_results(tx, [self._answer])

    def snapshot(self) -> tuple[int, bytes]:
        """How many bytes of the log are on disk, and the bytes behind them."""
        return self._stored, bytes(self._tail) + (TRUNCATED.encode() if self._truncated else b"")

    def behind(self, position: int) -> bytes | None:
        """What has come of the log from `position` on; None if that is on disk already."""
        if position < self._stored:
            return None
        offset = position - self._stored
        notice = TRUNCATED.encode() if self._truncated else b""
        return bytes(self._tail[offset:]) + notice[max(0, offset - len(self._tail)) :]

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

    def _store_results(self, tx: Transaction, data: Sequence[bytes]) -> int:
        now = self._clock.now()
        return results.append(
            tx,
            self.execution_id,
            data,
            now=now,
            expires=now + timedelta(seconds=self._kept_results.ttl_seconds),
            limit=self._kept_results.max_per_execution,
        )

    def _store(self, tx: Transaction, piece: bytes) -> None:
        if self._forget_stored:
            logs.remove(tx, self.execution_id)
        if piece:
            logs.append(tx, self.execution_id, self._stored, piece)


def decode(log: bytes) -> str:
    """The log as text: UTF-8, with a replacement sign for what is none; a character cut by the limit is left out."""
    notice = TRUNCATED.encode()
    truncated = log.endswith(notice)
    length = len(log) - len(notice) if truncated else len(log)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    # Piece by piece, for no other thread gets on within one: a log may be as large as the settings let it.
    pieces = [decoder.decode(log[start : min(start + _PIECE, length)]) for start in range(0, length, _PIECE)]
    return "".join(pieces) + (TRUNCATED if truncated else decoder.decode(b"", final=True))
