"""Following a log of 100 MB, beside `docker logs` of the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import aiodocker
import aiohttp

from bench.cold import IMAGE
from bench.daemon import Server
from bench.measure import Bench, Line, Measure, in_turn, most
from bench.measure import least as at_least
from bench.memory import forget_peak, resident

_BYTES: Final = 100_000_000
_COMMAND: Final = f"busybox yes 'a line of an ordinary log, as long as such lines are' | busybox head -c {_BYTES}"
_IMAGE: Final = "abacod-bench/yes"
# Neither side rotates the engine's file: `docker logs --follow` loses a part of the log then.
_SETTINGS: Final = f"logs.max_bytes = {2 * _BYTES}\nengine.log_file_mb = 400\n"
_ENGINE_LOG: Final = {"Type": "json-file", "Config": {"max-size": "400m", "max-file": "2"}}
_REPETITIONS: Final = 2
_FLOOR: Final = "`docker logs` of the same"


async def _run(bench: Bench) -> Sequence[Line]:
    async with aiodocker.Docker() as engine:
        await _build()
        async with bench.daemon(_SETTINGS) as server:
            actor = await server.register(_IMAGE, "READY", max_workers=1)
            await server.workers(actor, 1)
            before = resident(server.pid)
            forget_peak(server.pid)
            live, beside = await in_turn(_REPETITIONS, partial(_live, server, actor), partial(_live_by_engine, engine))
            peak = resident(server.pid, "VmHWM") - before
            execution = (await server.call("GET", f"/{actor}/executions"))["executions"][-1]["id"]
            kept, kept_beside = await _of_ended(server, f"/{actor}/executions/{execution}", engine)
    return [
        Line("log of 100 MB followed while it is written, MB/s", live, at_least(0.7), _FLOOR, beside),
        Line("log of 100 MB that is all there, MB/s", kept, at_least(0.7), _FLOOR, kept_beside),
        Line("resident memory at its greatest meanwhile, more than before, MB", [peak], most(40, of="value")),
    ]


async def _build() -> None:
    """The image of the other measures, with another command."""
    process = await asyncio.create_subprocess_exec(
        "docker", "build", "--quiet", "--tag", _IMAGE, "-",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    command = f'["/bin/busybox", "sh", "-c", "/bin/{_COMMAND.replace("| ", "| /bin/")}"]'
    await process.communicate(f"FROM {IMAGE}\nCMD {command}\n".encode())
    if process.returncode:
        raise RuntimeError("The image could not be built.")


# --- while it is written -------------------------------------------------------------------------------------------------


async def _live(server: Server, actor: str) -> float:
    sent = await server.call("POST", f"/{actor}/messages", data={"message": "go"})
    return await _followed(server, f"/{actor}/executions/{sent['execution_id']}")


async def _followed(server: Server, path: str) -> float:
    """MB a second, from the first byte to the last."""
    url = f"http://127.0.0.1:{server.port}/v3/actors{path}/logs?follow=true"
    no_limit = aiohttp.ClientTimeout(total=None)
    async with server.session.get(url, headers={"X-Tapis-Token": server.token}, timeout=no_limit) as response:
        return await _rate(response.content)


async def _live_by_engine(engine: aiodocker.Docker) -> float:
    config: dict[str, Any] = {"Image": _IMAGE, "HostConfig": {"LogConfig": _ENGINE_LOG}}
    container = await engine.containers.create(config)
    await container.start()
    rate = await _docker_logs("--follow", container.id)
    await container.delete(force=True)
    return rate


async def _docker_logs(*arguments: str) -> float:
    process = await asyncio.create_subprocess_exec("docker", "logs", *arguments, stdout=asyncio.subprocess.PIPE)
    if process.stdout is None:
        raise RuntimeError("docker logs writes nowhere.")
    rate = await _rate(process.stdout)
    await process.wait()
    return rate


async def _rate(stream: aiohttp.StreamReader | asyncio.StreamReader) -> float:
    chunk = await stream.read(65_536)
    began = time.perf_counter()
    size = len(chunk)
    while chunk := await stream.read(262_144):
        size += len(chunk)
    if size != _BYTES:
        raise RuntimeError(f"The log has {size} bytes.")
    return size / 1_000_000 / (time.perf_counter() - began)


# --- once it is there ----------------------------------------------------------------------------------------------------


async def _of_ended(server: Server, path: str, engine: aiodocker.Docker) -> list[list[float]]:
    config: dict[str, Any] = {"Image": _IMAGE, "HostConfig": {"LogConfig": _ENGINE_LOG}}
    container = await engine.containers.create(config)
    await container.start()
    await container.wait()
    try:
        return await in_turn(_REPETITIONS, partial(_followed, server, path), partial(_docker_logs, container.id))
    finally:
        await container.delete(force=True)


MEASURE: Final = Measure("follow", 400, _run)
