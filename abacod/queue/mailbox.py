"""One actor's mailbox: hands out its waiting messages in order.

The messages are in the store; in memory are only how many wait and the first few of them, so that a long queue costs
nothing. Everything here happens on the event loop, after the store has committed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from abacod.ids import ActorId
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
        self._head: deque[Queued] = deque()
        self._fetched_to = 0
        self._arrived = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def __len__(self) -> int:
        """How many messages wait, without those being executed (spec/actors-api 3.3)."""
        return self._waiting

    def ring(self) -> None:
        """One more message is in the store."""
        self._waiting += 1
        self._arrived.set()

    async def take(self) -> Queued:
        """The next message; waits until there is one. Cancelling the wait loses nothing."""
        while True:
            async with self._one_at_a_time:
                if not self._head and self._waiting:
                    await self._fetch()
                if self._head:
                    self._waiting -= 1
                    return self._head.popleft()
                self._arrived.clear()
            await self._arrived.wait()

    def put_back(self, message: Queued) -> None:
        """Return a message that was taken; it is the next one again."""
        self._head.appendleft(message)
        self._waiting += 1
        self._arrived.set()

    def forget(self, message: Queued) -> None:
        """The store has dropped this message, which waited (its execution was cancelled)."""
        if message.seq > self._fetched_to:
            self._waiting -= 1
        elif message in self._head:
            self._head.remove(message)
            self._waiting -= 1
        # Else a worker has it in hand and finds out when it is about to start it.

    def clear(self) -> None:
        """The store has dropped all waiting messages."""
        self._head.clear()
        self._waiting = 0

    async def _fetch(self) -> None:
        expected = self._waiting
        fetched = await self._database.read(
            lambda tx: messages.waiting_after(tx, self.actor_id, self._fetched_to, _HEAD)
        )
        if fetched:
            self._head.extend(fetched)
            self._fetched_to = fetched[-1].seq
        else:
            # The store dropped them between its commit and our being told; those that rang meanwhile still count.
            self._waiting = max(0, self._waiting - expected)
