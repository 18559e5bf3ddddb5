"""Executions a second, a fresh container each, beside the same containers run straight through the engine's API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import aiodocker

from bench.daemon import Server
from bench.table import Row

IMAGE: Final = "abacod/word-count"
_MESSAGE: Final = "Actor, please count these words."
_OUTPUT: Final = "Number of words is: 5\n"
_CONCURRENCIES: Final = (1, 2)
_REPETITIONS: Final = 3
# About how long one repetition takes, in seconds, and the bounds of the runs in it.
_SECONDS: Final = 4.0
_FEWEST: Final = 4
_MOST: Final = 40
# Pause between two looks at the executions, in seconds.
_LOOK: Final = 0.05


async def measure(server: Server) -> list[Row]:
    """Both in turn, for each concurrency."""
    rows = []
    async with aiodocker.Docker() as engine:
        await _run(engine)
        count = min(_MOST, max(_FEWEST, round(_SECONDS / await _seconds(partial(_run, engine)))))
        for concurrency in _CONCURRENCIES:
            actor = await _ready_actor(server, concurrency)
            through_daemon, straight = [], []
            for _ in range(_REPETITIONS):
                through_daemon.append(count / await _seconds(partial(_messages, server, actor, count)))
                straight.append(count / await _seconds(partial(_runs, engine, count, concurrency)))
            await server.call("DELETE", f"/{actor}")
            what = f"executions of `{IMAGE}`, {concurrency} at a time, {count} in a row, executions/s"
            rows.append(Row(what, through_daemon, "create, start, wait, logs, delete through aiodocker", straight))
    return rows


async def _seconds(work: Callable[[], Awaitable[None]]) -> float:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await work()
    return loop.time() - begun


# --- through the daemon -------------------------------------------------------------------------------------------------


async def _ready_actor(server: Server, workers: int) -> str:
    """An actor whose workers wait for messages."""
    actor = await server.register(IMAGE, "READY", max_workers=workers)
    await server.call("POST", f"/{actor}/workers", json={"num": workers})
    while True:
        listed = await server.call("GET", f"/{actor}/workers")
        if [each["status"] for each in listed] == ["READY"] * workers:
            return actor
        await asyncio.sleep(_LOOK)


async def _messages(server: Server, actor: str, count: int) -> None:
    """Send the messages, and wait until the last of them has its result on disk."""
    sent = set()
    for _ in range(count):
        reply = await server.call("POST", f"/{actor}/messages", data={"message": _MESSAGE})
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
    _check(reply["logs"])


# --- straight through the engine's API ---------------------------------------------------------------------------------


async def _runs(engine: aiodocker.Docker, count: int, at_once: int) -> None:
    places = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with places:
            await _run(engine)

    await asyncio.gather(*(one() for _ in range(count)))


async def _run(engine: aiodocker.Docker) -> None:
    container = await engine.containers.create({"Image": IMAGE, "Env": [f"MSG={_MESSAGE}"]})
    await container.start()
    await container.wait()
    _check("".join(await container.log(stdout=True, stderr=True)))
    await container.delete()


def _check(output: str) -> None:
    if output != _OUTPUT:
        raise RuntimeError(f"The container wrote {output!r}.")
