"""Schedules of actors: a message at every due time (spec/actors-api 10.2)."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.ids import ActorId, Username
from abacod.models.message import Message
from abacod.models.schedule import Schedule
from abacod.models.states import ActorStatus
from abacod.queue.mailboxes import Mailboxes
from abacod.services.enqueue import enqueue
from abacod.store import actors
from abacod.store.database import Database, Transaction

# Runs lie on full hours, when the loop looks; it also looks this often, for schedules that begin `now`. In seconds.
_LOOK: Final = 10.0

_EXECUTOR: Final = Username("cron")
_TEXT: Final = "This is your cron execution"

_log = structlog.get_logger()


class Cron:
    """Sends the messages of all schedules; each of them once, whenever the daemon stops."""

    def __init__(self, database: Database, mailboxes: Mailboxes, clock: Clock) -> None:
        self._database = database
        self._mailboxes = mailboxes
        self._clock = clock

    async def run_once(self) -> None:
        """Send what is due. Of runs that were missed, the last one is made up for."""
        for actor_id in await self._database.read(partial(actors.due, moment=self._clock.now())):
            if await self._database.write(partial(self._sent, actor_id=actor_id)):
                self._mailboxes.ring(actor_id)
                _log.info("cron_sent", actor=actor_id)

    def _sent(self, tx: Transaction, actor_id: ActorId) -> bool:
        """Send the actor's message and set its next run, in one transaction; False if nothing was sent."""
        now = self._clock.now()
        actor = actors.find(tx, actor_id)
        if actor is None or actor.cron_start is None or actor.cron_next is None or actor.cron_next > now:
            return False  # changed or deleted since it was found due
        schedule = Schedule.started(actor.definition.cron_schedule or "", actor.cron_start)
        actors.set_cron_next(tx, actor_id, schedule.next_after(now))
        # In ERROR the actor runs nothing until somebody sees to it: messages of days would then run all at once.
        if not actor.definition.cron_on or actor.status in (ActorStatus.ERROR, ActorStatus.SHUTTING_DOWN):
            return False
        enqueue(tx, actor, _EXECUTOR, Message("str", _TEXT, _TEXT), now)
        return True

    def pause(self) -> float:
        """How long nothing can be due but a schedule that begins now, in seconds."""
        now = self._clock.now()
        next_hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return min(_LOOK, (next_hour - now).total_seconds())
