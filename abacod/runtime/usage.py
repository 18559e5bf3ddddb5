"""What a container used: CPU time and network bytes, both cumulative, as far as the last look before its end saw them."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from abacod.clock import Clock
from abacod.errors import EngineUnavailable
from abacod.runtime.container import Seen
from abacod.runtime.engine import Engine, EngineRefused
from abacod.runtime.kernel import CpuCount, NetworkCounts

_FIRST_INTERVAL: Final = 0.03
"""Seconds between the first two looks."""

_GROWTH: Final = 1.5
"""Looks grow rarer with the age of the container, so that what the last one misses stays a small part."""

_MAX_INTERVAL: Final = 1.0
_KERNEL_INTERVAL: Final = 0.05
"""Seconds between two looks at the kernel's own files at most; reading them takes microseconds."""


class Share(Protocol):
    """The network of somebody else that a container has joined."""

    async def traffic(self) -> int:
        """Bytes received and sent since the container joined it; never fails."""
        ...


class UsageMeter:
    """Looks at one running container until it is cancelled. Its values are whatever was seen; it never fails.

    The engine, which takes milliseconds for its statistics, is asked only where the kernel's files are not to be read.
    """

    def __init__(self, engine: Engine, clock: Clock, seen: Seen, *, share: Share | None = None) -> None:
        """`seen` is the container once it has been started; the bytes of a `share` are counted there, at the end."""
        self.cpu = 0
        """Nanoseconds of CPU time."""
        self.io = 0
        """Bytes received and sent on all networks of the container."""
        self._engine = engine
        self._clock = clock
        self._id = seen.id
        self._pid = seen.pid
        self._running = seen.running
        self._share = share
        self._counts_io = share is None and seen.network not in ("host", "none")
        # Of a network that was joined before this daemon came, what was there is not known to be this container's.
        self._before: int | None = None if seen.joins else 0

    async def measure(self) -> None:
        """Look again and again, until cancelled."""
        if not self._running:
            return
        cpu = CpuCount.of(self._id)
        counts = NetworkCounts.of(self._id, self._pid) if self._counts_io else None
        try:
            async with asyncio.TaskGroup() as group:
                if cpu is None or (counts is None and self._counts_io):
                    group.create_task(self._measure_from_engine(), name=f"usage {self._id[:12]}")
                interval = _FIRST_INTERVAL / 4
                while True:
                    self._note(cpu.read() if cpu else None, counts.read() if counts else None)
                    await self._clock.sleep(interval)
                    interval = min(interval * _GROWTH, _KERNEL_INTERVAL)
        finally:
            if cpu is not None:
                cpu.close()
            if counts is not None:
                # What was sent since the last look, if the network is there still.
                self._note(None, counts.read())
                counts.close()

    async def finish(self) -> None:
        """Count what a network that goes on tells after the container's end; before another one joins it."""
        if self._share is not None:
            self.io = await self._share.traffic()

    async def _measure_from_engine(self) -> None:
        interval = _FIRST_INTERVAL
        while True:
            stats = await statistics(self._engine, self._id)
            self._note(cpu_of(stats), io_of(stats) if self._counts_io else None)
            await self._clock.sleep(interval)
            interval = min(interval * _GROWTH, _MAX_INTERVAL)

    def _note(self, cpu: int | None, io: int | None) -> None:
        # An ended container has none of all that; what was seen before stays.
        self.cpu = max(self.cpu, cpu or 0)
        if io:
            self._before = io if self._before is None else self._before
            self.io = max(self.io, io - self._before)


async def statistics(engine: Engine, container_id: str) -> object:
    """The engine's statistics of a container at this moment; None if it gives none."""
    params = {"stream": "0", "one-shot": "1"}
    try:
        async with engine.response(f"containers/{container_id}/stats", params) as response:
            with engine.translated():
                stats: object = await response.json()
                return stats
    except (EngineUnavailable, EngineRefused):
        return None


def cpu_of(stats: object) -> int:
    """Nanoseconds of CPU time in an engine's statistics, 0 where it has none."""
    return _number(_part(_part(_part(stats, "cpu_stats"), "cpu_usage"), "total_usage"))


def io_of(stats: object) -> int:
    """Bytes received and sent on all networks in an engine's statistics, 0 where it has none (spec/actors-api 4.2)."""
    networks = _part(stats, "networks")
    if not isinstance(networks, dict):
        return 0
    return sum(_number(_part(each, name)) for each in networks.values() for name in ("rx_bytes", "tx_bytes"))


def _part(value: object, name: str) -> object:
    # At the moment of its end an engine has null for a container's statistics, or for any part of them.
    return value.get(name) if isinstance(value, dict) else None


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
