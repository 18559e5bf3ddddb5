"""One actor's mailbox: hands out its waiting messages in order.

The messages are in the store; in memory are only how many wait and the first few of them, so that a long queue costs
nothing. Everything here happens on the event loop, after the store has committed, and is told of every message exactly
once: `ring` when it came, then `put_back`, `done` or `forget` when it was taken, or `forget` while it waits.

A message for a worker that has nothing to do may go to it without waiting here at all: `reserve` the worker before the
message is stored, then `hand_over` the one to the other.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from abacod.ids import ActorId, ExecutionId, WorkerId
from abacod.models.message import Queued
from abacod.store import messages
from abacod.store.database import Database

# Messages fetched at once; more would cost memory, fewer would cost reads.
_HEAD: Final = 32


@dataclass(slots=True)
class Reservation:
    """A worker that takes no other message until it is handed one, or released."""

    worker_id: WorkerId
    told: asyncio.Future[Queued | None]
    last: bool = False
    """Whether it takes none after that."""

    def release(self) -> None:
        """There is no message for it after all; does nothing if it has been handed one, or released before."""
        if not self.told.done():
            self.told.set_result(None)


class Mailbox:
    """The waiting messages of one actor."""

    def __init__(self, actor_id: ActorId, database: Database, waiting: int = 0) -> None:
        """`waiting` is how many messages the store holds for the actor now."""
        self.actor_id = actor_id
        self._database = database
        self._waiting = waiting
        self._head: list[Queued] = []
        self._fetched_to = 0
        # Whether the store may have messages behind `_fetched_to`, and whether they are being looked for.
        self._unread = True
        self._fetching = False
        self._in_hand: set[ExecutionId] = set()
        # How often messages were dropped: tells a fetch under way that what it reads may be gone.
        self._drops = 0
        # Whether something has come since a taker looked last, and who is to be told of it.
        self._stirred = False
        self._idle: dict[asyncio.Future[Queued | None], WorkerId | None] = {}
        self._one_at_a_time = asyncio.Lock()
        self._takers = 0
        self._reserved: dict[WorkerId, Reservation] = {}

    def __len__(self) -> int:
        """How many messages wait, without those being executed (spec/actors-api 3.3)."""
        # A message may be fetched a moment before its own bell.
        return max(0, self._waiting)

    @property
    def takers(self) -> int:
        """How many wait for a message, whatever it is."""
        return self._takers - len(self._reserved)

    @property
    def in_hand(self) -> frozenset[ExecutionId]:
        """The executions whose messages were taken and are neither settled nor put back."""
        return frozenset(self._in_hand)

    def ring(self) -> None:
        """One more message is in the store."""
        self._waiting += 1
        self._unread = True
        self._stir()

    def deliver(self, message: Queued) -> None:
        """As `ring`, with the message itself, which then need not be fetched if all before it have been."""
        all_before = message.behind <= self._fetched_to < message.seq
        if not all_before or self._unread or self._fetching or len(self._head) >= _HEAD:
            self.ring()
            return
        self._waiting += 1
        self._head.append(message)
        self._fetched_to = message.seq
        self._stir()

    async def take(self, worker_id: WorkerId | None = None) -> Queued:
        """The next message; waits until there is one. Cancelling the wait loses nothing.

        One who names a worker may be reserved while it waits.
        """
        self._takers += 1
        try:
            return await self._next(worker_id)
        finally:
            self._takers -= 1

    def reserve(self) -> Reservation | None:
        """Keep a worker that has nothing to do for a message that is about to be stored; None if there is none.

        Whoever has it calls `hand_over`, or releases it.
        """
        if self._waiting or self._head:
            return None  # others come first
        for told, worker_id in self._idle.items():
            if worker_id is not None:
                del self._idle[told]
                reservation = self._reserved[worker_id] = Reservation(worker_id, told)
                return reservation
        return None

    def let_go(self, worker_id: WorkerId) -> bool:
        """A worker is to end: whether it is reserved, and still gets its message; if that does not come, its wait is cancelled."""
        reservation = self._reserved.get(worker_id)
        if reservation is None:
            return False
        reservation.last = True
        return True

    def hand_over(self, reservation: Reservation, message: Queued) -> None:
        """Give a stored message to the worker that is reserved for it. It is in hand then, and never waited here."""
        if reservation.told.done():
            return  # the daemon ends, and did not wait for it: the next one finds an execution that nobody runs
        self._in_hand.add(message.execution_id)
        reservation.told.set_result(message)

    def put_back(self, message: Queued) -> None:
        """Return a message that was taken to its place in the order, unless it was dropped meanwhile."""
        if message.execution_id not in self._in_hand:
            return
        self._in_hand.remove(message.execution_id)
        if message.seq > self._fetched_to:
            # It was handed over: it waits in the store, to be fetched.
            self.ring()
            return
        insort(self._head, message, key=lambda each: each.seq)
        self._waiting += 1
        self._stir()

    def done(self, message: Queued) -> None:
        """A message that was taken is settled. Not for one that was dropped while in hand: of that, `forget` is told."""
        self._in_hand.discard(message.execution_id)

    def forget(self, dropped: Collection[ExecutionId]) -> None:
        """The store has dropped these messages (cancelled, purged); one in hand is found to be so before its start."""
        gone = set(dropped)
        self._waiting -= len(gone - self._in_hand)
        self._in_hand -= gone
        self._head = [message for message in self._head if message.execution_id not in gone]
        self._drops += 1

    def _stir(self) -> None:
        self._stirred = True
        for told in self._idle:
            if not told.done():
                told.set_result(None)
        self._idle.clear()

    async def _next(self, worker_id: WorkerId | None) -> Queued:
        while True:
            async with self._one_at_a_time:
                # Before the look, not after it: whoever rings during the look is heard.
                self._stirred = False
                if not self._head and self._unread:
                    self._fetching = True
                    try:
                        await self._fetch()
                    finally:
                        self._fetching = False
                if self._head:
                    message = self._head.pop(0)
                    self._waiting -= 1
                    self._in_hand.add(message.execution_id)
                    return message
            if not self._stirred and (handed := await self._told(worker_id)):
                return handed

    async def _told(self, worker_id: WorkerId | None) -> Queued | None:
        """Wait until something has come; a message that was handed over."""
        told: asyncio.Future[Queued | None] = asyncio.get_running_loop().create_future()
        self._idle[told] = worker_id
        reservation = None
        try:
            handed = await told
        finally:
            self._idle.pop(told, None)
            if worker_id is not None:
                reservation = self._reserved.pop(worker_id, None)
        if handed is None and reservation is not None and reservation.last:
            raise asyncio.CancelledError
        return handed

    async def _fetch(self) -> None:
        while True:
            drops = self._drops
            self._unread = False
            try:
                fetched = await self._database.glance(
                    lambda tx: messages.waiting_after(tx, self.actor_id, self._fetched_to, _HEAD)
                )
            except BaseException:
                self._unread = True
                raise
            if drops == self._drops:
                break
        self._head += fetched
        if fetched:
            self._fetched_to = fetched[-1].seq
        self._unread = self._unread or len(fetched) == _HEAD
