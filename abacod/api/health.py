"""Whether the daemon lives and can serve; for systemd, monitors and scripts."""

from __future__ import annotations

from aiohttp import web

from abacod.api.calls import Call
from abacod.api.reply import envelope
from abacod.services.status import Status


class HealthApi:
    """Handlers for /healthz and /readyz; neither needs credentials."""

    def __init__(self, status: Status) -> None:
        self._status = status

    async def alive(self, _: Call) -> web.StreamResponse:
        """GET /healthz"""
        return envelope({"alive": True}, "The daemon is alive.", status=200)

    async def ready(self, _: Call) -> web.StreamResponse:
        """GET /readyz: 503 names what does not answer."""
        readiness = await self._status.readiness()
        result = {"database": readiness.database or "ok", "engine": readiness.engine or "ok"}
        if readiness.ready:
            return envelope(result, "The daemon is ready.", status=200)
        silent = " and ".join(name for name in ("database", "engine") if result[name] != "ok")
        return envelope(result, f"Not ready: the {silent} does not answer.", status=503, kind="error")
