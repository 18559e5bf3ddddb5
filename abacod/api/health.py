"""Whether the daemon lives and can serve; for systemd, monitors and scripts."""

from __future__ import annotations

from typing import Literal, TypedDict

from aiohttp import web

from abacod.api.calls import Call
from abacod.api.reply import envelope
from abacod.services.status import Status


class Alive(TypedDict):
    """The daemon answers."""

    alive: Literal[True]


class Ready(TypedDict):
    """What the daemon depends on: `ok`, or what is wrong."""

    database: str
    engine: str


class HealthApi:
    """Handlers for /healthz and /readyz; neither needs credentials."""

    def __init__(self, status: Status) -> None:
        self._status = status

    async def alive(self, _: Call) -> web.StreamResponse:
        """GET /healthz: Tell that the daemon lives."""
        result: Alive = {"alive": True}
        return envelope(result, "The daemon is alive.", status=200)

    async def ready(self, _: Call) -> web.StreamResponse:
        """GET /readyz: Tell whether the daemon can serve; 503 names what does not answer."""
        readiness = await self._status.readiness()
        result: Ready = {"database": readiness.database or "ok", "engine": readiness.engine or "ok"}
        if readiness.ready:
            return envelope(result, "The daemon is ready.", status=200)
        silent = " and ".join(name for name, state in result.items() if state != "ok")
        return envelope(result, f"Not ready: the {silent} does not answer.", status=503, kind="error")
