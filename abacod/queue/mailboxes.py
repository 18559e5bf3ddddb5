"""All mailboxes, and the stream of "something arrived for this actor" that starts workers."""

from __future__ import annotations

import asyncio

from abacod.ids import ActorId
from abacod.models.message import Queued
from abacod.queue.mailbox import Mailbox
from abacod.store import messages
from abacod.store.database import Database


class Mailboxes:
    """The mailboxes of all actors that have had a message since the daemon started, or have one waiting."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._mailboxes: dict[ActorId, Mailbox] = {}
        # Bounded by the number of actors: a set remembers what rang, the queue only says that something did.
        self._rung: dict[ActorId, None] = {}
        self._something_rang = asyncio.Event()

    async def load(self) -> None:
        """Learn from the store what waits, and ring for it."""
        for actor_id, waiting in (await self._database.read(messages.waiting_counts)).items():
            self._mailboxes[actor_id] = Mailbox(actor_id, self._database, waiting)
            self.wake(actor_id)

    def of(self, actor_id: ActorId) -> Mailbox:
        """The actor's mailbox, made at first use."""
        mailbox = self._mailboxes.get(actor_id)
        if mailbox is None:
            mailbox = self._mailboxes[actor_id] = Mailbox(actor_id, self._database)
        return mailbox

    def ring(self, actor_id: ActorId) -> None:
        """A message for the actor is in the store: count it and wake whoever works for the actor."""
        self.of(actor_id).ring()
        self.wake(actor_id)

    def deliver(self, message: Queued) -> None:
        """As `ring`, for a message that is at hand: it need not be read from the store again."""
        self.of(message.execution.actor_id).deliver(message)
        self.wake(message.execution.actor_id)

    def wake(self, actor_id: ActorId) -> None:
        """See to it that somebody looks after the actor's mailbox."""
        self._rung[actor_id] = None
        self._something_rang.set()

    async def arrivals(self) -> list[ActorId]:
        """Wait until something arrived; the actors it arrived for since the last call, in order."""
        await self._something_rang.wait()
        self._something_rang.clear()
        rung = list(self._rung)
        self._rung.clear()
        return rung

    def drop(self, actor_id: ActorId) -> None:
        """Forget the mailbox of a deleted actor."""
        self._mailboxes.pop(actor_id, None)
        self._rung.pop(actor_id, None)

    def lengths(self) -> dict[ActorId, int]:
        """How many messages wait, by actor."""
        return {actor_id: len(mailbox) for actor_id, mailbox in self._mailboxes.items()}
