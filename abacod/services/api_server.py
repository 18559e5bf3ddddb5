"""Under which URL containers reach this server: the variable `_abaco_api_server` (docs/reference/container.md)."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from abacod.config import Settings
from abacod.errors import EngineUnavailable
from abacod.runtime.run import Runtime
from abacod.services.engine_watch import EngineWatch

OpenDoor = Callable[[str], Awaitable[bool]]
"""See to it that this server can be reached at an address of this machine; whether it can."""

_LOOPBACK_NAMES: Final = ("localhost", "ip6-localhost")


class ApiServer:
    """Finds the URL once the engine answers, and again whenever the engine comes back: its networks may have changed."""

    def __init__(self, runtime: Runtime, engine: EngineWatch, settings: Settings, open_door: OpenDoor) -> None:
        """What is set counts; else it is this machine's address on the containers' network, if `open_door` opens it."""
        self._runtime = runtime
        self._engine = engine
        self._open_door = open_door
        self._public_url = settings.public_url
        self._port = settings.server.port
        self._given = settings.runs.api_server
        if self._given is None and settings.server.public_url and not is_loopback(settings.public_url):
            self._given = settings.public_url
        self._found: str | None = None
        self._one_at_a_time = asyncio.Lock()

    async def url(self) -> str:
        """The URL, without a slash at its end.

        Raises:
            EngineUnavailable: it is not known yet, and the engine cannot be asked.
        """
        if self._given is not None:
            return self._given.rstrip("/")
        async with self._one_at_a_time:
            if self._found is None:
                self._found = await self._find()
            return self._found

    async def run(self) -> None:
        """Look again whenever the engine comes back."""
        while self._given is None:
            await self._engine.until_up()
            try:
                async with self._one_at_a_time:
                    self._found = await self._find()
            except EngineUnavailable as error:
                self._engine.lost(error)
                continue
            await self._engine.until_away()

    async def _find(self) -> str:
        gateway = await self._runtime.gateway()
        if gateway is None or not await self._open_door(gateway):
            return self._public_url
        return f"http://{_in_url(gateway)}:{self._port}"


def is_loopback(url: str) -> bool:
    """Whether the URL leads to whoever uses it, and so never from a container to this server."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOOPBACK_NAMES


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
