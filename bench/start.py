"""How long a start takes with very much stored, beside a start with nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from bench.daemon import Home
from bench.growth import MANY, QUEUED
from bench.measure import Bench, Line, Measure, in_turn, most
from bench.stored import stored

_REPETITIONS: Final = 3


async def _run(bench: Bench) -> Sequence[Line]:
    full = (await stored(bench, MANY, QUEUED)).home
    empty = bench.home()
    ours, floors = await in_turn(_REPETITIONS, partial(_start, full), partial(_start, empty))
    what = f"start to ready with {MANY:,} executions and {QUEUED:,} queued, s"
    return [
        Line(what, ours, most(3), "an empty start", floors),
        Line(what, ours, most(5, of="value"), "an empty start", floors),
    ]


async def _start(home: Home) -> float:
    async with home.serving() as server:
        return server.ready_seconds


MEASURE: Final = Measure("start", 240, _run)
