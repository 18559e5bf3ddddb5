"""Who waits for something of an execution is told here that there is something: nobody has to ask again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a synchronous message is answered with: a result, or the log where there was none."""

    result: bytes | None
    log: str = ""


class Reply(Watch):
    """A watch of the sender of a synchronous message, to whom the answer itself may be handed.

    Then nobody has to bring it to the disk and back.
    """

    def __init__(self, *, from_the_start: bool) -> None:
        """`from_the_start` tells that it was there before the message: no result can have been missed."""
        super().__init__()
        self.from_the_start = from_the_start
        self.answer: Answer | None = None
        self.gone = False
        self.too_late = False
        """Whether it has waited as long as it may."""

    @property
    def takes(self) -> bool:
        """Whether somebody waits for the answer itself, and has none yet."""
        return self.from_the_start and self.answer is None and not self.gone

    def give_up(self) -> None:
        """Its time is over."""
        self.too_late = True
        self.stir()

    def give(self, answer: Answer) -> bool:
        """Hand over the answer; False if there was one before, or nobody waits any more."""
        if not self.takes:
            return False
        self.answer = answer
        self.stir()
        return True


class News:
    """Tells of results, more log, other statuses and ends of executions, each after it is on disk or in memory."""

    def __init__(self) -> None:
        self._watches: dict[ExecutionId, set[Watch]] = {}
        self._replies: dict[ExecutionId, Reply] = {}
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

    # --- answers to synchronous messages

    def expect(self, execution_id: ExecutionId) -> None:
        """A synchronous message is about to be sent: somebody will wait for its answer, or call `expect_no_more`."""
        self._replies[execution_id] = Reply(from_the_start=True)

    def expect_no_more(self, execution_id: ExecutionId) -> None:
        """It was not sent."""
        self._replies.pop(execution_id, None)

    @contextmanager
    def answer_to(self, execution_id: ExecutionId) -> Iterator[Reply]:
        """Wait for an answer inside the context; also for one that was not expected before."""
        reply = self._replies.setdefault(execution_id, Reply(from_the_start=False))
        if self._closed:
            reply.stir(stopping=True)
        try:
            yield reply
        finally:
            reply.gone = True
            self._replies.pop(execution_id, None)

    def expects(self, execution_id: ExecutionId) -> bool:
        """Whether `give` would hand over an answer now."""
        reply = self._replies.get(execution_id)
        return reply is not None and reply.takes

    def give(self, execution_id: ExecutionId, answer: Answer) -> bool:
        """Hand the answer to who waits for it; False if nobody does, or has one already."""
        reply = self._replies.get(execution_id)
        return reply is not None and reply.give(answer)

    # --- telling

    def tell(self, execution_id: ExecutionId) -> None:
        """Something of the execution has changed, maybe its end has come, or a result."""
        self.tell_course(execution_id)
        if reply := self._replies.get(execution_id):
            reply.stir()

    def tell_course(self, execution_id: ExecutionId) -> None:
        """As `tell`, of what no answer comes of: it has begun, or has written more."""
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
        for reply in self._replies.values():
            reply.stir(stopping=True)

    @property
    def watched(self) -> int:
        """How many watches there are now."""
        return sum(len(watches) for watches in self._watches.values()) + len(self._replies)
