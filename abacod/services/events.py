"""Events of actors: noted in the transaction that causes them, then delivered to link and webhook.

The rules (docs/explanation/events.md): per actor in order, first the link and then the webhook, and no actor waits for
another one's. A link's message and the note that it is delivered are one transaction: exactly once. A webhook is noted as
attempted before it is called: at most once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog

from abacod.clock import Clock
from abacod.errors import ActorNotFound, ActorShuttingDown, StorageUnavailable
from abacod.ids import ActorId, ExecutionId, TenantId
from abacod.models.actor import Actor
from abacod.models.event import SENDER, Delivery, Event, EventType
from abacod.models.message import MAX_TEXT_BYTES, Message
from abacod.models.states import ActorStatus
from abacod.queue.mailboxes import Mailboxes
from abacod.services.access import resolve
from abacod.services.enqueue import enqueue
from abacod.services.webhooks import Webhooks, site_of
from abacod.store import actors, events, executions
from abacod.store.database import Database, Transaction

# Pause before an actor's events are tried again after the database refused, in seconds.
_STORAGE_PAUSE: Final = 1.0
# How long a stopping daemon waits for webhooks that it has called, in seconds.
_DRAIN: Final = 5.0

_SENT: Final = "delivered"
_CUT_OFF: Final = "the daemon ended during the call"

_log = structlog.get_logger()


class Events:
    """The outbox, and whoever empties it: one courier for each actor with events to deliver. `run` is the task they live in."""

    def __init__(self, database: Database, mailboxes: Mailboxes, webhooks: Webhooks, clock: Clock) -> None:
        self._database = database
        self._mailboxes = mailboxes
        self._webhooks = webhooks
        self._clock = clock
        self._woken: set[ActorId] = set()
        self._couriers: dict[ActorId, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._draining = False

    # --- in the transactions of others --------------------------------------------------------------------------

    def note_status(self, tx: Transaction, actor_id: ActorId) -> bool:
        """The actor became READY or ERROR. True if an event came of it: then call `wake` after the transaction."""
        actor = actors.find(tx, actor_id)
        if actor is None or not _tells(actor):
            return False
        kind = EventType.ACTOR_READY if actor.status is ActorStatus.READY else EventType.ACTOR_ERROR
        events.append(tx, _event(tx, actor, kind, self._clock.now(), {"status_message": actor.status_message}))
        return True

    def note_ends(self, tx: Transaction, actor_id: ActorId, ended: Collection[ExecutionId]) -> bool:
        """Executions of the actor have ended. True if events came of it: then call `wake` after the transaction."""
        # Asked at the end of each execution: most actors tell nobody, and are not read as a whole.
        actor = actors.find(tx, actor_id) if ended and actors.tells(tx, actor_id) else None
        if actor is None:
            return False
        now = self._clock.now()
        for execution_id in ended:
            record = executions.get(tx, actor_id, execution_id)
            details = {"execution_id": record.id, "exit_code": record.exit_code, "status": record.status}
            events.append(tx, _event(tx, actor, EventType.EXECUTION_COMPLETE, now, details))
        return True

    # --- delivering ---------------------------------------------------------------------------------------------

    def wake(self, actor_id: ActorId) -> None:
        """The actor has events on disk that wait for delivery."""
        self._woken.add(actor_id)
        if self._group is not None and actor_id not in self._couriers and not self._draining:
            courier = self._group.create_task(self._serve(actor_id), name=f"events-{actor_id}")
            self._couriers[actor_id] = courier

    async def run(self) -> None:
        """Deliver what an earlier daemon left and whatever comes."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for actor_id in {*await self._left(), *self._woken}:
                    self.wake(actor_id)
                await asyncio.Event().wait()
        finally:
            self._group = None

    async def drain(self) -> None:
        """Begin no more deliveries, and let those under way end; the next start goes on."""
        self._draining = True
        if self._couriers:
            await asyncio.wait(self._couriers.values(), timeout=_DRAIN)

    async def _left(self) -> list[ActorId]:
        while True:
            try:
                return await self._database.read(events.actors_with_waiting)
            except StorageUnavailable as error:
                _log.error("events_unreadable", error=error.message)
                await self._clock.sleep(_STORAGE_PAUSE)

    async def _serve(self, actor_id: ActorId) -> None:
        """Deliver until the actor has nothing left. Between the last look at `_woken` and the end nobody else runs."""
        try:
            while actor_id in self._woken and not self._draining:
                self._woken.discard(actor_id)
                try:
                    await self._deliver_waiting(actor_id)
                except StorageUnavailable as error:
                    _log.error("events_delayed", actor=actor_id, error=error.message)
                    self._woken.add(actor_id)
                    await self._clock.sleep(_STORAGE_PAUSE)
        finally:
            del self._couriers[actor_id]

    async def _deliver_waiting(self, actor_id: ActorId) -> None:
        while not self._draining:
            event = await self._database.read(partial(events.next_waiting, actor_id=actor_id))
            if event is None:
                return
            try:
                await self._deliver(event)
            except StorageUnavailable:
                raise
            except Exception:  # noqa: BLE001 - the top of a delivery: a defect costs this event, not those behind it
                _log.exception("event_crashed", actor=actor_id)
                await self._finish(event, "abacod failed")

    async def _deliver(self, event: Delivery) -> None:
        if event.link and not event.linked:
            await self._send_to_link(event)
        if event.webhook:
            await self._call_webhook(event)

    async def _send_to_link(self, event: Delivery) -> None:
        def send(tx: Transaction) -> str | None:
            outcome = self._sent_to_link(tx, event)
            if not events.settle_link(tx, event.seq, outcome):
                raise _DeliveredBefore
            if not event.webhook:
                events.finish(tx, event.seq, self._clock.now(), None)
            return outcome

        try:
            outcome = await self._database.write(send)
        except _DeliveredBefore:
            return
        if outcome == _SENT and event.target:
            self._mailboxes.ring(event.target)
            _log.info("event_linked", actor=event.actor_id, target=event.target)
        else:
            _log.warning("event_not_linked", actor=event.actor_id, link=event.link, reason=outcome)

    def _sent_to_link(self, tx: Transaction, event: Delivery) -> str:
        target = actors.find(tx, event.target) if event.target else None
        if target is None:
            return "there is no such actor"
        if len(event.body.encode()) > MAX_TEXT_BYTES:
            return "the event is larger than what fits into a container's environment"
        message = Message("application/json", event.body, None)
        try:
            enqueue(tx, target, SENDER, message, self._clock.now())
        except ActorShuttingDown:
            return "the actor is being deleted"
        return _SENT

    async def _call_webhook(self, event: Delivery) -> None:
        if event.attempted:
            _log.warning("webhook_failed", actor=event.actor_id, site=site_of(event.webhook), reason=_CUT_OFF)
            await self._finish(event, _CUT_OFF)
            return
        async with self._webhooks.places:
            if self._draining or not await self._mark_attempted(event):
                return
            fields = json.loads(event.body) | {"_abaco_Content_Type": "application/json", "_abaco_username": SENDER}
            answer = await self._webhooks.post(event.webhook, json.dumps(fields, ensure_ascii=False).encode())
        site = site_of(event.webhook)
        if answer.ok:
            _log.info("webhook_answered", actor=event.actor_id, site=site, status=answer.outcome)
        else:
            _log.warning("webhook_failed", actor=event.actor_id, site=site, reason=answer.outcome)
        await self._finish(event, answer.outcome)

    async def _mark_attempted(self, event: Delivery) -> bool:
        return await self._database.write(lambda tx: events.mark_attempted(tx, event.seq, self._clock.now()))

    async def _finish(self, event: Delivery, webhook_outcome: str) -> None:
        while True:
            try:
                return await self._database.write(
                    lambda tx: events.finish(tx, event.seq, self._clock.now(), webhook_outcome)
                )
            except StorageUnavailable as error:
                # Not left to a second round, which would take the webhook for one whose end nobody saw.
                _log.error("events_delayed", actor=event.actor_id, error=error.message)
                await self._clock.sleep(_STORAGE_PAUSE)


class _DeliveredBefore(Exception):
    """Undoes a transaction that would deliver an event a second time, or for an actor that is gone."""


def _tells(actor: Actor) -> bool:
    return bool(actor.definition.link or actor.definition.webhook)


def _event(tx: Transaction, actor: Actor, kind: EventType, moment: datetime, details: Mapping[str, Any]) -> Event:
    link = actor.definition.link
    target = _target(tx, actor.tenant, link) if link else None
    return Event(actor.id, actor.tenant, kind, moment, link, target, actor.definition.webhook, details)


def _target(tx: Transaction, tenant: TenantId, link: str) -> ActorId | None:
    """The actor that a link, an id or an alias, leads to now; None if to none (spec/actors-api 8.2)."""
    try:
        return actors.get(tx, tenant, resolve(tx, tenant, link)).id
    except ActorNotFound:
        return None
