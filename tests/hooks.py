"""A server that webhooks call, and that tests make slow, silent or rude."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer


class HookServer:
    """Notes what it is sent, by path. It answers at once, but for paths in `gates`: there once the event is set."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.queries: list[str] = []
        """As they came over the wire."""
        self.at_once = 0
        self.most_at_once = 0
        self.gates: dict[str, asyncio.Event] = {}
        self.answers: dict[str, Callable[[], web.StreamResponse]] = {}
        self.port = 0
        self._called = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator[Self]:
        """A server that listens on this machine."""
        hooks = cls()
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", hooks._handle)
        async with TestServer(application) as server:
            assert server.port
            hooks.port = server.port
            yield hooks
            for gate in hooks.gates.values():
                gate.set()

    def url(self, path: str) -> str:
        """The address of a path, which begins with a slash."""
        return f"http://127.0.0.1:{self.port}{path}"

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """What came for a path, in order."""
        return [body for at, body in self.calls if at == path]

    async def called(self, path: str, times: int = 1) -> list[dict[str, Any]]:
        """Wait until so many calls came for a path; they."""
        while len(self.bodies(path)) < times:
            self._called.clear()
            await self._called.wait()
        return self.bodies(path)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        assert request.method == "POST"
        self.calls.append((request.path, json.loads(await request.read())))
        self.headers.append(dict(request.headers))
        self.queries.append(request.rel_url.raw_query_string)
        self._called.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if gate := self.gates.get(request.path):
                await gate.wait()
        finally:
            self.at_once -= 1
        return self.answers.get(request.path, web.Response)()
