"""Who waits for something of an execution is told here that there is something: nobody has to ask again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from abacod.errors import Stopping
from abacod.ids import ExecutionId


class Watch:
    """Waits for news of one execution.

    `clear`, look, and if there is nothing yet `wait`: what comes after `clear` ends the wait, so that nothing is missed.
    """

    def __init__(self) -> None:
        self._stirred = asyncio.Event()
        self._stopping = False

    def clear(self) -> None:
        """Forget the news so far."""
        self._stirred.clear()

    async def wait(self) -> None:
        """Wait for news that came after `clear`.

        Raises:
            Stopping: the daemon stops.
        """
        if not self._stopping:
            await self._stirred.wait()
        if self._stopping:
            raise Stopping

    def stir(self, *, stopping: bool = False) -> None:
        """There is news, or there will be no more."""
        self._stopping = self._stopping or stopping
        self._stirred.set()


class News:
    """Tells of results, more log, other statuses and ends of executions, each after it is on disk or in memory."""

    def __init__(self) -> None:
        self._watches: dict[ExecutionId, set[Watch]] = {}
        self._closed = False

    @contextmanager
    def of(self, execution_id: ExecutionId) -> Iterator[Watch]:
        """Be told of the execution inside the context."""
        watch = Watch()
        if self._closed:
            watch.stir(stopping=True)
        self._watches.setdefault(execution_id, set()).add(watch)
        try:
            yield watch
        finally:
            watches = self._watches[execution_id]
            watches.remove(watch)
            if not watches:
                del self._watches[execution_id]

    def tell(self, execution_id: ExecutionId) -> None:
        """Something of the execution has changed."""
        for watch in self._watches.get(execution_id, ()):
            watch.stir()

    def tell_all(self, execution_ids: Iterable[ExecutionId]) -> None:
        """Something of each of the executions has changed."""
        for execution_id in execution_ids:
            self.tell(execution_id)

    def close(self) -> None:
        """End all waits, also those that begin later: the daemon stops."""
        self._closed = True
        for watches in self._watches.values():
            for watch in watches:
                watch.stir(stopping=True)

    @property
    def watched(self) -> int:
        """How many watches there are now."""
        return sum(len(watches) for watches in self._watches.values())
