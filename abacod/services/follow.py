"""Logs as they come: from their beginning to the end of the execution, however slowly they are read."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator

from abacod.clock import Clock
from abacod.ids import ActorId, ExecutionId
from abacod.services.executor import Executor
from abacod.services.news import News
from abacod.services.progress import TRUNCATED
from abacod.store import executions, logs
from abacod.store.database import Database, Transaction


class LogFollowers:
    """Reads logs of executions that wait, run or have ended.

    A follower is no more than a position in a log that others keep, in memory and on disk: it costs a run nothing.
    """

    def __init__(self, database: Database, executor: Executor, news: News, clock: Clock) -> None:
        self._database = database
        self._executor = executor
        self._news = news
        self._clock = clock

    async def follow(self, actor_id: ActorId, execution_id: ExecutionId) -> AsyncIterator[str]:
        """Pieces of the log, which together are what the log shows after the end.

        A log whose time has passed has none.

        Raises:
            Stopping: the daemon stops before the execution has ended.
        """
        text = LogText()
        position = 0
        with self._news.of(execution_id) as watch:
            while True:
                watch.clear()
                piece, ended = await self._behind(actor_id, execution_id, position)
                position += len(piece)
                if piece:
                    yield text.feed(piece)
                elif ended:
                    break
                else:
                    await watch.wait()
        yield text.end()

    async def _behind(self, actor_id: ActorId, execution_id: ExecutionId, position: int) -> tuple[bytes, bool]:
        """Something of the log from `position` on, and whether the execution has ended."""
        progress = self._executor.progress_of(execution_id)
        newest = progress.behind(position) if progress else None
        if newest is not None:
            return newest, False
        now = self._clock.now()

        def look(tx: Transaction) -> tuple[bytes, bool]:
            # Before the log: what an ended execution has written is all there.
            ended = executions.get(tx, actor_id, execution_id).status.ended
            return logs.behind(tx, execution_id, position, now), ended

        return await self._database.read(look)


class LogText:
    """A log as text, piece by piece, with the same text as `progress.decode` gives for the whole."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, piece: bytes) -> str:
        """The text of the next piece; a character that is cut at its end comes with the next one."""
        notice = TRUNCATED.encode()
        if not piece.endswith(notice):
            return self._decoder.decode(piece)
        text = self._decoder.decode(piece.removesuffix(notice))
        # The limit may have cut a character, which is left out.
        self._decoder.reset()
        return text + TRUNCATED

    def end(self) -> str:
        """The text of what is left."""
        return self._decoder.decode(b"", final=True)
