"""The door for containers: where the server listens beside its own address, so that containers reach it."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Final

import structlog
from aiohttp import web

# Connections the kernel keeps waiting while the daemon is busy, in connections.
BACKLOG: Final = 1024

_HINT: Final = (
    "Programs in containers cannot call this API. Set runs.api_server to a URL under which they reach it, or "
    'engine.network to "host".'
)

_log = structlog.get_logger()


class Door:
    """Listens on the gateway of the containers' network where the server's own address does not cover it."""

    def __init__(self, listener: socket.socket, *, may_listen: bool) -> None:
        """`listener` is the server's own socket; `may_listen` is the setting `server.listen_for_containers`."""
        self._own = ipaddress.ip_address(listener.getsockname()[0])
        self._port = int(listener.getsockname()[1])
        self._may_listen = may_listen
        self._runner: web.BaseRunner | None = None
        self._socket: socket.socket | None = None
        self._site: web.SockSite | None = None
        self._warned_of: str | None = None

    async def open(self, gateway: str) -> bool:
        """Whether the server can be reached at this address, which it listens on if it may and must.

        An earlier door is closed if this is another address.
        """
        address = ipaddress.ip_address(gateway)
        if self._own == address:
            return True
        if self._own.is_unspecified and address.version == self._own.version:
            return self._is_here(gateway)
        if not self._may_listen or not (self._own.is_loopback or self._own.is_unspecified):
            return False
        if self._socket is not None and self._socket.getsockname()[0] == gateway:
            return True
        await self._shut()
        self._socket = self._bound(gateway, self._port)
        if self._socket is None:
            return False
        _log.info("listening_for_containers", address=gateway, port=self._port)
        await self._serve()
        return True

    async def lead_to(self, runner: web.BaseRunner) -> None:
        """Serve those who come through the door, from now on; who came before waits in the kernel."""
        self._runner = runner
        await self._serve()

    async def close(self) -> None:
        """Listen no more, whoever asks for it."""
        self._may_listen = False
        await self._shut()

    async def _shut(self) -> None:
        site, self._site = self._site, None
        door, self._socket = self._socket, None
        if site is not None:
            await site.stop()
        if door is not None:
            door.close()

    async def _serve(self) -> None:
        if self._runner is not None and self._socket is not None and self._site is None:
            self._site = web.SockSite(self._runner, self._socket)
            await self._site.start()

    def _is_here(self, gateway: str) -> bool:
        """Whether this is an address of this machine; containers of rootless engines have gateways elsewhere."""
        probe = self._bound(gateway, 0)
        if probe is None:
            return False
        probe.close()
        return True

    def _bound(self, gateway: str, port: int) -> socket.socket | None:
        """A socket that listens there, None if it cannot be had; that is told once for each gateway."""
        family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
        try:
            return socket.create_server((gateway, port), family=family, backlog=BACKLOG)
        except OSError as error:
            if self._warned_of != gateway:
                _log.warning("no_door_for_containers", gateway=gateway, reason=_reason(error), hint=_HINT)
            self._warned_of = gateway
            return None


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRNOTAVAIL:
        return "the gateway of the containers' network is no address of this machine, as with rootless engines"
    return error.strerror or str(error)
