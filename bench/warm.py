"""Actors with the hints `warm` and `sync`: beside a bare loop in a container, a process on this machine, and a cold container."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import aiodocker

from bench import cold
from bench.cold import IMAGE, MESSAGE
from bench.daemon import Server
from bench.measure import Bench, Line, Measure, in_turn, least, most

_BUSYBOX: Final = Path("/bin/busybox")
# Nothing but a loop that starts the program with its message, output to a file, and tells its exit code.
_LOOP: Final = """
exec 3<>/loop/in 4<>/loop/out
while read -r message <&3; do
  /loop/busybox env MSG="$message" /bin/busybox sh /word-count.sh >/loop/log 2>&1
  echo $? >&4
done
"""
# The program of the image, on this machine.
_PROGRAM: Final = Path(__file__).resolve().parent.parent / "examples" / "word-count" / "word-count.sh"
_WORKERS: Final = (1, 4)
_REPETITIONS: Final = 5
_RUNS: Final = 200
_CALLS: Final = 100
_SYNC_CALLS: Final = 3
# Between two messages to an actor with the hint `sync`, for its next container to be there. In seconds.
_PAUSE: Final = 2.0
# Pause between two looks at what waits, in seconds.
_LOOK: Final = 0.02


async def _run(bench: Bench) -> Sequence[Line]:
    async with bench.daemon() as server:
        return [*await _rates(bench, server), *await _latencies(server), await _sync(server)]


# --- many executions ----------------------------------------------------------------------------------------------------


async def _rates(bench: Bench, server: Server) -> list[Line]:
    lines = []
    for workers in _WORKERS:
        actor = await server.register(IMAGE, "READY", max_workers=workers, hints=["warm"])
        await server.workers(actor, workers)
        async with AsyncExitStack() as stack:
            loops = [await stack.enter_async_context(_loop(bench.folder())) for _ in range(workers)]
            ours, bare = await in_turn(
                _REPETITIONS,
                partial(cold.rate, _RUNS, partial(waited_for, server, actor, _RUNS)),
                partial(cold.rate, _RUNS, partial(_looped, loops)),
            )
        await server.call("DELETE", f"/{actor}")
        what = f"executions of a `warm` actor, {workers} at a time, executions/s"
        lines.append(Line(what, ours, least(0.5), "a bare loop in as many containers, storing nothing", bare))
    return lines


async def waited_for(server: Server, actor: str, count: int) -> None:
    """Send so many messages, and wait until all have been executed."""
    senders = 4

    async def send() -> None:
        for _ in range(count // senders):
            await server.call("POST", f"/{actor}/messages", data={"message": MESSAGE})

    await asyncio.gather(*(send() for _ in range(senders)))
    waiting = True
    while waiting:
        await asyncio.sleep(_LOOK)
        waiting = (await server.call("GET", f"/{actor}/messages"))["messages"] > 0


class _Loop:
    """A container with the bare loop."""

    def __init__(self, folder: Path) -> None:
        for name in ("in", "out"):
            os.mkfifo(folder / name)
        self._in = os.open(folder / "in", os.O_RDWR)
        self._out = os.open(folder / "out", os.O_RDWR)
        self._log = folder / "log"

    def once(self) -> None:
        """One execution; its output is read, as that of a real one."""
        os.write(self._in, f"{MESSAGE}\n".encode())
        os.read(self._out, 100)
        cold.check(self._log.read_text())


@asynccontextmanager
async def _loop(folder: Path) -> AsyncIterator[_Loop]:
    loop = _Loop(folder)
    (folder / "busybox").write_bytes(_BUSYBOX.read_bytes())
    (folder / "busybox").chmod(0o755)
    config: dict[str, Any] = {
        "Image": IMAGE,
        "Entrypoint": ["/loop/busybox", "sh", "-c", _LOOP],
        "Cmd": [],
        "HostConfig": {"Binds": [f"{folder}:/loop"]},
    }
    async with aiodocker.Docker() as engine:
        container = await engine.containers.create(config)
        try:
            await container.start()
            await asyncio.to_thread(loop.once)
            yield loop
        finally:
            await container.delete(force=True)


async def _looped(loops: Sequence[_Loop]) -> None:
    def many(loop: _Loop) -> None:
        for _ in range(_RUNS // len(loops)):
            loop.once()

    await asyncio.gather(*(asyncio.to_thread(many, loop) for loop in loops))


# --- one after the other ------------------------------------------------------------------------------------------------


async def _latencies(server: Server) -> list[Line]:
    actor = await server.register(IMAGE, "READY", max_workers=1, hints=["warm"])
    await _call(server, actor)
    ours, host = await in_turn(_REPETITIONS, partial(_calls, server, actor, _CALLS), _processes)
    await server.call("DELETE", f"/{actor}")
    floor = "fork and exec of the same program on this machine"
    return [
        Line("synchronous message to a `warm` actor, median, ms", [median(each) for each in ours], most(5), floor,
             [median(each) for each in host]),
        Line("synchronous message to a `warm` actor, 99th percentile, ms", [_p99(each) for each in ours], most(20), floor,
             [_p99(each) for each in host]),
    ]  # fmt: skip


async def _sync(server: Server) -> Line:
    actor = await server.register(IMAGE, "READY", max_workers=1, hints=["sync"])
    await _call(server, actor)
    async with aiodocker.Docker() as engine:

        async def straight() -> list[float]:
            return [await _milliseconds(cold.one_run(engine)) for _ in range(_SYNC_CALLS)]

        ours, cold_runs = await in_turn(
            _REPETITIONS, partial(_calls, server, actor, _SYNC_CALLS, pause=_PAUSE), straight
        )
    await server.call("DELETE", f"/{actor}")
    return Line(
        "synchronous message to an actor with the hint `sync`, ms",
        [median(each) for each in ours],
        most(0.1),
        "create, start, wait, logs, delete by the engine",
        [median(each) for each in cold_runs],
    )


async def _calls(server: Server, actor: str, count: int, pause: float = 0) -> list[float]:
    taken = []
    for _ in range(count):
        await asyncio.sleep(pause)
        taken.append(await _milliseconds(_call(server, actor)))
    return taken


async def _call(server: Server, actor: str) -> None:
    url = f"http://127.0.0.1:{server.port}/v3/actors/{actor}/messages?_abaco_synchronous=true"
    async with server.session.post(url, headers={"X-Tapis-Token": server.token}, data={"message": MESSAGE}) as response:
        cold.check(await response.text())


async def _processes() -> list[float]:
    def one() -> float:
        began = time.perf_counter()
        environment = {"MSG": MESSAGE, "PATH": "/bin"}
        done = subprocess.run([_BUSYBOX, "sh", _PROGRAM], check=True, capture_output=True, text=True, env=environment)
        cold.check(done.stdout)
        return (time.perf_counter() - began) * 1000

    return await asyncio.to_thread(lambda: [one() for _ in range(_CALLS)])


async def _milliseconds(work: Awaitable[None]) -> float:
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1000


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100)[-1]


MEASURE: Final = Measure("warm", 400, _run)
