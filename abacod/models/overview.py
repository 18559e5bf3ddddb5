"""What administrators see of a whole tenant, and everybody of the whole server, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from abacod.models.actor import Actor
from abacod.models.execution import Totals
from abacod.models.worker import WorkerRecord


@dataclass(frozen=True, slots=True)
class Utilization:
    """How busy the server is, over all tenants (spec/actors-api 10.3).

    `worker_requests` are workers that have been asked for and are not at work yet.
    """

    current_actors: int
    total_actors: int
    workers: int
    worker_requests: int


@dataclass(frozen=True, slots=True)
class ActorSums:
    """Some actors together: how many they are, how many of them ever had an execution, and the sums over all of those."""

    actors: int
    with_executions: int
    totals: Totals


@dataclass(frozen=True, slots=True)
class BusyActor:
    """An actor with what it has to do and has done. `waiting` messages are in its mailbox."""

    actor: Actor
    workers: list[WorkerRecord]
    waiting: int
    totals: Totals
