"""Executions a second of a queue, its next container made while a message runs, beside the same without that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import aiodocker

from bench import cold
from bench.daemon import Server
from bench.measure import Bench, Line, Measure, in_turn, least

_AT_ONCE: Final = (1, 2, 4)
_REPETITIONS: Final = 5
# Runs in one repetition.
_RUNS: Final = 12
# What the image says, and half a second before it.
_SLOW: Final = ["/bin/busybox", "sh", "-c", "/bin/busybox sleep 0.5; echo 'Number of words is: 5'"]
# A network for each worker counts as much, and nothing else has room then.
_NETWORK_MB: Final = 8


async def _run(bench: Bench) -> Sequence[Line]:
    async with _slow_image() as slow:
        queues = ((cold.IMAGE, f"a queue of `{cold.IMAGE}`"), (slow, "a queue of messages of 0.5 s"))
        return [await _line(bench, image, what, at_once) for image, what in queues for at_once in _AT_ONCE]


async def _line(bench: Bench, image: str, what: str, at_once: int) -> Line:
    without = f"workers.ready_memory_mb = {_NETWORK_MB * at_once}\n"
    async with bench.daemon() as ahead, bench.daemon(without) as alone:
        sides = []
        for server in (ahead, alone):
            actor = await server.register(image, "READY", max_workers=at_once)
            await server.workers(actor, at_once)
            sides.append(partial(_rate, server, actor))
        ours, others = await in_turn(_REPETITIONS, *sides)
    return Line(f"{what}, {at_once} at a time, executions/s", ours, least(1.0), "the same with networks alone", others)


async def _rate(server: Server, actor: str) -> float:
    return await cold.rate(_RUNS, partial(cold.messages, server, actor, _RUNS))


@asynccontextmanager
async def _slow_image() -> AsyncIterator[str]:
    """The image that takes a while; it is gone afterwards."""
    name = "abacod/bench-slow"
    async with aiodocker.Docker() as engine:
        container = await engine.containers.create({"Image": cold.IMAGE})
        await container.commit(repository=name, config={"Entrypoint": [], "Cmd": _SLOW})
        await container.delete()
        try:
            yield name
        finally:
            await engine.images.delete(name, force=True)


MEASURE: Final = Measure("ahead", 600, _run)
