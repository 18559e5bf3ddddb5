"""The whole server in numbers, and a whole tenant for its administrators (spec/actors-api 10.3, 10.5)."""

from __future__ import annotations

from collections import defaultdict

from abacod.ids import ActorId, TenantId
from abacod.models.actor import Actor
from abacod.models.execution import Totals
from abacod.models.overview import ActorSums, BusyActor, Utilization
from abacod.models.worker import WorkerRecord
from abacod.queue.mailboxes import Mailboxes
from abacod.services.pools import Pools
from abacod.store import actors, totals
from abacod.store.database import Database, Transaction


class Overview:
    """Looks at everything at once and changes nothing."""

    def __init__(self, database: Database, mailboxes: Mailboxes, pools: Pools) -> None:
        self._database = database
        self._mailboxes = mailboxes
        self._pools = pools

    async def utilization(self) -> Utilization:
        """How busy the server is, over all tenants."""
        current, ever = await self._database.read(lambda tx: (actors.count(tx), totals.actors_ever(tx)))
        workers = [worker for worker in self._pools.all_workers() if worker.actor.builtin is None]
        return Utilization(current, ever, len(workers), self._pools.requests)

    async def actors(self, tenant: TenantId) -> list[BusyActor]:
        """The tenant's actors, oldest first, with what they do and have done."""
        known, sums = await self._database.read(lambda tx: (actors.listed(tx, tenant), totals.by_actor(tx, tenant)))
        waiting = self._mailboxes.lengths()
        workers: defaultdict[ActorId, list[WorkerRecord]] = defaultdict(list)
        for record in self._workers(tenant):
            workers[record.actor_id].append(record)
        return [
            BusyActor(actor, workers[actor.id], waiting.get(actor.id, 0), sums.get(actor.id, Totals()))
            for actor in known
        ]

    async def workers(self, tenant: TenantId) -> tuple[list[WorkerRecord], int]:
        """The tenant's workers, and how many of its actors have none."""
        known = await self._database.read(lambda tx: actors.listed(tx, tenant))
        workers = self._workers(tenant)
        return workers, len({actor.id for actor in known} - {worker.actor_id for worker in workers})

    async def executions(self, tenant: TenantId) -> tuple[ActorSums, ActorSums, list[tuple[Actor, Totals]]]:
        """The sums over all actors that the tenant ever had, over those it has now, and those of each of these."""

        def question(tx: Transaction) -> tuple[ActorSums, ActorSums, list[tuple[Actor, Totals]]]:
            known = actors.listed(tx, tenant)
            each = totals.by_actor(tx, tenant)
            existing = totals.of_tenant(tx, tenant, existing=True)
            return totals.of_tenant(tx, tenant), existing, [(actor, each.get(actor.id, Totals())) for actor in known]

        return await self._database.read(question)

    def _workers(self, tenant: TenantId) -> list[WorkerRecord]:
        every = self._pools.all_workers()
        return [worker.record for worker in every if worker.actor.tenant == tenant and worker.actor.builtin is None]
