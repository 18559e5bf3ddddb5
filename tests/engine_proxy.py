"""A socket between a runtime and the real engine, whose line a test can cut: the engine goes away and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class EngineProxy:
    """Forwards connections to the engine's socket."""

    def __init__(self, path: Path, engine_socket: str) -> None:
        self.url = f"unix://{path}"
        self.swallow: bytes | None = None
        """A piece of a request after which its answer never comes: the line is cut once the engine has answered."""
        self.drop: bytes | None = None
        """A piece of a request that never reaches the engine: the line is cut before."""
        self.cuts = asyncio.Event()
        """Set when `swallow` or `drop` have cut the line."""
        self._path = path
        self._engine_socket = engine_socket
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def up(self) -> None:
        """Take connections."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    def down(self) -> None:
        """Close all connections and take no more."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)
        for writer in self._writers:
            writer.close()

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        engine_in, engine_out = await asyncio.open_unix_connection(self._engine_socket)
        self._writers |= {client_out, engine_out}
        swallowing = asyncio.Event()

        async def requests() -> None:
            while data := await client_in.read(65536):
                if self.drop is not None and self.drop in data:
                    self._cut()
                    return
                if self.swallow is not None and self.swallow in data:
                    swallowing.set()
                engine_out.write(data)
                await engine_out.drain()
            if engine_out.can_write_eof():
                engine_out.write_eof()

        async def answers() -> None:
            while data := await engine_in.read(65536):
                if swallowing.is_set():
                    self._cut()
                    return
                client_out.write(data)
                await client_out.drain()
            client_out.close()

        with suppress(ConnectionError, RuntimeError):
            await asyncio.gather(requests(), answers())
        for writer in (client_out, engine_out):
            self._writers.discard(writer)
            writer.close()

    def _cut(self) -> None:
        self.swallow = self.drop = None
        self.down()
        self.cuts.set()


@asynccontextmanager
async def engine_proxy(directory: Path, engine_socket: str) -> AsyncIterator[EngineProxy]:
    """A proxy that is up, with its socket in `directory`."""
    proxy = EngineProxy(directory / "engine.sock", engine_socket)
    await proxy.up()
    try:
        yield proxy
    finally:
        proxy.down()
