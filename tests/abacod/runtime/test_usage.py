from __future__ import annotations

from pathlib import Path

import pytest

from abacod.runtime.usage import _cpu_nanoseconds, cpu_of, io_of

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


def test_the_kernels_file_of_cgroup_1_is_in_nanoseconds(tmp_path: Path) -> None:
    (tmp_path / "cpuacct.usage").write_text("32330162\n")

    assert _cpu_nanoseconds(tmp_path / "cpuacct.usage") == 32_330_162


def test_the_kernels_file_of_cgroup_2_is_in_microseconds(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("usage_usec 32330\nuser_usec 30000\nsystem_usec 2330\n")

    assert _cpu_nanoseconds(tmp_path / "cpu.stat") == 32_330_000


def test_the_kernels_file_is_gone_after_the_end(tmp_path: Path) -> None:
    assert _cpu_nanoseconds(tmp_path / "cpu.stat") is None
