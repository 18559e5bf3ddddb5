"""Memory of the daemon, idle and with a long queue."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from bench.daemon import Home
from bench.load import load
from bench.measure import Bench, Line, Measure, in_turn, most
from bench.posts import BODY
from bench.stored import Stored, stored

_REPETITIONS: Final = 3
_QUEUED: Final = 100_000
# How long the daemon is asked before one looks, in seconds.
_SECONDS: Final = 2.0


async def _run(bench: Bench) -> Sequence[Line]:
    queued, few = await stored(bench, 0, _QUEUED), await stored(bench, 1)
    idle, long_queue, empty = await in_turn(
        _REPETITIONS, partial(_idle, bench.home()), partial(_asked, queued), partial(_asked, few)
    )
    more = [long - short for long, short in zip(long_queue, empty, strict=True)]
    return [
        Line("resident memory, idle, MB", idle, most(90, of="value")),
        Line(f"resident memory with {_QUEUED:,} messages queued, more than with none, MB", more, most(40, of="value")),
    ]


async def _idle(home: Home) -> float:
    async with home.serving() as server:
        return resident(server.pid)


async def _asked(stored_here: Stored) -> float:
    """After messages have been sent, which join those that wait."""
    async with stored_here.home.serving() as server:
        request = server.request("POST", f"/{stored_here.actor}/messages", BODY)
        await load(server.port, request, connections=1, seconds=_SECONDS)
        return resident(server.pid)


def resident(pid: int, field: str = "VmRSS") -> float:
    """The process's resident memory in MB; `VmHWM` is its greatest since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:")) / 1024


def forget_peak(pid: int) -> None:
    """Begin anew with the greatest memory."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


MEASURE: Final = Measure("memory", 180, _run)
