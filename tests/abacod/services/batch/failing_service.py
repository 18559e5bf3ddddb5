"""What the small services of the tests have in common: they listen, note what they are asked, and fail as they are told."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FailingService(ABC):
    """A service. `asked` are the requests in order; `faults` are given once instead of the real answer, by method and path."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.jobs: list[dict[str, Any]] = []
        self.valid = {"fixed"}
        self.hidden: set[Any] = set()
        self.faults: dict[tuple[str, str], list[Fault]] = {}
        self.base_url = ""
        self.hanging = asyncio.Event()
        self.hung = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator[Self]:
        """A service that listens on this machine."""
        service = cls()
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", service._handle)
        async with TestServer(application) as server:
            service.base_url = str(server.make_url("")).rstrip("/")
            yield service
            service.hanging.set()

    def fail(self, method: str, path: str, *faults: Fault) -> None:
        """The next requests of this method and path go wrong so."""
        self.faults.setdefault((method, path), []).extend(faults)

    def count(self, method: str, path: str) -> int:
        """How many requests of this kind came."""
        return self.asked.count((method, path))

    async def hang(self, _: web.Request) -> web.StreamResponse:
        """A fault: no answer."""
        self.hung.set()
        await self.hanging.wait()
        return web.Response(status=500)

    async def take_and_hang_up(self, request: web.Request) -> web.StreamResponse:
        """A fault: the job is taken, and the answer is lost."""
        await self._submit(request)
        assert request.transport
        request.transport.close()
        return web.Response()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        kind = (request.method, request.path)
        self.asked.append(kind)
        if faults := self.faults.get(kind):
            return await faults.pop(0)(request)
        return await self._answer(request)

    @abstractmethod
    async def _answer(self, request: web.Request) -> web.StreamResponse: ...

    @abstractmethod
    async def _submit(self, request: web.Request) -> web.Response: ...
