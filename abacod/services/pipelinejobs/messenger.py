"""Messages that built-in reactors send to each other."""

from __future__ import annotations

import json

from abacod.clock import Clock
from abacod.errors import ActorNotFound
from abacod.ids import ActorId, ExecutionId, TenantId, Username, execution_id_of
from abacod.models.message import Message
from abacod.queue.mailboxes import Mailboxes
from abacod.services.enqueue import enqueue
from abacod.store import actors, executions
from abacod.store.database import Database, Transaction
from reactors.ports import Outgoing


class Messenger:
    """Sends them."""

    def __init__(self, database: Database, mailboxes: Mailboxes, clock: Clock) -> None:
        self._database = database
        self._mailboxes = mailboxes
        self._clock = clock

    async def send(
        self, tenant: TenantId, by: Username, outgoing: Outgoing, *, key: str, by_nonce: bool
    ) -> ExecutionId:
        """Put a message into the mailbox of a built-in reactor; the id of its execution.

        A second time with the same `key` it is the execution of the first. `by_nonce` says that who set this off had no token
        of their own: what they may not do themselves, a reactor may not do for them.

        Raises:
            ActorNotFound: the reactor is switched off.
        """
        rung: list[ActorId] = []
        execution_id = execution_id_of(key)
        text = json.dumps(outgoing.message)
        message = Message("application/json", text, None, by_nonce=by_nonce)

        def put(tx: Transaction) -> None:
            actor = actors.builtin(tx, tenant, outgoing.reactor)
            if actor is None:
                raise ActorNotFound(f"The built-in reactor {outgoing.reactor} is switched off here.")
            if executions.find(tx, execution_id) is None:
                enqueue(tx, actor, by, message, self._clock.now(), execution_id)
                rung.append(actor.id)

        def ring(_: object) -> None:
            for actor_id in rung:
                self._mailboxes.ring(actor_id)

        await self._database.write(put, after=ring)
        return execution_id
