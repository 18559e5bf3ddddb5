"""Executions over HTTP: list, show, halt, results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypedDict

from aiohttp import web
from pydantic import Field

from abacod.api.calls import NESTED, Call
from abacod.api.reply import Moment, Replies, moment, octets, spelled
from abacod.api.search import Found, SearchForm
from abacod.ids import ActorId, ExecutionId, Username
from abacod.models.actor import Actor
from abacod.models.execution import Execution
from abacod.models.states import ExecutionStatus
from abacod.services.executions import Executions
from abacod.services.results import Results
from abacod.services.search import Search

FOLLOW: Final = "follow"
"""Parameter of a log that a client follows; no field to search."""


class ExecutionBrief(TypedDict):
    """What a list shows of an execution."""

    id: str
    status: ExecutionStatus
    start_time: Moment | None
    finish_time: Moment | None
    message_received_time: Moment


class ListLinks(TypedDict):
    """Addresses that belong to a list of executions."""

    self: str
    owner: str


class ExecutionList(TypedDict):
    """An actor's newest executions, and sums over all it ever had."""

    actor_id: str
    api_server: str
    owner: str
    executions: Annotated[list[ExecutionBrief], NESTED]
    total_executions: int
    total_cpu: Annotated[int, Field(description="In nanoseconds.")]
    total_io: Annotated[int, Field(description="In bytes.")]
    total_runtime: Annotated[int, Field(description="In seconds.")]
    _links: ListLinks


class ExecutionLinks(TypedDict):
    """Addresses that belong to an execution."""

    self: str
    owner: str
    logs: str


class ExecutionRecord(TypedDict):
    """An execution as a search shows it."""

    id: str
    actor_id: str
    executor: Annotated[str, Field(description="Who sent the message.")]
    executor_uid: int | None
    executor_gid: int | None
    worker_id: str | None
    message_received_time: Moment
    start_time: Moment | None
    finish_time: Moment | None
    runtime: Annotated[int, Field(description="In seconds.")]
    cpu: Annotated[int, Field(description="In nanoseconds.")]
    io: Annotated[int, Field(description="Bytes received and sent.")]
    status: ExecutionStatus
    exit_code: int | None
    final_state: Mapping[str, Any] | None
    _links: ExecutionLinks


class ExecutionShown(ExecutionRecord):
    """An execution."""

    api_server: str


class ExecutionsFound(Found):
    """Executions that fit a search."""

    search: Annotated[list[ExecutionRecord], NESTED]


ExecutionsListed = ExecutionList | ExecutionsFound
"""A list, which with any query parameter is a search."""


class LogLinks(TypedDict):
    """Addresses that belong to a log."""

    self: str
    owner: str
    execution: str


class LogShown(TypedDict):
    """What a container has written so far."""

    logs: str
    _links: LogLinks


class LogsFound(Found):
    """Logs that fit a search."""

    search: Annotated[list[LogShown], NESTED]


