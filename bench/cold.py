"""Executions a second, a fresh container each, beside the same containers run straight through the engine's API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import aiodocker

from bench.daemon import Server
from bench.measure import Bench, Line, Measure, in_turn, least

IMAGE: Final = "abacod/word-count"
"""The image of all measures that run containers; `python -m bench` builds it."""
MESSAGE: Final = "Actor, please count these words."
OUTPUT: Final = "Number of words is: 5\n"
# Concurrency, and the ratio to reach.
_WANTED: Final = {1: 2.0, 2: 2.0, 4: 1.8}
_REPETITIONS: Final = 5
# Runs in one repetition.
_RUNS: Final = 8
# Pause between two looks at the executions, in seconds.
_LOOK: Final = 0.05
# What abacod gives every container (`abacod/runtime/container_spec.py`).
_LIMITS: Final[dict[str, Any]] = {
    "NetworkMode": "bridge",
    "PidsLimit": 4096,
    "LogConfig": {"Type": "json-file", "Config": {"max-size": "50m", "max-file": "2"}},
    "SecurityOpt": ["no-new-privileges"],
}


async def _run(bench: Bench) -> Sequence[Line]:
    lines = []
    async with bench.daemon() as server, aiodocker.Docker() as engine:
        for at_once, wanted in _WANTED.items():
            actor = await server.register(IMAGE, "READY", max_workers=at_once)
            await server.workers(actor, at_once)
            ours, straight = await in_turn(
                _REPETITIONS,
                partial(rate, _RUNS, partial(messages, server, actor, _RUNS)),
                partial(rate, _RUNS, partial(runs, engine, _RUNS, at_once)),
            )
            await server.call("DELETE", f"/{actor}")
            what = f"cold executions of `{IMAGE}`, {at_once} at a time, executions/s"
            lines.append(Line(what, ours, least(wanted), "create, start, wait, logs, delete by the engine", straight))
    return lines


async def rate(count: int, work: Callable[[], Awaitable[None]]) -> float:
    """How many a second, where the work is `count` of them."""
    began = time.perf_counter()
    await work()
    return count / (time.perf_counter() - began)


# --- through the daemon -------------------------------------------------------------------------------------------------


async def messages(server: Server, actor: str, count: int) -> None:
    """Send the messages, and wait until the last of them has its result on disk."""
    sent = set()
    for _ in range(count):
        reply = await server.call("POST", f"/{actor}/messages", data={"message": MESSAGE})
        sent.add(reply["execution_id"])
    done: set[str] = set()
    while sent - done:
        await asyncio.sleep(_LOOK)
        executions = (await server.call("GET", f"/{actor}/executions"))["executions"]
        done = {each["id"] for each in executions if each["status"] == "COMPLETE"}
        for failed in (each["id"] for each in executions if each["status"] == "ERROR"):
            execution = await server.call("GET", f"/{actor}/executions/{failed}")
            raise RuntimeError(f"An execution ended in ERROR: {execution['final_state']}")
    reply = await server.call("GET", f"/{actor}/executions/{min(sent)}/logs")
    check(reply["logs"])


# --- straight through the engine's API ---------------------------------------------------------------------------------


async def runs(engine: aiodocker.Docker, count: int, at_once: int) -> None:
    """So many containers, from creation to removal, on the engine's default bridge."""
    places = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with places:
            await one_run(engine)

    await asyncio.gather(*(one() for _ in range(count)))


async def one_run(engine: aiodocker.Docker) -> None:
    """One container, from its creation to its removal, with the limits that abacod gives one."""
    container = await engine.containers.create({"Image": IMAGE, "Env": [f"MSG={MESSAGE}"], "HostConfig": _LIMITS})
    await container.start()
    await container.wait()
    check("".join(await container.log(stdout=True, stderr=True)))
    await container.delete()


def check(output: str) -> None:
    """Raises RuntimeError if this is not what the container writes."""
    if output != OUTPUT:
        raise RuntimeError(f"The container wrote {output!r}.")


MEASURE: Final = Measure("cold", 300, _run)
