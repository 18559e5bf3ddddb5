"""How many workers a stateless actor has (seeds: Autoscaling Actors; spec/actors-api 6.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from abacod.clock import Clock
from abacod.config_workers import WorkerSettings
from abacod.models.actor import Actor
from abacod.models.states import ActorStatus, WorkerStatus
from abacod.queue.mailboxes import Mailboxes
from abacod.services.pools import Pools
from abacod.services.worker import Worker
from abacod.store import actors
from abacod.store.database import Database


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do for one actor: start `start` workers and stop these."""

    start: int = 0
    stop: tuple[Worker, ...] = ()


def decide(
    queue_length: int, workers: Sequence[Worker], *, limit: int, keeps_one: bool, idle_limit: timedelta, now: datetime
) -> Decision:
    """The rule, without side effects.

    One more worker if more messages wait than workers are free for, up to `limit`. With nothing waiting all idle workers
    end; an actor that `keeps_one` keeps the most recently active one while it is idle for less than `idle_limit`.
    """
    viable = [worker for worker in workers if worker.status.viable]
    if queue_length:
        pending = sum(worker.status is not WorkerStatus.BUSY for worker in viable)
        return Decision(start=int(queue_length > pending and len(viable) < limit))
    idle = [worker for worker in viable if worker.status is WorkerStatus.READY]
    if keeps_one and idle and len(idle) == len(viable):
        newest = max(idle, key=lambda worker: worker.last_active)
        if now - newest.last_active < idle_limit:
            idle.remove(newest)
    return Decision(stop=tuple(idle))


class Autoscaler:
    """Applies the rule to every actor that has messages or workers."""

    def __init__(
        self, database: Database, mailboxes: Mailboxes, pools: Pools, settings: WorkerSettings, clock: Clock
    ) -> None:
        self._database = database
        self._mailboxes = mailboxes
        self._pools = pools
        self._settings = settings
        self._clock = clock

    async def run_once(self) -> None:
        """One look at all of them."""
        concerned = {worker.actor.id for worker in self._pools.all_workers()}
        concerned |= {actor_id for actor_id, length in self._mailboxes.lengths().items() if length}
        for actor_id in concerned:
            actor = await self._database.read(partial(actors.find, actor_id=actor_id))
            if actor is not None:
                self._scale(actor)

    def _scale(self, actor: Actor) -> None:
        if actor.status in (ActorStatus.ERROR, ActorStatus.SHUTTING_DOWN) or not actor.definition.stateless:
            return
        viable = self._pools.viable(actor.id)
        decision = decide(
            len(self._mailboxes.of(actor.id)),
            viable,
            limit=self._pools.limit_of(actor),
            keeps_one=actor.keeps_worker,
            idle_limit=timedelta(seconds=self._settings.sync_idle_seconds),
            now=self._clock.now(),
        )
        for worker in decision.stop:
            worker.stop()
        if decision.start:
            self._pools.grow(actor, len(viable) + decision.start)
