"""The network of one worker, held by a container that does nothing else, and what an execution does to join it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from abacod.errors import EngineUnavailable, RunLost, StorageUnavailable
from abacod.models.actor import Mount
from abacod.runtime.container import Container
from abacod.runtime.engine import Engine, EngineRefused
from abacod.runtime.kernel import NetworkCounts, Process
from abacod.runtime.usage import io_of, statistics

_FOLDER: Final = "etc"


class Network:
    """A network held ready. `watch` is to run as a task as long as it is used."""

    def __init__(
        self, engine: Engine, container: Container, container_id: str, pid: int, files: Mapping[str, bytes]
    ) -> None:
        """`files` are those that the engine has made for it in /etc, by name; `pid` is the holder's, as the engine numbers it."""
        self.container = container
        self.users: set[str] = set()
        """Names of the containers that have joined it."""
        self.idle_since = 0.0
        """When the last of them left, by the monotonic clock."""
        self.gone = False
        """Whether its holder has ended: who joins it has no network."""
        self._engine = engine
        self._id = container_id
        self._files = files
        self._counts = NetworkCounts.of(container_id, pid)
        self._process = Process.of(container_id, pid)

    @property
    def mode(self) -> str:
        """The network mode of a container that joins it."""
        return f"container:{self._id}"

    def files_in(self, folder: Path, mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
        """The mounts of copies in `folder` of what an engine makes in /etc, but where one of `mounts` is there.

        With the network the engine would share these files too, and what one execution writes into them would be there for
        the next one.

        Raises:
            StorageUnavailable: there is no room.
        """
        taken = {mount.container_path for mount in mounts}
        made = []
        try:
            (folder / _FOLDER).mkdir(exist_ok=True)
            for name, content in self._files.items():
                if f"/etc/{name}" not in taken:
                    place = folder / _FOLDER / name
                    place.write_bytes(content)
                    place.chmod(0o644)
                    made.append(Mount(str(place), f"/etc/{name}", "rw"))
        except OSError as error:
            raise StorageUnavailable(f"There is no room for a container's files: {error.strerror}.") from error
        return tuple(made)

    async def bytes(self) -> int:
        """Bytes received and sent since it was made; 0 where nobody can tell."""
        if self._counts is not None:
            return self._counts.read()
        return io_of(await statistics(self._engine, self._id))

    async def carries(self) -> bool:
        """Whether who has joined it has a network now. Asks the engine only where the kernel does not tell."""
        if self._process is None:
            return await self.stands()
        if not self._process.runs():
            self.gone = True
        return not self.gone

    async def stands(self) -> bool:
        """Whether the holder runs; True also if the engine does not answer, for then nobody knows."""
        try:
            if not (await self.container.look()).running:
                self.gone = True
        except RunLost:
            self.gone = True
        except (EngineUnavailable, EngineRefused):
            pass
        return not self.gone

    async def watch(self) -> None:
        """Wait for the holder's end, across engines that go away."""
        tries = 0
        while await self.stands():
            try:
                await self.container.ended()
            except (EngineUnavailable, EngineRefused):
                # Who asks the engine for something tells of it; to wait is no reason to.
                await self._engine.back(tries)
                tries += 1

    def close(self) -> None:
        """Let go of it; its container stays."""
        if self._counts is not None:
            self._counts.close()
            self._counts = None
        if self._process is not None:
            self._process.close()
            self._process = None


class Traffic:
    """The bytes of one container that joins a network."""

    def __init__(self, network: Network, before: int) -> None:
        """`before` is what had been received and sent there when it joined."""
        self._network = network
        self._before = before

    async def traffic(self) -> int:
        """Bytes received and sent since it joined, 0 if nobody can tell."""
        return max(0, await self._network.bytes() - self._before)
