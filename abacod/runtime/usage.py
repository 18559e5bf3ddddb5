"""What a container used: CPU time and network bytes, both cumulative, as far as the last look before its end saw them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from abacod.clock import Clock
from abacod.errors import EngineUnavailable
from abacod.runtime.engine import Engine, EngineRefused

_FIRST_INTERVAL: Final = 0.03
"""Seconds between the first two looks."""

_GROWTH: Final = 1.5
"""Looks grow rarer with the age of the container, so that what the last one misses stays a small part."""

_MAX_INTERVAL: Final = 1.0
_CPU_FILE_INTERVAL: Final = 0.05
"""Seconds between two looks at the kernel's own file at most; reading it takes microseconds."""

_CPU_FILES: Final = (
    "/sys/fs/cgroup/docker/{id}/cpu.stat",
    "/sys/fs/cgroup/system.slice/docker-{id}.scope/cpu.stat",
    "/sys/fs/cgroup/cpuacct/docker/{id}/cpuacct.usage",
    "/sys/fs/cgroup/cpuacct/system.slice/docker-{id}.scope/cpuacct.usage",
)
"""Where the kernel counts a container's CPU time: cgroup version 2, then 1, each with both drivers of Docker."""


class UsageMeter:
    """Looks at one running container until it is cancelled. Its values are whatever was seen; it never fails."""

    def __init__(self, engine: Engine, clock: Clock, container_id: str) -> None:
        self.cpu = 0
        """Nanoseconds of CPU time."""
        self.io = 0
        """Bytes received and sent on all networks of the container."""
        self._engine = engine
        self._clock = clock
        self._id = container_id

    async def measure(self) -> None:
        """Look again and again, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._measure_from_engine(), name=f"usage {self._id[:12]}")
            if (path := _cpu_file(self._id)) is not None:
                group.create_task(self._measure_from_kernel(path), name=f"cpu {self._id[:12]}")

    async def _measure_from_engine(self) -> None:
        interval = _FIRST_INTERVAL
        while True:
            await self._look()
            await self._clock.sleep(interval)
            interval = min(interval * _GROWTH, _MAX_INTERVAL)

    async def _look(self) -> None:
        params = {"stream": "0", "one-shot": "1"}
        try:
            async with self._engine.response(f"containers/{self._id}/stats", params) as response:
                with self._engine.translated():
                    stats: object = await response.json()
        except (EngineUnavailable, EngineRefused):
            return
        # An ended container has empty statistics; what was seen before stays.
        self.cpu = max(self.cpu, cpu_of(stats))
        self.io = max(self.io, io_of(stats))

    async def _measure_from_kernel(self, path: Path) -> None:
        # The last look is nearer to the end than the engine's statistics, which cost it milliseconds, can ever be.
        interval = _FIRST_INTERVAL / 4
        while (seen := _cpu_nanoseconds(path)) is not None:
            self.cpu = max(self.cpu, seen)
            await self._clock.sleep(interval)
            interval = min(interval * _GROWTH, _CPU_FILE_INTERVAL)


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


def _cpu_file(container_id: str) -> Path | None:
    paths = (Path(place.format(id=container_id)) for place in _CPU_FILES)
    return next((path for path in paths if path.exists()), None)


def _cpu_nanoseconds(path: Path) -> int | None:
    """The value of the kernel's file, None once the container has ended."""
    try:
        text = path.read_text()
        if path.name == "cpuacct.usage":
            return int(text)
        usage = dict(line.split(" ", 1) for line in text.splitlines())
        return int(usage["usage_usec"]) * 1000
    except (OSError, ValueError, KeyError):
        return None
