"""Which networks are held for which worker: one each, as long as its messages follow close upon each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog

from abacod.clock import Clock
from abacod.config_workers import WorkerSettings
from abacod.errors import AbacoError, EngineUnavailable
from abacod.ids import WorkerId
from abacod.runtime.joining.making import NetworkMaker
from abacod.runtime.joining.network import Network
from abacod.runtime.run import Keep, RunSpec

_AGAIN: Final = 60.0
"""Seconds after which a network that could not be made, or did not do, is tried again for a worker."""

_HOLDER_MB: Final = 8
"""What a holder costs: the engine's process beside it, and the shell's memory."""

logger = structlog.get_logger()


class Networks:
    """The held networks of all workers. None of its methods fails, but where it says so."""

    def __init__(self, maker: NetworkMaker, settings: WorkerSettings, clock: Clock, *, possible: bool) -> None:
        """Without `possible` there are never any."""
        self._maker = maker
        self._settings = settings
        self._clock = clock
        self._possible = possible
        self._held: dict[WorkerId, Network] = {}
        self._watching: dict[Network, asyncio.Task[None]] = {}
        self._making: dict[WorkerId, asyncio.Task[None]] = {}
        self._refused: dict[WorkerId, float] = {}
        self._last_use: dict[WorkerId, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._others: Callable[[], int] = int

    def share_budget_with(self, count: Callable[[], int]) -> None:
        """`count` counts what else stands in the same budget."""
        self._others = count

    def serve(self, spec: RunSpec) -> bool:
        """Whether the worker of this run has a network, or will have one if its messages go on."""
        if not self._possible or not _may_join(spec):
            return False
        return self._refused.get(spec.worker_id, 0.0) <= self._clock.monotonic()

    @property
    def count(self) -> int:
        """How many there are, or soon will be."""
        return len(self._held) + len(self._making)

    @contextmanager
    def joined(self, spec: RunSpec, container: str) -> Iterator[Network | None]:
        """The network that this run's container joins within the context; None if it needs one of its own.

        A run that is cancelled does not leave it, for its container goes on.
        """
        network = self.of(spec)
        if network is not None:
            network.users.add(container)
        try:
            yield network
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._left(spec, network, container)
            raise
        else:
            self._left(spec, network, container)

    def leave(self, worker_id: WorkerId, network: Network, container: str) -> None:
        """The container, which had joined the worker's network, is gone."""
        network.users.discard(container)
        network.idle_since = self._clock.monotonic()
        if self._held.get(worker_id) is not network:
            self._remove_if_idle(network)

    def used(self, worker_id: WorkerId) -> None:
        """A message of this worker has just run: another one soon after it needs a network."""
        self._last_use[worker_id] = self._clock.monotonic()

    def of(self, spec: RunSpec) -> Network | None:
        """The network that this run may join now."""
        network = self._held.get(spec.worker_id)
        return None if network is None or network.gone or not _may_join(spec) else network

    def expect(self, spec: RunSpec) -> None:
        """Begin to make the network of the worker's next message, if one seems to come and there is none yet."""
        worker_id = spec.worker_id
        now = self._clock.monotonic()
        if not self.serve(spec) or worker_id in self._held or worker_id in self._making:
            return
        last = self._last_use.get(worker_id)
        soon = last is not None and now - last <= self._settings.ready_seconds
        if (soon or spec.keep is Keep.NEXT) and self._has_room():
            self._making[worker_id] = self._later(self._make(spec), f"network for {worker_id}")

    async def stands(self, spec: RunSpec, network: Network) -> bool:
        """Whether a network that a run had joined is there still; if not, nobody joins it any more."""
        if await network.stands():
            return True
        self._lose(spec.worker_id, network)
        return False

    def refuse(self, spec: RunSpec, network: Network, reason: str) -> None:
        """The engine runs the worker's containers without this network, and does not with it."""
        logger.warning("network_refused", image=spec.image, worker=spec.worker_id, reason=reason)
        self._refused[spec.worker_id] = self._clock.monotonic() + _AGAIN
        if self._held.get(spec.worker_id) is network:
            self.drop(spec.worker_id)

    def drop(self, worker_id: WorkerId) -> None:
        """Hold none for this worker any more; one that a container uses stays until that leaves it."""
        if making := self._making.pop(worker_id, None):
            making.cancel()
        if network := self._held.pop(worker_id, None):
            self._remove_if_idle(network)

    def worker_ended(self, worker_id: WorkerId) -> None:
        """Forget the worker."""
        self.drop(worker_id)
        self._refused.pop(worker_id, None)
        self._last_use.pop(worker_id, None)

    async def sweep(self) -> None:
        """Remove those that were not used for a while, and those that an earlier daemon left; raises as the engine does."""
        since = self._clock.monotonic() - self._settings.ready_seconds
        for worker_id, network in list(self._held.items()):
            if not network.users and network.idle_since < since:
                self.drop(worker_id)
        await self._maker.sweep()

    async def close(self) -> None:
        """Remove all but those that a running container uses; raises as the engine does."""
        for worker_id in [*self._held, *self._making]:
            self.drop(worker_id)
        while self._tasks:
            await asyncio.wait(self._tasks)
        for watching in self._watching.values():
            watching.cancel()
        # What is in use, by a container that goes on without this daemon, the engine knows.
        self._maker.live.clear()
        await self._maker.sweep()

    # --- how

    def _left(self, spec: RunSpec, network: Network | None, container: str) -> None:
        self.used(spec.worker_id)
        if network is not None:
            self.leave(spec.worker_id, network, container)

    async def _make(self, spec: RunSpec) -> None:
        worker_id = spec.worker_id
        network: Network | None = None
        try:
            network = await self._maker.made(spec)
        except EngineUnavailable:
            # What is run next meets it again.
            pass
        except AbacoError as error:
            self._refused[worker_id] = self._clock.monotonic() + _AGAIN
            logger.warning("network_refused", image=spec.image, worker=worker_id, reason=error.message)
        finally:
            wanted = self._making.get(worker_id) is asyncio.current_task()
            if wanted:
                del self._making[worker_id]
            if network is not None and wanted:
                self._hold(worker_id, network)
            elif network is not None:
                network.close()
                self._later(self._maker.remove(network.container), f"remove {network.container.name}")

    def _hold(self, worker_id: WorkerId, network: Network) -> None:
        network.idle_since = self._clock.monotonic()
        self._held[worker_id] = network
        self._watching[network] = asyncio.create_task(self._watch(worker_id, network), name=f"watch {worker_id}")

    async def _watch(self, worker_id: WorkerId, network: Network) -> None:
        await network.watch()
        self._lose(worker_id, network)

    def _lose(self, worker_id: WorkerId, network: Network) -> None:
        if self._held.get(worker_id) is network:
            logger.warning("network_lost", container=network.container.name, worker=worker_id)
            self._refused[worker_id] = self._clock.monotonic() + _AGAIN
            self.drop(worker_id)

    def _remove_if_idle(self, network: Network) -> None:
        watching = self._watching.get(network)
        if network.users or watching is None:
            return
        del self._watching[network]
        if watching is not asyncio.current_task():
            watching.cancel()
        network.close()
        self._later(self._maker.remove(network.container), f"remove {network.container.name}")

    def _has_room(self) -> bool:
        """Whether one more fits into the budget; the one that nobody has used for longest makes room."""
        if self.count + self._others() < self._settings.ready_memory_mb // _HOLDER_MB:
            return True
        idle = [(network.idle_since, worker_id) for worker_id, network in self._held.items() if not network.users]
        if not idle:
            return False
        self.drop(min(idle)[1])
        return True

    def _later(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _may_join(spec: RunSpec) -> bool:
    """A privileged program could change the network for those that come after it; a reused container has it for long anyway."""
    return not spec.privileged and spec.keep in (Keep.NOTHING, Keep.NEXT, Keep.ALWAYS)
