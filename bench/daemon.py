"""A real daemon: its own process, with a data directory and a port of its own."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

# How long the daemon may take to answer after its start, in seconds.
_START_LIMIT: Final = 60.0
# Pause between two looks at something that is waited for, in seconds.
_LOOK: Final = 0.02
# The data directory within a home's folder.
_DATA: Final = "data"

_SETTINGS: Final = """\
data_dir = "{data_dir}"
# The image was built here: no registry is asked for it.
engine.pull_policy = "missing"
# Each measurement starts the workers it wants; they stay until its end.
workers.autoscaling = false
daemon_log.level = "error"
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running daemon, and a token of an administrator. `ready_seconds` is how long its start took."""

    port: int
    pid: int
    token: str
    session: aiohttp.ClientSession
    ready_seconds: float

    async def call(self, method: str, path: str, **request: Any) -> Any:
        """The `result` of a call to the actors API, which must succeed."""
        url = f"http://127.0.0.1:{self.port}/v3/actors{path}"
        async with self.session.request(method, url, headers={"X-Tapis-Token": self.token}, **request) as response:
            answer = await response.json()
            if not response.ok:
                raise RuntimeError(f"{method} {path}: {answer['message']}")
            return answer["result"]

    async def register(self, image: str, status: str, **properties: Any) -> str:
        """A new actor, once it has the wanted status; its id."""
        actor = await self.call("POST", "/", json={"image": image, **properties})
        while actor["status"] != status:
            await asyncio.sleep(_LOOK)
            actor = await self.call("GET", f"/{actor['id']}")
        return str(actor["id"])

    async def workers(self, actor: str, wanted: int) -> None:
        """Start workers of the actor, and wait until so many are idle."""
        await self.call("POST", f"/{actor}/workers", json={"num": wanted})
        while True:
            listed = await self.call("GET", f"/{actor}/workers")
            if [each["status"] for each in listed] == ["READY"] * wanted:
                return
            await asyncio.sleep(_LOOK)

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The bytes of a request to the actors API; a `body` is JSON."""
        head = f"{method} /v3/actors{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Tapis-Token: {self.token}\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return f"{head}\r\n".encode() + (body or b"")


@dataclass(frozen=True, slots=True)
class Home:
    """A data directory with an administrator in it."""

    config: Path
    data: Path
    token: str

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Server]:
        """A daemon on the directory; it is stopped on leaving."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "abacod", "serve", "--config", str(self.config), "--port", str(port)
        )
        try:
            async with aiohttp.ClientSession() as session:
                await _answering(session, process, port)
                yield Server(port, process.pid, self.token, session, time.monotonic() - began)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def new_home(folder: Path, settings: str = "") -> Home:
    """A new data directory in `folder`; `settings` are further lines of its settings."""
    config = _configured(folder, settings)
    _abacod("users", "add", "bench", "--role", "abaco_admin", "--password-stdin", config=config, text="not a secret\n")
    return _home(config)


def copied_home(original: Path, folder: Path, settings: str = "") -> Home:
    """A copy in `folder` of a data directory that no daemon uses now."""
    config = _configured(folder, settings)
    shutil.copytree(original, folder / _DATA)
    return _home(config)


def _configured(folder: Path, settings: str) -> Path:
    config = folder / "abacod.toml"
    config.write_text(_SETTINGS.format(data_dir=folder / _DATA) + settings)
    return config


def _home(config: Path) -> Home:
    return Home(config, config.parent / _DATA, _abacod("token", "bench", config=config).strip())


async def _answering(session: aiohttp.ClientSession, process: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(_START_LIMIT):
        while True:
            if process.returncode is not None:
                raise RuntimeError("The daemon ended at its start.")
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
                    if response.ok:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(_LOOK)


def _abacod(*arguments: str, config: Path, text: str | None = None) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "abacod", *arguments, "--config", str(config)]
    return subprocess.run(command, check=True, input=text, stdout=subprocess.PIPE, text=True).stdout
