"""A `Runtime` around another one: messages of actors with the hint `resident` are handed to a process that stays.

What cannot be run so is run by the other one, each message in a container of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.config import RunSettings
from abacod.config_workers import WorkerSettings
from abacod.errors import EngineUnavailable
from abacod.ids import ExecutionId, WorkerId
from abacod.runtime import busybox
from abacod.runtime.container import ended_state
from abacod.runtime.docker import DockerRuntime, refusals_are_absence
from abacod.runtime.engine import EngineRefused
from abacod.runtime.images import ImageIds
from abacod.runtime.resident.making import Maker
from abacod.runtime.resident.process import Process
from abacod.runtime.resident.shape import Shape
from abacod.runtime.run import FoundRun, Keep, Outcome, RunSink, RunSpec, Runtime

_KILLED: Final = 137
_AGAIN: Final = 60.0
"""Seconds after which a worker whose container was refused is tried again."""

_CLOSING: Final = 20.0
"""Seconds that a stopping daemon gives the engine to remove the containers; the next start removes the rest."""

logger = structlog.get_logger()


@dataclass(slots=True)
class _Live:
    """An execution until it is discarded; `process` is None until it has one."""

    worker_id: WorkerId
    process: Process | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    sent: bool = False
    ended: bool = False


class ResidentRuntime:
    """See the module."""

    def __init__(
        self,
        others: Runtime,
        containers: DockerRuntime,
        workers: WorkerSettings,
        runs: RunSettings,
        clock: Clock,
        *,
        instance: str,
        residents_dir: Path,
    ) -> None:
        """`others` runs all other messages; `residents_dir` is for what is shared with containers, made if it is missing."""
        self._others = others
        self._containers = containers
        self._clock = clock
        self._grace = runs.stop_grace_seconds
        self._maker = Maker(containers, clock, instance=instance, residents_dir=residents_dir, program=workers.busybox)
        # The runtime of warm containers tells once that there is none.
        self._possible = busybox.problem_of(workers.busybox) is None
        self._processes: dict[WorkerId, Process] = {}
        self._live: dict[ExecutionId, _Live] = {}
        self._refused: dict[WorkerId, float] = {}
        self._image_ids = ImageIds(self._maker.program_of, clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._cleared = False

    async def ping(self) -> None:
        """See `Runtime.ping`."""
        await self._others.ping()

    async def prepare(self, image: str, *, fresh: bool) -> None:
        """See `Runtime.prepare`."""
        await self._others.prepare(image, fresh=fresh)

    async def run(self, spec: RunSpec, sink: RunSink) -> Outcome:
        """See `Runtime.run`. A process that ends before it listens makes `RunRejected`: nobody got the message."""
        if not self._wants_resident(spec):
            return await self._others.run(spec, sink)
        live = self._live[spec.execution_id] = _Live(spec.worker_id)
        try:
            process = await self._process(spec)
            if process is None:
                del self._live[spec.execution_id]
                return self._without_start() if live.stopping.is_set() else await self._others.run(spec, sink)
            live.process = process
            await sink.starting()
            if live.stopping.is_set():
                return self._without_start()
            live.sent = True
            outcome = await self._handled(process, spec, sink, live)
        except asyncio.CancelledError:
            # Its answer will come to nobody.
            if live.process is not None:
                live.process.spoiled = "its execution was let go"
            self._live.pop(spec.execution_id, None)
            raise
        except Exception:
            self._live.pop(spec.execution_id, None)
            if live.process is not None and live.sent:
                self._end(spec.worker_id, live.process)
            raise
        live.ended = True
        if process.spoiled or process.gone.is_set():
            self._end(spec.worker_id, process)
        return outcome

    async def resume(self, execution_id: ExecutionId, sink: RunSink, *, time_limit: float | None) -> Outcome:
        """See `Runtime.resume`. There are none of ours to resume: `found` does not tell of any."""
        return await self._others.resume(execution_id, sink, time_limit=time_limit)

    async def halt(self, execution_id: ExecutionId) -> None:
        """See `Runtime.halt`: it stops the container, and so the process."""
        live = self._live.get(execution_id)
        if live is None:
            await self._others.halt(execution_id)
            return
        live.stopping.set()
        if live.process is not None and live.sent and not live.ended:
            with refusals_are_absence():
                await live.process.stop(self._grace)

    async def discard(self, execution_id: ExecutionId) -> None:
        """See `Runtime.discard`. The process stays for the next message."""
        if self._live.pop(execution_id, None) is None:
            await self._others.discard(execution_id)

    async def found(self) -> list[FoundRun]:
        """See `Runtime.found`. The first time the processes of an earlier daemon are ended: what they answer is lost."""
        if not self._cleared:
            with refusals_are_absence():
                await self._maker.sweep()
            self._cleared = True
        return await self._others.found()

    async def gateway(self) -> str | None:
        """See `Runtime.gateway`."""
        return await self._others.gateway()

    def worker_ended(self, worker_id: WorkerId) -> None:
        """See `Runtime.worker_ended`."""
        self._refused.pop(worker_id, None)
        if process := self._processes.pop(worker_id, None):
            self._remove(process)
        self._others.worker_ended(worker_id)

    async def sweep(self) -> None:
        """See `Runtime.sweep`; processes that ended while nobody asked them are noticed by the next message."""
        with refusals_are_absence():
            await self._maker.sweep()
        await self._others.sweep()

    async def close(self) -> None:
        """Remove all containers, also those with an execution: nobody will be there for its answer."""
        with suppress(TimeoutError, EngineUnavailable):
            async with asyncio.timeout(_CLOSING):
                for process in self._processes.values():
                    self._remove(process)
                self._processes.clear()
                while self._tasks:
                    await asyncio.wait(self._tasks)
        await self._others.close()

    # --- how

    def _wants_resident(self, spec: RunSpec) -> bool:
        if not self._possible or spec.keep is not Keep.RESIDENT:
            return False
        # A program of its own belongs to one run.
        return spec.entrypoint is None and spec.command is None and spec.working_dir is None

    async def _process(self, spec: RunSpec) -> Process | None:
        """The worker's process, a new one if need be; None if the engine makes none.

        Raises:
            EngineUnavailable: the engine does not answer.
            StorageUnavailable: there is no room.
        """
        process = self._processes.get(spec.worker_id)
        if process is not None:
            why = await self._unfit(process, spec)
            if why is None:
                return process
            logger.info("resident_process_replaced", container=process.container.name, reason=why)
            self._end(spec.worker_id, process)
        if self._refused.get(spec.worker_id, 0.0) > self._clock.monotonic():
            return None
        try:
            process = await self._maker.made(spec)
        except EngineRefused as error:
            self._refused[spec.worker_id] = self._clock.monotonic() + _AGAIN
            logger.warning("resident_process_refused", image=spec.image, worker=spec.worker_id, reason=error.message)
            return None
        self._processes[spec.worker_id] = process
        return process

    async def _handled(self, process: Process, spec: RunSpec, sink: RunSink, live: _Live) -> Outcome:
        wanted = self._containers.engine.settings.results_socket != "none"
        results = self._containers.results if wanted else None
        with refusals_are_absence():
            return await process.handle(spec, sink, results, live.stopping, self._grace)

    async def _unfit(self, process: Process, spec: RunSpec) -> str | None:
        """Why a message cannot be handed to this process; None if it can."""
        if process.spoiled or process.gone.is_set():
            return process.spoiled or "it has ended"
        if process.shape != Shape.of(spec):
            return "the next message needs another one"
        with refusals_are_absence():
            if process.program.image_id != await self._image_ids.of(spec.image):
                return "its image has changed"
        return None

    def _end(self, worker_id: WorkerId, process: Process) -> None:
        if self._processes.get(worker_id) is process:
            del self._processes[worker_id]
            self._remove(process)

    def _remove(self, process: Process) -> None:
        """Remove a container in the background."""
        process.let_go()
        removal = asyncio.create_task(
            self._maker.remove(process.folder.place.name), name=f"remove {process.container.name}"
        )
        self._tasks.add(removal)
        removal.add_done_callback(self._tasks.discard)

    def _without_start(self) -> Outcome:
        now = self._clock.now()
        return Outcome(_KILLED, ended_state(_KILLED, now, now, oom_killed=False), now, now, 0, 0)
