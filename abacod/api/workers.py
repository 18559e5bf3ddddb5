"""Workers over HTTP: list, show, ensure, stop."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from abacod.api.body import read_fields, whole_number
from abacod.api.calls import Call
from abacod.api.reply import NEVER, Replies, moment
from abacod.errors import InvalidField
from abacod.ids import WorkerId
from abacod.models.worker import WorkerRecord
from abacod.services.workers import Workers


class WorkersApi:
    """Handlers for workers. `location` is the engine's address, `host_name` and `host_ip` this machine's."""

    def __init__(
        self, workers: Workers, replies: Replies, *, max_text_bytes: int, location: str, host_name: str, host_ip: str
    ) -> None:
        self._workers = workers
        self._replies = replies
        self._max_text_bytes = max_text_bytes
        self._location = location
        self._host_name = host_name
        self._host_ip = host_ip

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/workers"""
        shown = [self._shown(record) for record in self._workers.listed(call.actor)]
        return self._replies.ok(call, shown, "Workers retrieved successfully.")

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/workers/{worker}"""
        record = self._workers.get(call.actor, WorkerId(call.parameters["worker"]))
        return self._replies.ok(call, self._shown(record), "Worker retrieved successfully.")

    async def ensure(self, call: Call) -> web.StreamResponse:
        """POST /{actor}/workers: `num` is how many there shall be at least, 1 if not given."""
        fields = await read_fields(call.request, call.query, self._max_text_bytes)
        wanted = _number(fields.get("num")) or 1
        ensured = self._workers.ensure(call.actor, wanted)
        if ensured.started:
            message = (
                f"Scheduled {ensured.started} new worker(s) to start. Previously, there were {ensured.before} workers."
            )
        else:
            message = f"Actor {call.actor.id} already had {wanted} worker(s)."
        return self._replies.ok(call, None, message)

    async def stop(self, call: Call) -> web.StreamResponse:
        """DELETE /{actor}/workers/{worker}"""
        self._workers.stop(call.actor, WorkerId(call.parameters["worker"]))
        return self._replies.ok(call, None, "Worker scheduled to be stopped.")

    def _shown(self, record: WorkerRecord) -> dict[str, Any]:
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


def _number(value: object) -> int:
    if value is None or value == "":
        return 0
    try:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError
        return value if isinstance(value, int) else whole_number(value)
    except ValueError:
        raise InvalidField("Invalid worker description: num: give a whole number.") from None
