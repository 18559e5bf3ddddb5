"""Logs over HTTP as they come."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from abacod.api.calls import Call, Content
from abacod.api.executions import FOLLOW, ExecutionsApi, execution_id_of
from abacod.api.fields import Boolean, validated
from abacod.api.reply import allow_origin, spelled
from abacod.api.search import SearchForm, SearchParameters
from abacod.errors import Unavailable
from abacod.ids import ExecutionId
from abacod.services.executions import Executions
from abacod.services.follow import LogFollowers

_EVENTS: Final = "text/event-stream"

# Web servers in between are not to gather the log, nor browsers to guess what it is.
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}

STREAM: Final = Content(
    ("text/plain", _EVENTS),
    "With `follow`: the log as it comes, until the execution ends. As events if the client accepts `text/event-stream`: "
    "`log` with a `text`, and at the end one `end` with `status` and `exit_code`.",
)


class LogQuery(SearchParameters):
    """How a log is asked for."""

    follow: Boolean = Field(False, description="Whether to send the log as it comes, until the execution ends.")


class LogsApi:
    """Handlers for logs."""

    def __init__(self, shown: ExecutionsApi, executions: Executions, followers: LogFollowers, form: SearchForm) -> None:
        """`shown` answers with a log as it is now, or searches it."""
        self._shown = shown
        self._form = form
        self._executions = executions
        self._followers = followers

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/executions/{execution}/logs: Show, search or follow what an execution writes."""
        wanted = validated(LogQuery, {name: value for name, value in call.query if name == FOLLOW}, "log request")
        searched = self._form.is_asked(call, beside=FOLLOW)
        if searched or not wanted.follow or call.request.method != "GET":
            return await self._shown.log(call)
        execution_id = execution_id_of(call)
        # Before the answer begins, which can carry no error any more.
        await self._executions.get(call.actor.id, execution_id)
        return await call.while_held(self._follow(call, execution_id))

    async def _follow(self, call: Call, execution_id: ExecutionId) -> web.StreamResponse:
        as_events = _EVENTS in call.request.headers.get("Accept", "").lower()
        response = web.StreamResponse(headers=_HEADERS)
        response.content_type = _EVENTS if as_events else "text/plain"
        response.charset = "utf-8"
        allow_origin(call.request, response)
        await response.prepare(call.request)
        pieces = self._events(call, execution_id) if as_events else self._followers.follow(call.actor.id, execution_id)
        try:
            async for piece in pieces:
                if piece:
                    # Waits for a slow reader; what comes meanwhile is kept where it is kept for all.
                    await response.write(piece.encode())
        except Unavailable:
            # The answer has begun. Without its proper end the client knows that the log goes on.
            if call.request.transport is not None:
                call.request.transport.close()
            return response
        await response.write_eof()
        return response

    async def _events(self, call: Call, execution_id: ExecutionId) -> AsyncIterator[str]:
        """The log as server-sent events. JSON, for a line feed would be lost in them."""
        async for text in self._followers.follow(call.actor.id, execution_id):
            if text:
                yield _event("log", {"text": text})
        ended = await self._executions.get(call.actor.id, execution_id)
        yield _event("end", spelled({"status": ended.status, "exit_code": ended.exit_code}, call.dialect))


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
