from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from abacod.runtime import kernel
from abacod.runtime.kernel import CpuCount, NetworkCounts, Process, network_bytes

TABLE = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1000       1    0    0    0     0          0         0     1000       1    0    0    0     0       0          0
  eth0:     200       1    0    0    0     0          0         0       30       1    0    0    0     0       0          0
  eth1:       4       1    0    0    0     0          0         0        0       1    0    0    0     0       0          0
"""


def cpu_in(file: Path) -> int:
    """What is counted of a container whose file is this one."""
    count = CpuCount(os.open(file, os.O_RDONLY))
    try:
        return count.read()
    finally:
        count.close()


def test_the_kernels_file_of_cgroup_1_is_in_nanoseconds(tmp_path: Path) -> None:
    (tmp_path / "cpuacct.usage").write_text("32330162\n")

    assert cpu_in(tmp_path / "cpuacct.usage") == 32_330_162


def test_the_kernels_file_of_cgroup_2_is_in_microseconds(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("usage_usec 32330\nuser_usec 30000\nsystem_usec 2330\n")

    assert cpu_in(tmp_path / "cpu.stat") == 32_330_000


def test_the_kernels_file_is_gone_after_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_CPU_FILES", (str(tmp_path / "cpu.stat"),))

    assert CpuCount.of("container") is None


def test_bytes_are_those_of_both_directions_of_all_networks_but_the_loopback() -> None:
    assert network_bytes(TABLE) == 234


def test_a_table_that_is_not_understood_counts_nothing() -> None:
    assert network_bytes("eth0: nonsense") == 0


def test_the_network_of_a_process_that_is_not_the_containers_is_not_counted() -> None:
    assert NetworkCounts.of("0123456789abcdef" * 4, os.getpid()) is None
    assert NetworkCounts.of("0123456789abcdef" * 4, 0) is None


def test_a_process_that_is_not_the_containers_is_not_looked_at() -> None:
    assert Process.of("0123456789abcdef" * 4, os.getpid()) is None
    assert Process.of("0123456789abcdef" * 4, 0) is None


def test_a_process_runs_until_its_end() -> None:
    child = subprocess.Popen(["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE)
    # The text of any process's cgroup has a slash.
    process = Process.of("/", child.pid)
    assert process is not None

    assert process.runs()
    child.communicate()

    assert not process.runs()
    process.close()


@pytest.mark.parametrize(
    ("name", "text", "later"), [("cpu.stat", "usage_usec {}\nuser_usec 7\n", 1000), ("cpuacct.usage", "{}\n", 1)]
)
def test_a_count_of_cpu_time_is_read_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, later: int
) -> None:
    file = tmp_path / name
    file.write_text(text.format(5))
    monkeypatch.setattr(kernel, "_CPU_FILES", (f"{tmp_path}/absent/{{id}}", str(file)))
    count = CpuCount.of("container")
    assert count is not None
    assert count.read() == 5 * later
    file.write_text(text.format(12))
    assert count.read() == 12 * later
    file.write_text("nonsense")
    assert count.read() == 0
    count.close()
    file.unlink()
    assert CpuCount.of("container") is None
