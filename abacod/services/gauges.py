"""How much there is of everything at one moment, for monitoring (spec/actors-api 10.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from abacod.errors import StorageUnavailable
from abacod.ids import ActorId, TenantId
from abacod.metrics import Gauge
from abacod.models.states import ActorStatus, WorkerStatus
from abacod.queue.mailboxes import Mailboxes
from abacod.services.engine_watch import EngineWatch
from abacod.services.pools import Pools
from abacod.store import actors
from abacod.store.database import Database, Transaction

# Series of which there is one for each actor.
_BY_ACTOR: Final = ("tenant", "actor")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Stored:
    """What only the database knows: how many actors have each status, and the tenants of some of them."""

    by_status: Mapping[ActorStatus, int]
    tenants: Mapping[ActorId, TenantId]


class Gauges:
    """Reads all gauges and changes nothing."""

    def __init__(self, database: Database, mailboxes: Mailboxes, pools: Pools, engine: EngineWatch) -> None:
        self._database = database
        self._mailboxes = mailboxes
        self._pools = pools
        self._engine = engine

    async def read(self) -> list[Gauge]:
        """All gauges now; without those that need the database if it cannot be read.

        Series by actor are only those of actors that exist and have had a message since the start, or have a worker.
        """
        waiting = self._mailboxes.lengths()
        workers = Counter(worker.actor.id for worker in self._pools.all_workers())
        found = await self._stored(waiting.keys() | workers.keys())
        gauges = [
            Gauge(
                "abacod_engine_up", "Whether the container engine answers.", (), [((), self._engine.trouble is None)]
            ),
            Gauge("abacod_database_up", "Whether the database can be read.", (), [((), found is not None)]),
            Gauge("abacod_messages_waiting", "Messages that wait.", (), [((), sum(waiting.values()))]),
            Gauge("abacod_workers", "Workers by status.", ("status",), self._workers_by_status()),
            Gauge("abacod_worker_requests", "Workers that are not at work yet.", (), [((), self._pools.requests)]),
        ]
        if found is None:
            return gauges
        by_status = [((status,), found.by_status.get(status, 0)) for status in ActorStatus]
        return [
            *gauges,
            Gauge("abacod_actors", "Actors by status.", ("status",), by_status),
            Gauge(
                "abacod_actor_messages_waiting", "Messages that wait for an actor.", _BY_ACTOR, _each(found, waiting)
            ),
            Gauge("abacod_actor_workers", "Workers of an actor.", _BY_ACTOR, _each(found, workers)),
        ]

    async def _stored(self, actor_ids: set[ActorId]) -> _Stored | None:
        def question(tx: Transaction) -> _Stored:
            return _Stored(actors.count_by_status(tx), actors.tenants_of(tx, actor_ids))

        try:
            return await self._database.read(question)
        except StorageUnavailable as error:
            _log.warning("gauges_incomplete", error=error.message)
            return None

    def _workers_by_status(self) -> list[tuple[tuple[str], int]]:
        counted = Counter(worker.status for worker in self._pools.all_workers())
        return [((status,), counted[status]) for status in WorkerStatus]


def _each(found: _Stored, counted: Mapping[ActorId, int]) -> list[tuple[tuple[str, str], int]]:
    return [((tenant, actor_id), counted.get(actor_id, 0)) for actor_id, tenant in found.tenants.items()]
