"""Executions over HTTP: list, show, halt, logs."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from abacod.api.calls import Call
from abacod.api.reply import Replies, camel_case, moment
from abacod.ids import ExecutionId
from abacod.models.execution import Execution
from abacod.services.executions import Executions


class ExecutionsApi:
    """Handlers for executions and their logs."""

    def __init__(self, executions: Executions, replies: Replies) -> None:
        self._executions = executions
        self._replies = replies

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/executions"""
        newest, totals = await self._executions.listed(call.actor.id)
        actor = self._replies.actor_link(call.dialect, call.actor.id)
        shown = [
            {
                "id": execution.id,
                "status": execution.status,
                "start_time": moment(execution.start_time),
                "finish_time": moment(execution.finish_time),
                "message_received_time": moment(execution.message_received_time),
            }
            for execution in newest
        ]
        if call.dialect.camel_case:
            shown = [{camel_case(name): value for name, value in item.items()} for item in shown]
        result = {
            "actor_id": call.actor.id,
            "api_server": self._replies.public_url,
            "owner": call.actor.owner,
            "executions": shown,
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

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/executions/{execution}"""
        execution = await self._executions.get(call.actor.id, _execution_id(call))
        return self._replies.ok(call, self._shown(execution, call), "Actor execution retrieved successfully.")

    async def halt(self, call: Call) -> web.StreamResponse:
        """DELETE /{actor}/executions/{execution}"""
        execution_id = _execution_id(call)
        await self._executions.halt(call.actor.id, execution_id)
        return self._replies.ok(call, None, f"Issued force quit command for execution {execution_id}.")

    async def log(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/executions/{execution}/logs"""
        execution_id = _execution_id(call)
        execution = self._replies.execution_link(call.dialect, call.actor.id, execution_id)
        result = {
            "logs": await self._executions.log(call.actor.id, execution_id),
            "_links": {
                "self": f"{execution}/logs",
                "owner": self._replies.profile_link(call.dialect, call.actor.owner),
                "execution": execution,
            },
        }
        return self._replies.ok(call, result, "Logs retrieved successfully.")

    def _shown(self, execution: Execution, call: Call) -> dict[str, Any]:
        own = self._replies.execution_link(call.dialect, call.actor.id, execution.id)
        return {
            "id": execution.id,
            "actor_id": execution.actor_id,
            "api_server": self._replies.public_url,
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


def _execution_id(call: Call) -> ExecutionId:
    return ExecutionId(call.parameters["execution"])
