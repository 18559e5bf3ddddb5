"""The whole server in numbers for everybody, and a whole tenant for its administrators (spec/actors-api 10.3, 10.5)."""

from __future__ import annotations

from typing import Annotated, TypedDict

from aiohttp import web
from pydantic import Field

from abacod.api.actors import ActorsApi, ActorShown
from abacod.api.calls import NESTED, Call
from abacod.api.reply import Replies, spelled
from abacod.api.workers import WorkersApi, WorkerShown
from abacod.ids import ActorId, TenantId, dbid
from abacod.models.states import WorkerStatus
from abacod.models.worker import WorkerRecord
from abacod.services.overview import Overview


class UtilizationShown(TypedDict):
    """How busy the server is, over all tenants."""

    currentActors: int
    totalActors: Annotated[int, Field(description="Deleted ones included.")]
    workers: int
    commandQueue: Annotated[int, Field(description="Workers asked for that are not at work yet.")]


class BusyActorShown(ActorShown):
    """An actor with what it has to do and has done."""

    workers: Annotated[list[WorkerShown], NESTED]
    messages: Annotated[int, Field(description="How many wait.")]
    executions: int
    runtime: Annotated[int, Field(description="Of all its executions, in seconds.")]


class AdminWorker(WorkerShown):
    """A worker and whose it is."""

    actor_id: str
    actor_dbid: str


class WorkersSummary(TypedDict):
    """How many workers there are."""

    total_workers: int
    ready_workers: int
    requested_workers: Annotated[int, Field(description="Those that start.")]
    error_workers: int
    busy_workers: int
    actors_no_workers: Annotated[int, Field(description="Actors that have none.")]


class AdminWorkers(TypedDict):
    """The tenant's workers."""

    summary: Annotated[WorkersSummary, NESTED]
    workers: Annotated[list[AdminWorker], NESTED]


class ExecutionsSummary(TypedDict):
    """Sums over the executions of all actors that ever were, and of those that exist. Seconds, nanoseconds, bytes."""

    total_actors_all: int
    total_actors_all_with_executions: int
    total_executions_all: int
    total_execution_runtime_all: int
    total_execution_cpu_all: int
    total_execution_io_all: int
    total_actors_existing: int
    total_actors_existing_with_executions: int
    total_executions_existing: int
    total_execution_runtime_existing: int
    total_execution_cpu_existing: int
    total_execution_io_existing: int


class ActorTotals(TypedDict):
    """Sums over the executions of one actor. Seconds, nanoseconds, bytes."""

    actor_id: str
    owner: str
    image: str
    total_executions: int
    total_execution_cpu: int
    total_execution_io: int
    total_execution_runtime: int


class AdminExecutions(TypedDict):
    """What the tenant's actors have executed."""

    summary: Annotated[ExecutionsSummary, NESTED]
    actors: Annotated[list[ActorTotals], NESTED]


class AdminApi:
    """Handlers for looks at everything. `actors` and `workers` know how one of these is shown."""

    def __init__(self, overview: Overview, actors: ActorsApi, workers: WorkersApi, replies: Replies) -> None:
        self._overview = overview
        self._actors = actors
        self._workers = workers
        self._replies = replies

    async def utilization(self, _: Call) -> web.StreamResponse:
        """GET /utilization: Tell how busy the server is."""
        now = await self._overview.utilization()
        result: UtilizationShown = {
            "currentActors": now.current_actors,
            "totalActors": now.total_actors,
            "workers": now.workers,
            "commandQueue": now.worker_requests,
        }
        return self._replies.as_is(result, "Abaco utilization returned successfully.")

    async def all_actors(self, call: Call) -> web.StreamResponse:
        """GET /admin: List all actors of the tenant, with what they do and have done."""
        shown: list[BusyActorShown] = [
            {
                **self._actors.shown(busy.actor, call),
                "workers": spelled([self._workers.shown(record) for record in busy.workers], call.dialect),
                "messages": busy.waiting,
                "executions": busy.totals.executions,
                "runtime": busy.totals.runtime,
            }
            for busy in await self._overview.actors(call.caller.tenant)
        ]
        return self._replies.ok(call, shown, "Actors retrieved successfully.")

    async def all_workers(self, call: Call) -> web.StreamResponse:
        """GET /admin/workers: List and count all workers of the tenant."""
        workers, idle_actors = await self._overview.workers(call.caller.tenant)
        statuses = [worker.status for worker in workers]
        summary: WorkersSummary = {
            "total_workers": len(workers),
            "ready_workers": statuses.count(WorkerStatus.READY),
            "requested_workers": sum(status.starting for status in statuses),
            "error_workers": statuses.count(WorkerStatus.ERROR),
            "busy_workers": statuses.count(WorkerStatus.BUSY),
            "actors_no_workers": idle_actors,
        }
        shown = [self._with_actor(worker, call.caller.tenant) for worker in workers]
        result: AdminWorkers = {
            "summary": spelled(summary, call.dialect),
            "workers": spelled(shown, call.dialect),
        }
        return self._replies.ok(call, result, "Workers retrieved successfully.")

    async def all_executions(self, call: Call) -> web.StreamResponse:
        """GET /admin/executions: Sum up all that the tenant's actors have executed."""
        ever, existing, actors = await self._overview.executions(call.caller.tenant)
        summary: ExecutionsSummary = {
            "total_actors_all": ever.actors,
            "total_actors_all_with_executions": ever.with_executions,
            "total_executions_all": ever.totals.executions,
            "total_execution_runtime_all": ever.totals.runtime,
            "total_execution_cpu_all": ever.totals.cpu,
            "total_execution_io_all": ever.totals.io,
            "total_actors_existing": existing.actors,
            "total_actors_existing_with_executions": existing.with_executions,
            "total_executions_existing": existing.totals.executions,
            "total_execution_runtime_existing": existing.totals.runtime,
            "total_execution_cpu_existing": existing.totals.cpu,
            "total_execution_io_existing": existing.totals.io,
        }
        each: list[ActorTotals] = [
            {
                "actor_id": actor.id,
                "owner": actor.owner,
                "image": actor.definition.image,
                "total_executions": totals.executions,
                "total_execution_cpu": totals.cpu,
                "total_execution_io": totals.io,
                "total_execution_runtime": totals.runtime,
            }
            for actor, totals in actors
        ]
        result: AdminExecutions = {
            "summary": spelled(summary, call.dialect),
            "actors": spelled(each, call.dialect),
        }
        return self._replies.ok(call, result, "Executions retrieved successfully.")

    def _with_actor(self, worker: WorkerRecord, tenant: TenantId) -> AdminWorker:
        actor_id: ActorId = worker.actor_id
        return {**self._workers.shown(worker), "actor_id": actor_id, "actor_dbid": dbid(tenant, actor_id)}
