"""CPU time and network bytes of a container that runs on, as the kernel counts them."""

from __future__ import annotations

from abacod.runtime.kernel import CpuCount, NetworkCounts


class Usage:
    """Both are 0 where the kernel's files of the container are not to be read here, as with an engine of another machine."""

    def __init__(self, container_id: str = "", pid: int = 0, *, with_network: bool = False) -> None:
        """`pid` is a process of the container, as this machine numbers it; with the host's network nothing is counted."""
        self._cpu = CpuCount.of(container_id) if container_id else None
        self._network = NetworkCounts.of(container_id, pid) if container_id and with_network else None

    def look(self) -> tuple[int, int]:
        """Nanoseconds of CPU time and bytes of its networks since the container's start."""
        cpu = 0 if self._cpu is None else self._cpu.read()
        return cpu, 0 if self._network is None else self._network.read()

    def close(self) -> None:
        """Look no more."""
        if self._cpu is not None:
            self._cpu.close()
            self._cpu = None
        if self._network is not None:
            self._network.close()
            self._network = None
