"""Workers over HTTP: list, show, ensure, stop."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, Field

from abacod.api.body import read_fields
from abacod.api.calls import NESTED, Call
from abacod.api.fields import Integer, validated
from abacod.api.reply import NEVER, Moment, Replies, moment
from abacod.api.search import Found, SearchForm
from abacod.ids import WorkerId
from abacod.models.actor import Actor
from abacod.models.states import WorkerStatus
from abacod.models.worker import WorkerRecord
from abacod.services.search import Search
from abacod.services.workers import Workers


class WorkersWanted(BaseModel):
    """How many workers there shall be."""

    num: Annotated[Integer | None, BeforeValidator(lambda value: None if value == "" else value)] = Field(
        None, description="How many at least, a whole number; 1 if not given, or 0."
    )


class WorkerShown(TypedDict):
    """A worker."""

    id: str
    tenant: str
    status: WorkerStatus
    image: str
    location: str
    cid: str
    ch_name: str
    host_id: str
    host_ip: str
    create_time: Moment
    last_execution_time: Moment | Literal["None"]
    last_health_check_time: Moment | Literal["None"]


class WorkersFound(Found):
    """Workers that fit a search."""

    search: Annotated[list[WorkerShown], NESTED]


WorkersListed = list[WorkerShown] | WorkersFound
"""A list, which with any query parameter is a search."""


class WorkersApi:
    """Handlers for workers. `location` is the engine's address, `host_name` and `host_ip` this machine's."""

    def __init__(
        self,
        workers: Workers,
        search: Search,
        replies: Replies,
        form: SearchForm,
        *,
        max_text_bytes: int,
        location: str,
        host_name: str,
        host_ip: str,
    ) -> None:
        self._workers = workers
        self._search = search
        self._replies = replies
        self._form = form
        self._max_text_bytes = max_text_bytes
        self._location = location
        self._host_name = host_name
        self._host_ip = host_ip

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/workers: List an actor's workers, or search them."""
        if self._form.is_asked(call):
            return await self.search(call, "Workers search completed successfully.", call.actor)
        shown = [self.shown(record) for record in self._workers.listed(call.actor)]
        return self._replies.ok(call, shown, "Workers retrieved successfully.")

    async def search(self, call: Call, message: str, actor: Actor | None = None) -> web.StreamResponse:
        """Search the workers of the actors that the caller may read, or those of one actor."""
        query = self._form.query(call)
        found = await self._search.workers(call.caller, query, self._fields, actor.id if actor else None)
        shown = [self.shown(record) for record in found.records]
        return self._form.answer(call, query, shown, found.total, message)

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/workers/{worker}: Show a worker."""
        record = self._workers.get(call.actor, WorkerId(call.parameters["worker"]))
        return self._replies.ok(call, self.shown(record), "Worker retrieved successfully.")

    async def ensure(self, call: Call) -> web.StreamResponse:
        """POST /{actor}/workers: See to it that an actor has at least so many workers."""
        fields = await read_fields(call.request, call.query, self._max_text_bytes)
        wanted = validated(WorkersWanted, fields, "worker").num or 1
        ensured = self._workers.ensure(call.actor, wanted)
        if ensured.started:
            message = (
                f"Scheduled {ensured.started} new worker(s) to start. Previously, there were {ensured.before} workers."
            )
        elif ensured.before >= wanted:
            message = f"Actor {call.actor.id} already had {wanted} worker(s)."
        else:
            message = f"There is no room for more workers now. Actor {call.actor.id} has {ensured.before} worker(s)."
        return self._replies.ok(call, None, message)

    async def stop(self, call: Call) -> web.StreamResponse:
        """DELETE /{actor}/workers/{worker}: Let a worker end after what it does now."""
        self._workers.stop(call.actor, WorkerId(call.parameters["worker"]))
        return self._replies.ok(call, None, "Worker scheduled to be stopped.")

    def shown(self, record: WorkerRecord) -> WorkerShown:
        """The worker as the API shows it (spec/actors-api 1.8).

        A worker here is a task of the daemon, not a container, so `cid` names the worker itself.
        """
        return {
            "id": record.id,
            "tenant": record.tenant,
            "status": record.status,
            "image": record.image,
            "location": self._location,
            "cid": record.id,
            "ch_name": f"worker_{record.id}",
            "host_id": self._host_name,
            "host_ip": self._host_ip,
            "create_time": moment(record.create_time),
            "last_execution_time": moment(record.last_execution_time) or NEVER,
            "last_health_check_time": moment(record.last_health_check_time) or NEVER,
        }

    def _fields(self, record: WorkerRecord) -> dict[str, Any]:
        """The worker as a search compares it: times are moments, and one that has not come yet is null."""
        times = {
            "create_time": record.create_time,
            "last_execution_time": record.last_execution_time,
            "last_health_check_time": record.last_health_check_time,
        }
        return {**self.shown(record), **times}
