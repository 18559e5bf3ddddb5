"""The container engine: where it is, one connection pool to it, and one translation of what can go wrong on the way.

`EngineUnavailable` means that nobody knows whether the engine did what was asked; `EngineRefused` means that it answered.
Nothing of the Docker client's own types leaves this floor.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar, Final

import aiodocker
import aiohttp
import structlog

from abacod.clock import Clock
from abacod.config import EngineEnvironment, EngineSettings
from abacod.errors import AbacoError, EngineUnavailable

logger = structlog.get_logger()

_FIRST_PAUSE: Final = 0.1
"""Seconds between the first two tries to reach an engine; short, for most restarts of an engine are."""

_MOST_DOUBLINGS: Final = 20
_UNIX: Final = "unix://"
_DOCKER_SOCKET: Final = "/var/run/docker.sock"

_NO_CONNECTION: Final = 900
"""The status under which the client reports that there is no connection."""

_DYING: Final = ("grpc: ", "transport is closing", "ttrpc: closed", "client connection is closing", "containerd.sock")
"""How an engine that is going down excuses itself in a 500; after that nothing is known of what was asked."""


class EngineRefused(AbacoError):
    """The container engine refused a request."""

    status: ClassVar[int] = 500

    def __init__(self, engine_status: int, message: str) -> None:
        """`engine_status` is the HTTP status of the engine's answer, 0 for an error in the middle of a stream."""
        super().__init__(message)
        self.engine_status = engine_status


class Engine:
    """A lazily opened client: without an engine it can be made, and each call says `EngineUnavailable`."""

    def __init__(self, settings: EngineSettings, environment: EngineEnvironment, clock: Clock) -> None:
        self.settings = settings
        self._places = _places(settings.url, environment)
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._client: aiodocker.Docker | None = None
        self._url: str | None = None

    @property
    def socket(self) -> str:
        """The engine's own socket on this machine, for containers that may use the engine."""
        url = self._url or self._places[0]
        return url.removeprefix(_UNIX) if url.startswith(_UNIX) else _DOCKER_SOCKET

    @contextmanager
    def client(self) -> Iterator[aiodocker.Docker]:
        """The Docker client, for one request or stream.

        Raises:
            EngineUnavailable: the engine did not answer; whether it did what was asked is unknown.
            EngineRefused: it answered with an error.
        """
        with self.translated():
            yield self._opened()

    @asynccontextmanager
    async def response(
        self, path: str, params: Mapping[str, str], *, limited: bool = True
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a GET that the client has no method for; raises as `client`.

        `limited` is False for a stream, which may take any time. Read from it inside `translated`: the body of this
        context is not, for an error of whoever is handed the data is no error of the engine.
        """
        with self.translated():
            client = self._opened()
            if client.api_version == "auto":
                client.api_version = "v" + str((await client.version())["ApiVersion"])
            total = self.settings.request_timeout_seconds if limited else None
            url = f"{client.docker_host}/{client.api_version}/{path}"
            response = await client.session.get(url, params=params, timeout=aiohttp.ClientTimeout(total=total))
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise aiodocker.DockerError(response.status, _message(await response.read()))
        async with response:
            yield response

    async def ping(self) -> None:
        """Ask the engine whether it answers; raises `EngineUnavailable` if not."""
        with self.client() as client:
            await client.version()

    async def back(self, tries: int = 0) -> None:
        """Wait until the engine answers, however long that takes; pauses double from 0.1 s up to `retry_max_seconds`.

        `tries` is how often in a row the caller has been here for the same thing.
        """
        while True:
            # The pause comes first: a dying engine may answer a ping and yet fail what is asked next.
            pause = min(_FIRST_PAUSE * 2 ** min(tries, _MOST_DOUBLINGS), self.settings.retry_max_seconds)
            await self._clock.sleep(pause)
            tries += 1
            try:
                await self.ping()
            except (EngineUnavailable, EngineRefused) as error:
                logger.warning("engine_unreachable", reason=error.message)
            else:
                return

    async def close(self) -> None:
        """Close all connections. A later call opens new ones."""
        client, self._client = self._client, None
        session, self._session = self._session, None
        if client is not None:
            await client.close()
        if session is not None:
            await session.close()

    def _opened(self) -> aiodocker.Docker:
        if self._client is None:
            url = self._url = self._found()
            local = url.startswith(_UNIX)
            # The client's own connectors allow 100 connections; each running container holds two as long as it runs.
            connector: aiohttp.BaseConnector = (
                aiohttp.UnixConnector(url.removeprefix(_UNIX), limit=0) if local else aiohttp.TCPConnector(limit=0)
            )
            timeout = aiohttp.ClientTimeout(total=self.settings.request_timeout_seconds)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
            # With a connector of ours the host in a unix URL is only there to make it complete.
            base = f"{_UNIX}localhost" if local else url
            self._client = aiodocker.Docker(url=base, connector=connector, session=self._session, timeout=timeout)
        return self._client

    def _found(self) -> str:
        for url in self._places:
            if not url.startswith(_UNIX) or Path(url.removeprefix(_UNIX)).exists():
                return url
        raise self._unavailable("there is no such socket")

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Around everything that reads from or writes to the engine; raises as `client`."""
        try:
            yield
        except aiodocker.DockerError as error:
            if error.status == _NO_CONNECTION:
                # The client's own words name an address that is made up for sockets.
                raise self._unavailable(str(error.__context__ or error.message)) from error
            if error.status == HTTPStatus.SERVICE_UNAVAILABLE or _is_dying(error):
                raise self._unavailable(str(error.message)) from error
            raise EngineRefused(error.status, str(error.message)) from error
        except TimeoutError as error:
            raise self._unavailable("no answer in time") from error
        except (aiohttp.ClientError, OSError, json.JSONDecodeError) as error:
            # Half an answer is what an engine leaves behind that ends while answering.
            raise self._unavailable(str(error) or type(error).__name__) from error

    def _unavailable(self, reason: str) -> EngineUnavailable:
        return EngineUnavailable(
            f"The container engine at {self._url or ', '.join(self._places)} does not answer: {reason}.",
            hint="Is the engine running, and may this user use its socket (group docker)?",
        )


def _places(url: str | None, environment: EngineEnvironment) -> tuple[str, ...]:
    """Where an engine may be, the likeliest first: what is set counts alone, else the sockets of the known engines."""
    if given := url or environment.docker_host:
        return (given,)
    sockets = [_DOCKER_SOCKET]
    if environment.runtime_dir:
        sockets += [f"{environment.runtime_dir}/docker.sock", f"{environment.runtime_dir}/podman/podman.sock"]
    return tuple(f"{_UNIX}{path}" for path in (*sockets, "/run/podman/podman.sock"))


def _is_dying(error: aiodocker.DockerError) -> bool:
    return error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and any(sign in str(error.message) for sign in _DYING)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")
