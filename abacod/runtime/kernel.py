"""What the kernel of this machine counts of a container: CPU time and network bytes. Reading it costs microseconds."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, Self

_CPU_FILES: Final = (
    "/sys/fs/cgroup/docker/{id}/cpu.stat",
    "/sys/fs/cgroup/system.slice/docker-{id}.scope/cpu.stat",
    "/sys/fs/cgroup/cpuacct/docker/{id}/cpuacct.usage",
    "/sys/fs/cgroup/cpuacct/system.slice/docker-{id}.scope/cpuacct.usage",
)
"""Where the kernel counts a container's CPU time: cgroup version 2, then 1, each with both drivers of Docker."""

_RECEIVED, _SENT = 0, 8
# A line of it in cgroup version 2, in microseconds; in version 1 the file has nothing but nanoseconds.
_USAGE: Final = re.compile(rb"^usage_usec (\d+)$", re.MULTILINE)
_MOST: Final = 65_536
"""Of a file of the kernel, in bytes; a line of the table of networks has less than 150."""


def cpu_file(container_id: str) -> Path | None:
    """The kernel's file with a running container's CPU time; None where it cannot be found."""
    paths = (Path(place.format(id=container_id)) for place in _CPU_FILES)
    return next((path for path in paths if path.exists()), None)


class CpuCount:
    """The CPU time of one container, read again and again."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor` is that of the kernel's open file."""
        self._descriptor = descriptor

    @classmethod
    def of(cls, container_id: str) -> Self | None:
        """That of a running container; None where it cannot be found."""
        path = cpu_file(container_id)
        try:
            return None if path is None else cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return None

    def read(self) -> int:
        """Nanoseconds so far; 0 once the container has ended."""
        try:
            text = os.pread(self._descriptor, _MOST, 0)
            found = _USAGE.search(text)
            return int(found[1]) * 1000 if found else int(text)
        except (OSError, ValueError):
            return 0

    def close(self) -> None:
        """Look no more. Once is enough."""
        os.close(self._descriptor)


class NetworkCounts:
    """The counts of one container's networks.

    They stay those of this container until `close`: once it has ended they are 0, and never those of a later process.
    """

    def __init__(self, descriptor: int) -> None:
        """`descriptor` is that of an open table of networks."""
        self._descriptor = descriptor

    @classmethod
    def of(cls, container_id: str, pid: int) -> Self | None:
        """Those of the container, whose process 1 the engine numbers `pid`; None where they are not to be read here."""
        descriptor = _opened(container_id, pid, "net/dev")
        return None if descriptor is None else cls(descriptor)

    def read(self) -> int:
        """Bytes received and sent so far, 0 if they cannot be read."""
        try:
            return network_bytes(os.pread(self._descriptor, _MOST, 0).decode())
        except OSError:
            return 0

    def close(self) -> None:
        """Let go of the container's network. Once is enough."""
        os.close(self._descriptor)


class Process:
    """Process 1 of one container, which is never mistaken for a later one of the same number."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor` is that of an open file of the process."""
        self._descriptor = descriptor

    @classmethod
    def of(cls, container_id: str, pid: int) -> Self | None:
        """That of the container, which the engine numbers `pid`; None where it is not to be seen here."""
        descriptor = _opened(container_id, pid, "cgroup")
        return None if descriptor is None else cls(descriptor)

    def runs(self) -> bool:
        """Whether it is there still."""
        try:
            return bool(os.pread(self._descriptor, 1, 0))
        except OSError:
            return False

    def close(self) -> None:
        """Let go of it. Once is enough."""
        os.close(self._descriptor)


def _opened(container_id: str, pid: int, name: str) -> int | None:
    """A file of the container's process 1, which the engine numbers `pid`; None where that process is not to be seen here."""
    if pid <= 0:
        return None
    try:
        descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # The engine may be on another machine, or this daemon in a container: there the number means another process.
        if container_id in Path(f"/proc/{pid}/cgroup").read_text():
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def network_bytes(table: str) -> int:
    """Bytes received and sent of all networks but the loopback in the kernel's table, 0 for one that is not understood."""
    total = 0
    try:
        for line in table.splitlines():
            name, colon, counts = line.partition(":")
            if colon and name.strip() != "lo":
                fields = counts.split()
                total += int(fields[_RECEIVED]) + int(fields[_SENT])
    except (ValueError, IndexError):
        return 0
    return total