class ExecutionsApi:
    """Handlers for executions and their results and logs."""

    def __init__(
        self, executions: Executions, results: Results, search: Search, replies: Replies, form: SearchForm
    ) -> None:
        self._executions = executions
        self._results = results
        self._search = search
        self._replies = replies
        self._form = form

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/executions: List an actor's executions with sums over all of them, or search them."""
        if self._form.is_asked(call):
            return await self.search(call, "Executions search completed successfully.", call.actor)
        newest, totals = await self._executions.listed(
            call.actor.id, call.caller.username if call.named.only_own else None
        )
        actor = self._replies.actor_link(call.dialect, call.actor.id)
        shown: list[ExecutionBrief] = [
            {
                "id": execution.id,
                "status": execution.status,
                "start_time": moment(execution.start_time),
                "finish_time": moment(execution.finish_time),
                "message_received_time": moment(execution.message_received_time),
            }
            for execution in newest
        ]
        result: ExecutionList = {
            "actor_id": call.actor.id,
            "api_server": self._replies.public_url,
            "owner": call.actor.owner,
            "executions": spelled(shown, call.dialect),
            "total_executions": totals.executions,
            "total_cpu": totals.cpu,
            "total_io": totals.io,
            "total_runtime": totals.runtime,
            "_links": {
                "self": f"{actor}/executions",
                "owner": self._replies.profile_link(call.dialect, call.actor.owner),
            },
        }
        return self._replies.ok(call, result, "Actor executions retrieved successfully.")

    async def search(self, call: Call, message: str, actor: Actor | None = None) -> web.StreamResponse:
        """Search the executions that the caller may read, or those of one actor."""
        query = self._form.query(call)
        found = await self._search.executions(call.caller, query, actor.id if actor else None)
        shown = [self._record(execution, call) for execution in found.records]
        return self._form.answer(call, query, shown, found.total, message)

    async def search_logs(
        self, call: Call, message: str, actor_id: ActorId | None = None, execution_id: ExecutionId | None = None
    ) -> web.StreamResponse:
        """Search the logs that the caller may read, or the one of an execution."""
        query = self._form.query(call, beside=FOLLOW if execution_id else None)
        found = await self._search.logs(call.caller, query, actor_id, execution_id)
        shown = [
            self._log(call, log.execution.actor_id, log.execution.id, log.owner, log.text) for log in found.records
        ]
        return await self._form.long_answer(call, query, shown, found.total, message)

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/executions/{execution}: Show an execution."""
        execution = await self._executions.get(call.actor.id, execution_id_of(call))
        return self._replies.ok(call, self._shown(execution, call), "Actor execution retrieved successfully.")

    async def halt(self, call: Call) -> web.StreamResponse:
        """DELETE /{actor}/executions/{execution}: Stop an execution, or cancel one that waits."""
        execution_id = execution_id_of(call)
        await self._executions.halt(call.actor.id, execution_id)
        return self._replies.ok(call, None, f"Issued force quit command for execution {execution_id}.")

    async def result(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/executions/{execution}/results: Take the execution's oldest result."""
        execution_id = execution_id_of(call)
        if call.request.method == "HEAD":
            # Nobody would get what is taken here.
            await self._results.waiting(call.actor.id, execution_id)
            return octets(b"")
        return octets(await self._results.pop(call.actor.id, execution_id) or b"")

    async def posted_result(self, call: Call) -> web.StreamResponse:
        """POST /{actor}/executions/{execution}/results: Take the oldest result, for clients that ask with POST."""
        return await self.result(call)

    async def log(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/executions/{execution}/logs: Show, or search, what an execution has written so far."""
        execution_id = execution_id_of(call)
        if self._form.is_asked(call, beside=FOLLOW):
            await self._executions.get(call.actor.id, execution_id)
            return await self.search_logs(call, "Log search completed successfully.", call.actor.id, execution_id)
        text = await self._executions.log(call.actor.id, execution_id)
        result = self._log(call, call.actor.id, execution_id, call.actor.owner, text)
        return await self._replies.long(spelled(result, call.dialect), "Logs retrieved successfully.")

    def _log(self, call: Call, actor_id: ActorId, execution_id: ExecutionId, owner: Username, text: str) -> LogShown:
        execution = self._replies.execution_link(call.dialect, actor_id, execution_id)
        return {
            "logs": text,
            "_links": {
                "self": f"{execution}/logs",
                "owner": self._replies.profile_link(call.dialect, owner),
                "execution": execution,
            },
        }

    def _shown(self, execution: Execution, call: Call) -> ExecutionShown:
        return {**self._record(execution, call), "api_server": self._replies.public_url}

    def _record(self, execution: Execution, call: Call) -> ExecutionRecord:
        own = self._replies.execution_link(call.dialect, execution.actor_id, execution.id)
        return {
            "id": execution.id,
            "actor_id": execution.actor_id,
            "executor": execution.executor,
            "executor_uid": execution.executor_uid,
            "executor_gid": execution.executor_gid,
            "worker_id": execution.worker_id,
            "message_received_time": moment(execution.message_received_time),
            "start_time": moment(execution.start_time),
            "finish_time": moment(execution.finish_time),
            "runtime": execution.runtime,
            "cpu": execution.cpu,
            "io": execution.io,
            "status": execution.status,
            "exit_code": execution.exit_code,
            "final_state": execution.final_state,
            "_links": {
                "self": own,
                "owner": self._replies.profile_link(call.dialect, execution.executor),
                "logs": f"{own}/logs",
            },
        }


def execution_id_of(call: Call) -> ExecutionId:
    """The execution that the path names."""
    return ExecutionId(call.parameters["execution"])
