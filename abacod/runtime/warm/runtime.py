"""A `Runtime` around that of Docker, which runs messages in containers that have been started before, where it has one.

A run in a held container keeps all promises of a run in one of its own. Where there is none, or none can be made, it is just
that: a run in a container of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.config import RunSettings
from abacod.config_workers import WorkerSettings
from abacod.errors import EngineUnavailable, RunLost, RunNotStarted
from abacod.ids import ExecutionId, WorkerId
from abacod.runtime import busybox
from abacod.runtime.docker import DockerRuntime, refusals_are_absence
from abacod.runtime.run import FoundRun, FoundState, Keep, Outcome, RunSink, RunSpec
from abacod.runtime.warm.execution import Execution
from abacod.runtime.warm.held import Held
from abacod.runtime.warm.making import Left, Maker
from abacod.runtime.warm.pool import Pool
from abacod.runtime.warm.supervisor import script

_AHEAD: Final = 0.05
"""Seconds after which the next container is begun while a message runs; those that are shorter do not share the machine with it."""

_CLOSING: Final = 20.0
"""Seconds that a stopping daemon gives the engine to remove what waits; the next start removes the rest."""

_LIVE_STATES: Final = ("running", "paused", "restarting")

logger = structlog.get_logger()


@dataclass(slots=True)
class _Live:
    """A run in a held container, until it is discarded."""

    execution: Execution
    spec: RunSpec | None


class WarmRuntime:
    """See the module. What the engine promises about containers, `containers` does."""

    def __init__(
        self,
        containers: DockerRuntime,
        workers: WorkerSettings,
        runs: RunSettings,
        clock: Clock,
        *,
        instance: str,
        workers_dir: Path,
    ) -> None:
        """`workers_dir` is for what is shared with containers, made if it is missing."""
        self._containers = containers
        self._clock = clock
        self._grace = runs.stop_grace_seconds
        self._maker = Maker(
            containers.engine,
            containers.images,
            containers.networks,
            containers.linked,
            clock,
            instance=instance,
            workers_dir=workers_dir,
            program=workers.busybox,
        )
        self._networks = containers.networks
        self._pool = Pool(self._maker, workers, clock, others=lambda: self._networks.count)
        self._networks.share_budget_with(lambda: self._pool.count)
        self._live: dict[ExecutionId, _Live] = {}
        self._problem = busybox.problem_of(workers.busybox)
        if self._problem:
            logger.warning("no_held_containers", reason=self._problem)

    async def ping(self) -> None:
        """See `Runtime.ping`."""
        await self._containers.ping()

    async def prepare(self, image: str, *, fresh: bool) -> None:
        """See `Runtime.prepare`."""
        await self._containers.prepare(image, fresh=fresh)

    async def run(self, spec: RunSpec, sink: RunSink) -> Outcome:
        """See `Runtime.run`."""
        await self._refuse_second(spec.execution_id)
        if not self._wants_held(spec):
            return await self._containers.run(spec, sink)
        with refusals_are_absence():
            held = await self._pool.take(spec)
        program = held.program if held else None
        text = script(program.environment, spec.environment, program.words) if program else None
        with self._next_prepared(spec):
            if held is None or text is None:
                if held is not None:
                    self._pool.give_back(held, spec)
                return await self._containers.run(spec, sink)
            return await self._run_in(held, spec, sink, text)

    async def resume(self, execution_id: ExecutionId, sink: RunSink, *, time_limit: float | None) -> Outcome:
        """See `Runtime.resume`."""
        left = self._maker.left_with(execution_id)
        if left is None:
            return await self._containers.resume(execution_id, sink, time_limit=time_limit)
        if left.record.released_at is None and left.record.outcome is None:
            raise RunLost("The container was never given its message.")
        try:
            held = self._maker.taken_up(left.name)
        except OSError as error:
            raise RunLost("The folder of the container vanished.") from error
        execution = self._execution(held, execution_id, sink)
        self._live[execution_id] = _Live(execution, None)
        with self._let_go_if_cancelled(execution_id):
            return await execution.resume(left.record, time_limit)

    async def halt(self, execution_id: ExecutionId) -> None:
        """See `Runtime.halt`."""
        live = self._live.get(execution_id)
        if live is None:
            await self._containers.halt(execution_id)
        elif not live.execution.ended:
            with refusals_are_absence():
                await live.execution.halt()

    async def discard(self, execution_id: ExecutionId) -> None:
        """See `Runtime.discard`. A container that is to be reused stays; its execution is forgotten."""
        live = self._live.pop(execution_id, None)
        if live is not None:
            self._free(live)
        elif (left := self._maker.left_with(execution_id)) is not None:
            await self._maker.remove(left.name)
            self._containers.results.remove(execution_id)
        else:
            await self._containers.discard(execution_id)

    async def found(self) -> list[FoundRun]:
        """See `Runtime.found`."""
        found = await self._containers.found()
        found += [FoundRun(execution_id, live.execution.state) for execution_id, live in self._live.items()]
        if left := self._maker.left():
            with refusals_are_absence():
                states = await self._maker.states()
            found += [run for each in left if (run := _found(each, states.get(each.name)))]
        return found

    async def gateway(self) -> str | None:
        """See `Runtime.gateway`."""
        return await self._containers.gateway()

    def worker_ended(self, worker_id: WorkerId) -> None:
        """See `Runtime.worker_ended`."""
        self._pool.drop(worker_id)
        self._containers.worker_ended(worker_id)

    async def sweep(self) -> None:
        """See `Runtime.sweep`; and held containers that wait for nothing any more."""
        self._pool.drop_old()
        with refusals_are_absence():
            await self._maker.sweep()
        others = {left.record.execution_id for left in self._maker.left()}
        await self._containers.sweep(frozenset(others | set(self._live)))

    async def close(self) -> None:
        """Remove the containers that wait; those that run something go on."""
        for live in self._live.values():
            live.execution.held.let_go()
        with suppress(TimeoutError, EngineUnavailable):
            async with asyncio.timeout(_CLOSING):
                await self._pool.close()
                with refusals_are_absence():
                    await self._maker.sweep()
        await self._containers.close()

    # --- how

    def _wants_held(self, spec: RunSpec) -> bool:
        if self._problem or (spec.keep is Keep.NOTHING and not self._pool.has(spec.worker_id)):
            return False
        # A program of its own belongs to one run; the next would hardly have the same.
        return spec.entrypoint is None and spec.command is None and spec.working_dir is None

    def _prepare_next(self, spec: RunSpec) -> None:
        # Where there will be a network to join, a container that makes one of its own costs the message before it more than it
        # gives to the one after it.
        if spec.keep is Keep.ALWAYS or not self._networks.serve(spec) or self._networks.of(spec) is not None:
            self._pool.prepare(spec)

    async def _refuse_second(self, execution_id: ExecutionId) -> None:
        """Remove what an attempt left that never came to its start; one that was started is never run a second time."""
        left = self._maker.left_with(execution_id)
        if execution_id in self._live or (left is not None and left.record.released_at is not None):
            raise RunNotStarted("The container of this execution has been started before.")
        if left is not None:
            await self._maker.remove(left.name)

    async def _run_in(self, held: Held, spec: RunSpec, sink: RunSink, text: bytes) -> Outcome:
        execution = self._execution(held, spec.execution_id, sink)
        self._live[spec.execution_id] = _Live(execution, spec)
        try:
            with self._let_go_if_cancelled(spec.execution_id):
                outcome = await execution.run(spec, text)
                # Only now: this one needs no other network, and somebody may wait for its answer.
                self._networks.expect(spec)
                self._networks.used(spec.worker_id)
                return outcome
        except Exception:
            # It was not started, or its container is gone: nothing of it is left.
            if live := self._live.pop(spec.execution_id, None):
                self._free(live)
            raise

    @contextmanager
    def _next_prepared(self, spec: RunSpec) -> Iterator[None]:
        """Have the next message's container made while this one runs, if it takes a while, else after it."""
        if spec.keep not in (Keep.NEXT, Keep.ALWAYS):
            yield
            return
        timer = asyncio.get_running_loop().call_later(_AHEAD, self._prepare_next, spec)
        try:
            yield
        except asyncio.CancelledError:
            timer.cancel()
            raise
        finally:
            if not timer.cancelled():
                timer.cancel()
                self._prepare_next(spec)

    @contextmanager
    def _let_go_if_cancelled(self, execution_id: ExecutionId) -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            if live := self._live.pop(execution_id, None):
                self._let_go(live.execution.held)
            raise

    def _let_go(self, held: Held) -> None:
        """Leave it to a later daemon, as it is."""
        held.let_go()
        self._maker.live.discard(held.folder.place.name)

    def _free(self, live: _Live) -> None:
        held = live.execution.held
        try:
            held.folder.clear()
        except OSError:
            held.spoiled = "its folder cannot be written"
        if live.spec is None or not live.execution.idle:
            self._pool.remove(held)
        else:
            self._pool.give_back(held, live.spec)

    def _execution(self, held: Held, execution_id: ExecutionId, sink: RunSink) -> Execution:
        wanted = self._containers.engine.settings.results_socket != "none"
        results = self._containers.results if wanted else None
        return Execution(held, execution_id, sink, self._clock, results, grace=self._grace)


def _found(left: Left, state: str | None) -> FoundRun | None:
    """What has become of an execution that an earlier daemon gave to a container; `state` is None for no container."""
    record = left.record
    if record.outcome is not None:
        return FoundRun(record.execution_id, FoundState.ENDED)
    if record.released_at is None:
        return FoundRun(record.execution_id, FoundState.NEVER_STARTED)
    if state is None:
        return None
    return FoundRun(record.execution_id, FoundState.RUNNING if state in _LIVE_STATES else FoundState.ENDED)
