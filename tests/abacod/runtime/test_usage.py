from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import pytest

from abacod.clock import SystemClock
from abacod.config import EngineEnvironment, EngineSettings
from abacod.runtime import usage
from abacod.runtime.container import Seen
from abacod.runtime.engine import Engine
from abacod.runtime.kernel import CpuCount, NetworkCounts
from abacod.runtime.usage import UsageMeter, cpu_of, io_of

STATS = {
    "cpu_stats": {"cpu_usage": {"total_usage": 41_000_000}},
    "networks": {"eth0": {"rx_bytes": 200, "tx_bytes": 30}, "eth1": {"rx_bytes": 4, "tx_bytes": 0}},
}


def test_cpu_is_the_engines_total() -> None:
    assert cpu_of(STATS) == 41_000_000


def test_io_is_both_directions_of_all_networks() -> None:
    assert io_of(STATS) == 234


@pytest.mark.parametrize("stats", [None, {}, [], {"cpu_stats": None, "networks": None}, {"networks": {"eth0": None}}])
def test_the_statistics_of_an_ended_container_are_nothing(stats: object) -> None:
    assert cpu_of(stats) == 0
    assert io_of(stats) == 0


# --- the meter


class Kernel:
    """The kernel's files of a container, and an engine that must not be asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cpu, self.table = folder / "cpuacct.usage", folder / "dev"
        self.cpu.write_text("5000\n")
        self.sent(100)
        self.asked = 0
        monkeypatch.setattr(CpuCount, "of", lambda _: CpuCount(os.open(self.cpu, os.O_RDONLY)))
        monkeypatch.setattr(NetworkCounts, "of", lambda _, __: NetworkCounts(os.open(self.table, os.O_RDONLY)))
        monkeypatch.setattr(usage, "statistics", self._asked)

    def sent(self, count: int) -> None:
        self.table.write_text(f"  eth0: {count} 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n")

    async def _asked(self, *_: object) -> None:
        self.asked += 1


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(tmp_path, monkeypatch)


def meter(network: str, *, running: bool = True, share: usage.Share | None = None) -> UsageMeter:
    clock = SystemClock()
    engine = Engine(EngineSettings(), EngineEnvironment(), clock)
    return UsageMeter(engine, clock, Seen("id", {"Running": running, "Pid": 1}, network), share=share)


async def measured(measuring: UsageMeter, kernel: Kernel, sent: int) -> None:
    """Measure, with so many bytes sent just before the end."""
    task = asyncio.create_task(measuring.measure())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    kernel.sent(sent)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_the_engine_is_not_asked_for_what_the_kernel_tells(kernel: Kernel) -> None:
    measuring = meter("bridge")
    await measured(measuring, kernel, 300)

    assert (measuring.cpu, measuring.io, kernel.asked) == (5000, 300, 0)


async def test_it_is_where_the_kernel_does_not_tell(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NetworkCounts, "of", lambda _, __: None)
    await measured(meter("bridge"), kernel, 300)

    assert kernel.asked


async def test_without_a_network_nothing_is_counted_there(kernel: Kernel) -> None:
    measuring = meter("none")
    await measured(measuring, kernel, 300)

    assert (measuring.cpu, measuring.io, kernel.asked) == (5000, 0, 0)


async def test_in_a_network_joined_before_this_daemon_came_only_what_follows_is_counted(kernel: Kernel) -> None:
    measuring = meter("container:other")
    await measured(measuring, kernel, 300)

    assert measuring.io == 200


async def test_nobody_is_asked_of_a_container_that_has_ended(kernel: Kernel) -> None:
    measuring = meter("bridge", running=False)
    await measuring.measure()

    assert (measuring.cpu, kernel.asked) == (0, 0)


async def test_a_network_that_goes_on_is_counted_after_the_end(kernel: Kernel) -> None:
    class Shared:
        async def traffic(self) -> int:
            return 77

    measuring = meter("container:holder", share=Shared())
    await measured(measuring, kernel, 300)
    await measuring.finish()

    assert (measuring.cpu, measuring.io) == (5000, 77)
