"""Actors with the hint `resident`, beside the same processes behind a proxy that stores nothing.

There are as many processes as clients on both sides: the sender of a synchronous message is refused if many wait.
"""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import aiodocker
import aiohttp
from aiohttp import web

import reactors
from bench.bare import own_process
from bench.daemon import Server
from bench.load import Load, load
from bench.measure import Bench, Line, Measure, in_turn, least, most
from tests.python_image import built_python_image

_CLIENTS: Final = (1, 8, 32)
_REPETITIONS: Final = 5
# Length of one repetition, in seconds.
_SECONDS: Final = 2.0
# The goal for one client's 99th percentile, in milliseconds.
_P99: Final = 5
_START_LIMIT: Final = 60.0
_LOOK: Final = 0.05
_MESSAGE: Final = "Actor, please count these words."
# Answers with what the message says.
_PROGRAM: Final = "from reactors.runtime import serve; serve(lambda context: context.raw_message)"
_SDK: Final = Path(reactors.__file__).parent
_MOUNTED: Final = [(_SDK / name, f"/sdk/reactors/{name}") for name in ("__init__.py", "runtime")]
_ENVIRONMENT: Final = {"PROGRAM": _PROGRAM, "PYTHONPATH": "/sdk"}
_DOOR: Final = "/door"
_SOCKET: Final = "socket"


async def _run(bench: Bench) -> Sequence[Line]:
    image = await built_python_image()
    mounts = ", ".join(f'"{host}:{there}:ro"' for host, there in _MOUNTED)
    lines: list[Line] = []
    async with bench.daemon(f"runs.mounts = [{mounts}]\n") as server:
        for clients in _CLIENTS:
            lines += await _measured(bench, server, image, clients)
    return lines


async def _measured(bench: Bench, server: Server, image: str, clients: int) -> list[Line]:
    actor = await server.register(
        image, "READY", max_workers=clients, hints=["resident"], default_environment=_ENVIRONMENT
    )
    await server.workers(actor, clients)
    request = _request(server.request, f"/{actor}/messages?_abaco_synchronous=true")
    async with _processes(bench.folder(), image, clients) as sockets:
        with own_process(_serve, sockets) as proxy:
            ask = partial(load, request=request, connections=clients, seconds=_SECONDS)
            # Every worker has its process before the first answer counts.
            await ask(server.port)
            ours, bare = await in_turn(_REPETITIONS, partial(ask, server.port), partial(ask, proxy))
    await server.call("DELETE", f"/{actor}")
    what, floor = "synchronous message to a `resident` actor", "the same processes behind a bare aiohttp proxy"
    rates = f"{what}, {clients} clients and processes, messages/s"
    late = f"{what}, {clients} clients and processes, 99th percentile, ms"
    return [
        Line(rates, [each.rate for each in ours], least(0.35), floor, [each.rate for each in bare]),
        Line(late, _p99(ours), most(_P99, of="value") if clients == 1 else None, floor, _p99(bare)),
    ]


def _request(made: Any, path: str) -> bytes:
    """The bytes of a request with the message as JSON."""
    return bytes(made("POST", path, f'{{"message": "{_MESSAGE}"}}'.encode()))


def _p99(loads: Sequence[Load]) -> list[float]:
    return [each.percentile(99) * 1000 for each in loads]


# --- the floor ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _processes(folder: Path, image: str, count: int) -> AsyncIterator[list[str]]:
    """The sockets of so many containers with the program, which all answer."""
    async with aiodocker.Docker() as engine, AsyncExitStack() as stack:
        sockets = []
        for number in range(count):
            door = folder / str(number)
            door.mkdir()
            door.chmod(0o777)
            variables = {**_ENVIRONMENT, "_abaco_resident_socket": f"{_DOOR}/{_SOCKET}"}
            binds = [f"{door}:{_DOOR}", *(f"{host}:{there}:ro" for host, there in _MOUNTED)]
            config: dict[str, Any] = {
                "Image": image,
                "Env": [f"{name}={value}" for name, value in variables.items()],
                "HostConfig": {"Binds": binds},
            }
            container = await engine.containers.create(config)
            stack.push_async_callback(container.delete, force=True)
            await container.start()
            sockets.append(str(door / _SOCKET))
        give_up = time.monotonic() + _START_LIMIT
        while not all(_listens(each) for each in sockets):
            if time.monotonic() > give_up:
                raise RuntimeError("A container of the floor does not listen.")
            await asyncio.sleep(_LOOK)
        yield sockets


def _listens(path: str) -> bool:
    return Path(path).exists() and stat.S_ISSOCK(Path(path).stat().st_mode)


async def _serve(told: Connection, sockets: list[str]) -> None:
    free: asyncio.Queue[aiohttp.ClientSession] = asyncio.Queue()
    for path in sockets:
        free.put_nowait(aiohttp.ClientSession(connector=aiohttp.UnixConnector(path, limit=1)))

    async def passed_on(request: web.Request) -> web.Response:
        message = (await request.json())["message"]
        session = await free.get()
        try:
            async with session.post("http://localhost/", data=message) as answer:
                return web.Response(body=await answer.read(), content_type="application/octet-stream")
        finally:
            free.put_nowait(session)

    app = web.Application()
    app.router.add_post("/v3/actors/{actor}/messages", passed_on)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told.send(runner.addresses[0][1])
    await asyncio.Event().wait()


MEASURE: Final = Measure("resident", 600, _run)
