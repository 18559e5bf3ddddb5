"""Webhooks: one POST to an address that a user gave (seeds: Actor Events, Links and WebHooks; spec/actors-api 8.3)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from abacod.config import WebhookSettings

_HEADERS: Final = {"Content-Type": "application/json", "User-Agent": "abacod"}
_OK: Final = range(200, 300)
# What a translating gateway turns into the IPv4 address in the last four bytes (RFC 6052).
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call: `outcome` is the status, or why there is none; it holds nothing of the URL."""

    ok: bool
    outcome: str


class Webhooks:
    """Calls addresses of users, a limited number at a time, and never twice for one event."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self.places = asyncio.Semaphore(settings.at_once)
        """Held by whoever calls `post`."""

    async def post(self, url: str, body: bytes, *, host: str | None = None) -> Answer:
        """Send `body`, which is JSON; redirects are not followed, and of the answer only the head is read.

        With a `host`, which is sent as the name of the server, the address is the daemon's own, and may be a private one.
        """
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                return await self._post(url, body, host)
        except TimeoutError:
            return Answer(ok=False, outcome=f"no answer within {self._settings.timeout_seconds:g} s")
        except aiohttp.ClientConnectorDNSError:
            return Answer(ok=False, outcome="the host name was not found")
        except aiohttp.ClientConnectorError as error:
            return Answer(ok=False, outcome=f"no connection: {error.os_error.strerror or error.os_error}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Not the error's text: that may hold the URL, which may hold a nonce.
            return Answer(ok=False, outcome=f"the call failed: {type(error).__name__}")

    async def _post(self, url: str, body: bytes, host: str | None) -> Answer:
        # A connection of its own for each call: what one host does has no effect on calls of another.
        factory = _public_socket if self._settings.forbid_private_addresses and host is None else None
        headers = _HEADERS if host is None else {**_HEADERS, "Host": host}
        connector = aiohttp.TCPConnector(socket_factory=factory, force_close=True, limit=1)
        async with (
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None)
            ) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            # Leaving without reading closes the connection: the answer's body is of no use to anybody.
            return Answer(ok=response.status in _OK, outcome=str(response.status))


def site_of(url: str) -> str:
    """The part of a webhook that may be logged: its path and query may hold secrets."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return "an address that cannot be read"


def names_private_address(url: str) -> bool:
    """Whether the host of the URL is written as an address that is not public; a name has to be looked up first."""
    try:
        return is_private(urlsplit(url).hostname or "")
    except ValueError:
        return False


def is_private(address: str) -> bool:
    """Whether an IP address is anything but a public one of a single host: this machine, its networks, special ranges.

    Raises:
        ValueError: it is no address.
    """
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if inner is not None:
            return is_private(str(inner))
    return not found.is_global or found.is_multicast or found.is_reserved


def _public_socket(address: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """A socket for one connection. Looked at here is the very address that is connected to next, not an earlier look-up."""
    family, kind, protocol, _, where = address
    if is_private(str(where[0]).partition("%")[0]):
        raise PermissionError("the address is not public, and webhooks.forbid_private_addresses is set")
    return socket.socket(family, kind, protocol)
