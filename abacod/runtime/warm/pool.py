"""Which containers are held for which worker: at most one each, within a budget of memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from abacod.clock import Clock
from abacod.config_workers import WorkerSettings
from abacod.errors import AbacoError, EngineUnavailable
from abacod.ids import WorkerId
from abacod.runtime.images import ImageIds
from abacod.runtime.run import Keep, RunSpec
from abacod.runtime.warm.held import Held, Shape
from abacod.runtime.warm.making import Maker

_READY_MB: Final = 8
"""What a waiting container costs: the engine's process beside it, and the supervisor."""

# How long a shape that could not be made is not tried again, in seconds.
_AGAIN: Final = 60.0

_MOST_REMOVALS: Final = 4
_MOST_REFUSED: Final = 1000

logger = structlog.get_logger()


class Pool:
    """The held containers of all workers."""

    def __init__(self, maker: Maker, settings: WorkerSettings, clock: Clock, *, others: Callable[[], int]) -> None:
        """`others` counts what else stands in the same budget."""
        self._maker = maker
        self._others = others
        self._settings = settings
        self._clock = clock
        self._waiting: dict[WorkerId, Held] = {}
        """Those that wait for a message, the one that has waited longest first."""
        self._making: dict[WorkerId, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._removals: set[asyncio.Task[None]] = set()
        self._refused: dict[Shape, float] = {}
        self._image_ids = ImageIds(maker.program_of, clock)

    @property
    def count(self) -> int:
        """How many count in the budget: those that wait, and that are made."""
        return len(self._ready()) + len(self._making)

    def has(self, worker_id: WorkerId) -> bool:
        """Whether there is one for this worker, or soon will be."""
        return worker_id in self._waiting or worker_id in self._making

    async def take(self, spec: RunSpec) -> Held | None:
        """The container for this run, out of the pool; None if there is none.

        Raises:
            EngineUnavailable: the engine does not answer.
        """
        if not self.has(spec.worker_id) and spec.keep is Keep.REUSED:
            self.prepare(spec)
        making = self._making.get(spec.worker_id)
        if making is not None:
            # Whoever is cancelled here leaves it to the next one.
            await asyncio.shield(making)
        held = self._waiting.pop(spec.worker_id, None)
        if held is None:
            return None
        try:
            why = await self._unfit(held, spec)
        except BaseException:
            self._hold(spec.worker_id, held)
            raise
        if why:
            logger.info("worker_container_replaced", container=held.container.name, worker=spec.worker_id, reason=why)
            self.remove(held)
            return await self.take(spec) if spec.keep is Keep.REUSED else None
        return held

    def prepare(self, spec: RunSpec) -> None:
        """Begin to make one for the worker's next message, if there is none and the budget and the engine allow it."""
        shape = Shape.of(spec)
        if self.has(spec.worker_id) or self._refused.get(shape, 0.0) > self._clock.monotonic():
            return
        if spec.keep is not Keep.REUSED and not self._has_room(spec.keep):
            return
        self._making[spec.worker_id] = self._later(self._make(spec), f"hold for {spec.worker_id}")

    def give_back(self, held: Held, spec: RunSpec) -> None:
        """The run is over and settled: the container waits for the next message, or goes."""
        why = held.spoiled or self._worn_out(held) or ("it has ended" if held.gone else None)
        if spec.keep is Keep.REUSED and why is None and not self.has(spec.worker_id):
            self._hold(spec.worker_id, held)
            return
        if spec.keep is Keep.REUSED:
            logger.info("worker_container_replaced", container=held.container.name, worker=spec.worker_id, reason=why)
            self.prepare(spec)
        self.remove(held)

    def drop(self, worker_id: WorkerId) -> None:
        """Hold nothing for this worker any more."""
        if making := self._making.pop(worker_id, None):
            making.cancel()
        if held := self._waiting.pop(worker_id, None):
            self.remove(held)

    def drop_old(self) -> None:
        """Let go of those that have ended, and of those whose message has not come."""
        now = self._clock.monotonic()
        for worker_id, held in list(self._waiting.items()):
            late = held.keep is Keep.NEXT and now - held.idle_since > self._settings.ready_seconds
            if held.gone or late or (held.network is not None and held.network.gone):
                self.drop(worker_id)

    def remove(self, held: Held) -> None:
        """Remove a container in the background."""
        held.let_go()
        removal = self._later(self._maker.remove(held.folder.place.name), f"remove {held.container.name}")
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)

    async def close(self) -> None:
        """Remove all that wait."""
        for worker_id in [*self._waiting, *self._making]:
            self.drop(worker_id)
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- how

    def _hold(self, worker_id: WorkerId, held: Held) -> None:
        held.idle_since = self._clock.monotonic()
        self._waiting[worker_id] = held

    async def _make(self, spec: RunSpec) -> None:
        held = None
        try:
            while len(self._removals) > _MOST_REMOVALS:
                # Else an engine that starts faster than it removes would have ever more of them.
                await asyncio.wait(self._removals, return_when=asyncio.FIRST_COMPLETED)
            held = await self._maker.made(spec)
        except EngineUnavailable:
            # What is run next meets it again.
            pass
        except AbacoError as error:
            if len(self._refused) > _MOST_REFUSED:
                self._refused.clear()
            self._refused[Shape.of(spec)] = self._clock.monotonic() + _AGAIN
            logger.warning("worker_container_failed", image=spec.image, worker=spec.worker_id, reason=error.message)
        finally:
            if self._making.get(spec.worker_id) is asyncio.current_task():
                del self._making[spec.worker_id]
                if held is not None:
                    held.keep = spec.keep
                    self._hold(spec.worker_id, held)
            elif held is not None:
                self.remove(held)

    async def _unfit(self, held: Held, spec: RunSpec) -> str | None:
        """Why a run cannot have this container; None if it can."""
        if not held.quiet:
            return "it has ended" if held.gone else "it was not quiet"
        if held.network is not None and not await held.network.carries():
            return "its network is gone"
        if held.shape != Shape.of(spec):
            return "the next message needs another one"
        if self._clock.monotonic() - held.born > self._settings.reuse_seconds:
            return "it is old"
        if held.program is None or held.program.image_id != await self._image_ids.of(spec.image):
            return "its image has changed"
        return None

    def _worn_out(self, held: Held) -> str | None:
        if held.uses >= self._settings.reuse_executions:
            return "it has run enough messages"
        if self._clock.monotonic() - held.born > self._settings.reuse_seconds:
            return "it is old"
        return None

    def _has_room(self, keep: Keep) -> bool:
        """Whether one more may wait within the budget; for an actor with the hint `sync` the one that has waited longest makes room."""
        budget = self._settings.ready_memory_mb // _READY_MB
        if keep is Keep.NEXT:
            # A queue gains more by a network that is held, so half is left for those. And nothing makes room: what it would
            # push out is, with many queues, the container of a message that comes as soon.
            return self.count + self._others() < budget // 2
        most = budget - self._others()
        if self.count < most:
            return True
        ready = self._ready()
        if not ready or most <= 0:
            return False
        self.drop(ready[0])
        return True

    def _ready(self) -> list[WorkerId]:
        return [worker_id for worker_id, held in self._waiting.items() if held.keep is not Keep.REUSED]

    def _later(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
