"""One held container, and what it is made for."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from abacod.clock import Clock
from abacod.errors import EngineUnavailable, RunLost
from abacod.models.actor import Mount
from abacod.runtime.container import Container, Seen
from abacod.runtime.engine import Engine, EngineRefused
from abacod.runtime.images import Program
from abacod.runtime.joining.network import Network
from abacod.runtime.run import Keep, RunSpec
from abacod.runtime.warm import supervisor
from abacod.runtime.warm.folder import Folder
from abacod.runtime.warm.supervisor import Ended


@dataclass(frozen=True, slots=True)
class Shape:
    """What a container is made with, and cannot be changed later: a run that needs something else needs another one."""

    image: str
    user: str | None
    mounts: tuple[Mount, ...]
    memory_bytes: int | None
    nano_cpus: int | None
    privileged: bool

    @classmethod
    def of(cls, spec: RunSpec) -> Shape:
        """The shape that a run needs."""
        return cls(spec.image, spec.user, spec.mounts, spec.memory_bytes, spec.nano_cpus, spec.privileged)


class Held:
    """A started container whose supervisor waits. `watch` is to run as a task as long as it is used."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        container: Container,
        folder: Folder,
        shape: Hashable,
        program: Program | None,
        network: Network | None = None,
    ) -> None:
        """`program` is what runs in it; None for one that an earlier daemon made, which gets nothing new.

        `network` is the one it has joined, None if it has one of its own.
        """
        self.container = container
        self.folder = folder
        self.shape = shape
        self.program = program
        self.network = network
        self.keep = Keep.NOTHING
        self.born = clock.monotonic()
        self.idle_since = self.born
        self.uses = 0
        self.spoiled: str | None = None
        """Why nothing more is to run in it."""
        self.gone = False
        """Whether the container has ended."""
        self.seen: Seen | None = None
        """How it ended; None while it runs, and if nobody can tell any more."""
        self.stir = asyncio.Event()
        self.watching: asyncio.Task[None] | None = None
        self._engine = engine

    async def watch(self) -> None:
        """Wait for the container's end, across engines that go away."""
        tries = 0
        while not self.gone:
            try:
                await self.container.ended()
                seen = await self.container.look()
                if not seen.running:
                    self.seen, self.gone = seen, True
                    break
            except RunLost:
                self.gone = True
                break
            except (EngineUnavailable, EngineRefused):
                # Who asks the engine for something tells of it; to wait is no reason to.
                pass
            await self._engine.back(tries)
            tries += 1
        self.stir.set()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the context `stirred` hears of what comes through the pipes."""
        loop = asyncio.get_running_loop()
        pipes = (self.folder.answer, self.folder.output_pipe)
        for pipe in pipes:
            loop.add_reader(pipe, self.stir.set)
        try:
            yield
        finally:
            for pipe in pipes:
                loop.remove_reader(pipe)

    @contextmanager
    def deaf_to_output(self) -> Iterator[None]:
        """Within `listening`: not to hear again and again of output that lies in its pipe while it is dealt with what came before."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.folder.output_pipe)
        try:
            yield
        finally:
            loop.add_reader(self.folder.output_pipe, self.stir.set)

    async def stirred(self) -> None:
        """Wait until there may be something: an answer, output, or the container's end. All that is there was looked at before."""
        self.stir.clear()
        if not self.gone:
            await self.stir.wait()

    @property
    def quiet(self) -> bool:
        """Whether the container runs, and nothing is in its pipes: what comes then belongs to what is run next."""
        return not (self.gone or self.folder.answers() or self.folder.output())

    async def until_waiting(self) -> None:
        """Wait until the supervisor says that it is there; raises `RunLost` if the container ends instead."""
        with self.listening():
            while True:
                for line in self.folder.answers():
                    if isinstance(supervisor.read_answer(line), Ended):
                        return
                if self.gone:
                    raise RunLost("The supervisor ended.")
                await self.stirred()

    def let_go(self) -> None:
        """Close what is open of it; the container stays."""
        if self.watching is not None:
            self.watching.cancel()
        self.folder.close()
