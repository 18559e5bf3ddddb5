"""A real daemon: its own process, with a data directory and a port of its own."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

# How long the daemon may take to answer after its start, in seconds.
_START_LIMIT: Final = 60.0
# Pause between two looks at something that is waited for, in seconds.
_LOOK: Final = 0.05

_SETTINGS: Final = """\
data_dir = "{data_dir}"
[engine]
# The image was built here: no registry is asked for it.
pull_policy = "missing"
[workers]
# Each measurement starts the workers it wants; they stay until its end.
autoscaling = false
[daemon_log]
level = "warning"
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running daemon, and a token of an administrator."""

    port: int
    token: str
    session: aiohttp.ClientSession

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


@asynccontextmanager
async def daemon(folder: Path) -> AsyncIterator[Server]:
    """A daemon with its data in `folder`; it is stopped on leaving."""
    config = folder / "abacod.toml"
    config.write_text(_SETTINGS.format(data_dir=folder / "data"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    _abacod("users", "add", "bench", "--role", "abaco_admin", "--password-stdin", config=config, text="not a secret\n")
    token = _abacod("token", "bench", config=config).strip()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "abacod", "serve", "--config", str(config), "--port", str(port)
    )
    try:
        async with aiohttp.ClientSession() as session:
            await _answering(session, process, port)
            yield Server(port, token, session)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


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
