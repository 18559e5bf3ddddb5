"""What requests take with a million executions stored, beside the same with a thousand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Final

from bench.daemon import Server
from bench.load import load
from bench.measure import Bench, Line, Measure, in_turn, most
from bench.posts import BODY
from bench.stored import Stored, stored

MANY: Final = 1_000_000
"""Executions that a daemon has after years."""
QUEUED: Final = 10_000
"""Messages that wait besides."""
FEW: Final = 1_000
_REPETITIONS: Final = 7
# Length of one repetition, in seconds; one client, which asks again and again.
_SECONDS: Final = 1.0


async def _run(bench: Bench) -> Sequence[Line]:
    many, few = await stored(bench, MANY, QUEUED), await stored(bench, FEW, FEW)
    lines = []
    async with many.home.serving() as full, few.home.serving() as empty:
        for what, ask in _REQUESTS.items():
            ours, floors = await in_turn(
                _REPETITIONS,
                partial(_milliseconds, full.port, ask(full, many)),
                partial(_milliseconds, empty.port, ask(empty, few)),
            )
            line = f"{what} with {MANY:,} executions stored, ms"
            lines.append(Line(line, ours, most(1.5), f"the same with {FEW:,}", floors))
    return lines


async def _milliseconds(port: int, request: bytes) -> float:
    return median((await load(port, request, connections=1, seconds=_SECONDS)).latencies) * 1000


def _get(server: Server, stored_here: Stored) -> bytes:
    return server.request("GET", f"/{stored_here.actor}/executions/{stored_here.middle}")


def _list(server: Server, stored_here: Stored) -> bytes:
    return server.request("GET", f"/{stored_here.actor}/executions")


def _post(server: Server, stored_here: Stored) -> bytes:
    return server.request("POST", f"/{stored_here.actor}/messages", BODY)


_REQUESTS: Final = {
    "`GET` of an execution": _get,
    "list of executions": _list,
    "`POST` of a message": _post,
}

MEASURE: Final = Measure("growth", 240, _run)
