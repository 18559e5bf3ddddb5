"""One actor's mailbox: hands out its waiting messages in order.

The messages are in the store; in memory are only how many wait and the first few of them, so that a long queue costs
nothing. Everything here happens on the event loop, after the store has committed, and is told of every message exactly
once: `ring` when it came, then `put_back`, `done` or `forget` when it was taken, or `forget` while it waits.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Collection
from typing import Final

from abacod.ids import ActorId, ExecutionId
from abacod.models.message import Queued
from abacod.store import messages
from abacod.store.database import Database

# Messages fetched at once; more would cost memory, fewer would cost reads.
_HEAD: Final = 32


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
        self._arrived = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self.takers = 0
        """How many wait for a message."""

    def __len__(self) -> int:
        """How many messages wait, without those being executed (spec/actors-api 3.3)."""
        # A message may be fetched a moment before its own bell.
        return max(0, self._waiting)

    @property
    def in_hand(self) -> frozenset[ExecutionId]:
        """The executions whose messages were taken and are neither settled nor put back."""
        return frozenset(self._in_hand)

    def ring(self) -> None:
        """One more message is in the store."""
        self._waiting += 1
        self._unread = True
        self._arrived.set()

    def deliver(self, message: Queued) -> None:
        """As `ring`, with the message itself, which then need not be fetched if all before it have been."""
        all_before = message.behind <= self._fetched_to < message.seq
        if not all_before or self._unread or self._fetching or len(self._head) >= _HEAD:
            self.ring()
            return
        self._waiting += 1
        self._head.append(message)
        self._fetched_to = message.seq
        self._arrived.set()

    async def take(self) -> Queued:
        """The next message; waits until there is one. Cancelling the wait loses nothing."""
        self.takers += 1
        try:
            return await self._next()
        finally:
            self.takers -= 1

    def put_back(self, message: Queued) -> None:
        """Return a message that was taken to its place in the order, unless it was dropped meanwhile."""
        if message.execution_id not in self._in_hand:
            return
        self._in_hand.remove(message.execution_id)
        insort(self._head, message, key=lambda each: each.seq)
        self._waiting += 1
        self._arrived.set()

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

    async def _next(self) -> Queued:
        while True:
            async with self._one_at_a_time:
                # Before the look, not after it: whoever rings during the look is heard.
                self._arrived.clear()
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
            await self._arrived.wait()

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
