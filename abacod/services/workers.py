"""Look at an actor's workers; ask for more of them or for the end of one (spec/actors-api 6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from abacod.config_workers import WorkerSettings
from abacod.errors import InvalidField, Unavailable, WorkerNotFound
from abacod.ids import WorkerId
from abacod.models.actor import Actor
from abacod.models.worker import WorkerRecord
from abacod.services.pools import Pools


@dataclass(frozen=True, slots=True)
class Ensured:
    """What came of a request for workers: how many there were, and how many more start."""

    before: int
    started: int


class Workers:
    """The use-cases of workers."""

    def __init__(self, pools: Pools, settings: WorkerSettings, compat: Literal["documented", "abaco"]) -> None:
        self._pools = pools
        self._settings = settings
        self._compat = compat

    def listed(self, actor: Actor) -> list[WorkerRecord]:
        """The actor's workers, oldest first."""
        return [worker.record for worker in self._pools.workers_of(actor.id)]

    def get(self, actor: Actor, worker_id: WorkerId) -> WorkerRecord:
        """One worker.

        Raises:
            WorkerNotFound: the actor has no such worker.
        """
        for worker in self._pools.workers_of(actor.id):
            if worker.id == worker_id:
                return worker.record
        raise WorkerNotFound

    def ensure(self, actor: Actor, wanted: int) -> Ensured:
        """See to it that the actor has at least `wanted` workers, as far as the limits allow.

        Raises:
            InvalidField: the number makes no sense, or the actor is stateful and would get a second worker.
            Unavailable: the daemon still takes up what an earlier one left, or stops.
        """
        most = self._settings.queue_limit(actor.definition.queue)
        if wanted < 1 or wanted > most:
            raise InvalidField(f"Invalid worker description: num: give a whole number from 1 to {most}.")
        if wanted > 1 and not actor.definition.stateless and self._compat == "documented":
            raise InvalidField("Invalid worker description: num: stateful actors can only have 1 worker.")
        if not self._pools.may_start:
            raise Unavailable(
                "No worker is started yet, or any more: the daemon begins or stops. Try again in a moment."
            )
        before = len(self._pools.viable(actor.id))
        return Ensured(before, self._pools.grow(actor, wanted))

    def stop(self, actor: Actor, worker_id: WorkerId) -> None:
        """Ask a worker to end after what it does now.

        Raises:
            WorkerNotFound: the actor has no such worker.
        """
        for worker in self._pools.workers_of(actor.id):
            if worker.id == worker_id:
                worker.stop()
                return
        raise WorkerNotFound
