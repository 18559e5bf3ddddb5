"""The runtime that runs containers on a Docker engine, or on one that speaks its language."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.config import EngineEnvironment, EngineSettings, RunSettings
from abacod.config_workers import WorkerSettings
from abacod.errors import EngineUnavailable, RunLost
from abacod.ids import ExecutionId, WorkerId
from abacod.notify import DescriptorStore
from abacod.runtime import busybox
from abacod.runtime.container import Container, not_started
from abacod.runtime.container_spec import EXECUTION_LABEL, INSTANCE_LABEL, container_name
from abacod.runtime.engine import Engine, EngineRefused
from abacod.runtime.follow import Follower
from abacod.runtime.images import ImageIds, Images
from abacod.runtime.joining.images import LinkedImages
from abacod.runtime.joining.making import NetworkMaker
from abacod.runtime.joining.network import Traffic
from abacod.runtime.joining.networks import Networks
from abacod.runtime.logstream import attached
from abacod.runtime.networks import gateway_of, makes_networks
from abacod.runtime.results import ResultsSockets
from abacod.runtime.run import FoundRun, FoundState, Outcome, RunSink, RunSpec
from abacod.runtime.starting import Creator, Plan, Way, removed

_CLOSING: Final = 10.0
"""Seconds that a stopping daemon gives the engine to remove networks and images; the next start removes the rest."""

logger = structlog.get_logger()

_STATES: Final = {
    "created": FoundState.NEVER_STARTED,
    "running": FoundState.RUNNING,
    "paused": FoundState.RUNNING,
    "restarting": FoundState.RUNNING,
}
"""What the engine's states mean here; all others are ends."""


class DockerRuntime:
    """The `Runtime` of production.

    Everything it makes is named for the execution and labelled with `instance`, the id of the data directory, so that a
    later daemon finds it. It can be made without an engine; it then says `EngineUnavailable` until there is one.
    """

    def __init__(
        self,
        engine: EngineSettings,
        runs: RunSettings,
        clock: Clock,
        *,
        instance: str,
        environment: EngineEnvironment,
        runs_dir: Path,
        store: DescriptorStore | None = None,
        workers: WorkerSettings | None = None,
        workers_dir: Path | None = None,
    ) -> None:
        """`runs_dir` is where the results sockets lie, made if it is missing; `store` keeps them while the daemon is away.

        Networks are held as `workers` says, and with what lies in `workers_dir`; without either none are.
        """
        self.engine = self._engine = Engine(engine, environment, clock)
        self.images = self._images = Images(self._engine)
        self.results = self._results = ResultsSockets(runs_dir, store or DescriptorStore.nowhere())
        image_ids = ImageIds(self._images.show, clock)
        self.linked = LinkedImages(self._engine, clock, instance=instance)
        workers = workers or WorkerSettings(hold_networks=False)
        program_dir = workers_dir or runs_dir
        maker = NetworkMaker(self._engine, instance=instance, program=workers.busybox, program_dir=program_dir)
        possible = workers.hold_networks and makes_networks(engine.network) and not busybox.problem_of(workers.busybox)
        self.networks = Networks(maker, workers, clock, possible=possible and workers_dir is not None)
        self._creator = Creator(self._engine, self._results, self.networks, self.linked, image_ids, instance=instance)
        self._clock = clock
        self._instance = instance
        self._grace = runs.stop_grace_seconds
        self._runs: set[ExecutionId] = set()
        self._halted: set[ExecutionId] = set()

    async def ping(self) -> None:
        """Ask the engine whether it answers; raises `EngineUnavailable` if not."""
        with refusals_are_absence():
            await self._engine.ping()

    async def prepare(self, image: str, *, fresh: bool) -> None:
        """See `Runtime.prepare`."""
        with refusals_are_absence():
            await self._images.prepare(image, fresh=fresh)

    async def run(self, spec: RunSpec, sink: RunSink) -> Outcome:
        """See `Runtime.run`. A run that is halted before its start is started and stopped at once."""
        container = self._container(spec.execution_id)
        with self._noted(spec.execution_id):
            async with self._results.made(spec.execution_id, sink) as kept:
                with self.networks.joined(spec, container.name) as network:
                    plan = Plan(self._way_to_results(kept=kept), network)
                    plan = await self._creator.created(spec, container, plan)
                    try:
                        await sink.starting()
                    except Exception:
                        # Whatever kept it from being started: nothing of it may stay.
                        await removed(container)
                        raise
                    return await self._start_and_follow(spec, container, plan, sink)

    async def resume(self, execution_id: ExecutionId, sink: RunSink, *, time_limit: float | None) -> Outcome:
        """See `Runtime.resume`. An engine that goes away meanwhile is waited for; one that is away now is not."""
        container = self._container(execution_id)
        async with self._results.taken_up(execution_id, sink):
            with refusals_are_absence():
                seen = await container.look()
            if seen.never_started:
                raise RunLost("The container was never started.")
            if time_limit is not None and seen.started_at is not None:
                time_limit -= (self._clock.now() - seen.started_at).total_seconds()
            return await self._follower(container, sink).to_end(None, time_limit)

    async def halt(self, execution_id: ExecutionId) -> None:
        """See `Runtime.halt`. Returns when the container has ended."""
        if execution_id in self._runs:
            # The engine ignores a stop before the start; the run looks here right after the start.
            self._halted.add(execution_id)
        with refusals_are_absence():
            await self._container(execution_id).stop(self._grace)

    async def discard(self, execution_id: ExecutionId) -> None:
        """See `Runtime.discard`.

        With the setting `leave_containers` an ended container stays. `found` goes on to report it as ended: whoever asks
        knows the executions that are settled already.
        """
        container = self._container(execution_id)
        try:
            if self._engine.settings.leave_containers:
                seen = await container.look()
                if not seen.running and not seen.never_started:
                    return
            await container.remove()
        except RunLost:
            pass
        except EngineRefused as error:
            # The engine answers, but cannot remove this one now. `found` goes on to report it, for another try.
            logger.warning("container_left", container=container.name, reason=error.message)
            return
        self._results.remove(execution_id)

    async def found(self) -> list[FoundRun]:
        """See `Runtime.found`. A container whose start failed was never started."""
        filters = json.dumps({"label": [f"{INSTANCE_LABEL}={self._instance}"]})
        with refusals_are_absence(), self._engine.client() as client:
            containers = await client.containers.list(all=True, filters=filters)
        return [
            FoundRun(
                ExecutionId(container["Labels"][EXECUTION_LABEL]), _STATES.get(container["State"], FoundState.ENDED)
            )
            for container in containers
            if EXECUTION_LABEL in container["Labels"]
        ]

    async def gateway(self) -> str | None:
        """See `Runtime.gateway`."""
        network = self._engine.settings.network
        if not makes_networks(network):
            return None
        try:
            with self._engine.client() as client:
                shown = await (await client.networks.get("bridge" if network == "default" else network)).show()
        except EngineRefused as error:
            # The settings name a network that is not there; the start of each container says so.
            logger.warning("network_unknown", network=network, reason=error.message)
            return None
        return gateway_of(shown)

    def worker_ended(self, worker_id: WorkerId) -> None:
        """See `Runtime.worker_ended`."""
        self.networks.worker_ended(worker_id)

    async def sweep(self, others: frozenset[ExecutionId] = frozenset()) -> None:
        """See `Runtime.sweep`: directories of results sockets without a container, and which are none of `others`.

        And networks and images with links that nobody uses.
        """
        # Before the look at the engine: a directory is made before its container.
        left = self._results.left()
        self._results.remove_others(left, {run.execution_id for run in await self.found()} | others)
        with refusals_are_absence():
            await self.networks.sweep()
            await self.linked.sweep()

    async def close(self) -> None:
        """Close the connections to the engine. Containers go on, with their networks."""
        with suppress(TimeoutError, EngineUnavailable, EngineRefused):
            async with asyncio.timeout(_CLOSING):
                await self.networks.close()
                await self.linked.close()
        await self._engine.close()

    def _container(self, execution_id: ExecutionId) -> Container:
        return Container(self._engine, container_name(execution_id))

    def _follower(self, container: Container, sink: RunSink) -> Follower:
        return Follower(self._engine, self._clock, container, sink, grace=self._grace)

    @contextmanager
    def _noted(self, execution_id: ExecutionId) -> Iterator[None]:
        self._runs.add(execution_id)
        try:
            yield
        finally:
            self._runs.discard(execution_id)
            self._halted.discard(execution_id)

    def _way_to_results(self, *, kept: bool) -> Way:
        """How a container finds its results socket; a `kept` one outlives the daemon, and needs no link to its directory."""
        wanted = self._engine.settings.results_socket
        if wanted == "auto":
            return "mount" if kept else "link"
        return wanted

    async def _start_and_follow(self, spec: RunSpec, container: Container, plan: Plan, sink: RunSink) -> Outcome:
        while True:
            started = False
            try:
                async with attached(self._engine, container.name) as attachment:
                    share = Traffic(plan.network, await plan.network.bytes()) if plan.network else None
                    answered = await self._start(container)
                    started = True
                    self.networks.expect(spec)
                    limit = 0 if spec.execution_id in self._halted else spec.time_limit
                    return await self._follower(container, sink).to_end(attachment if answered else None, limit, share)
            except EngineRefused as error:
                if started:
                    raise
                gone = await removed(container)
                if plan.network is None or not gone or await self.networks.stands(spec, plan.network):
                    raise not_started(error) from error
                # The network was gone: nothing ran, and the run is not to blame.
                plan = await self._creator.created(spec, container, Plan(plan.way))
            except EngineUnavailable:
                if not started:
                    await removed(container)
                raise

    async def _start(self, container: Container) -> bool:
        """Start it; whether the engine answered that. If it did not and came back, it was asked what had happened.

        Raises:
            EngineRefused: the engine said why it does not start.
            EngineUnavailable: no answer, and it was not started.
            RunLost: no answer, and no container.
        """
        try:
            await container.start()
        except EngineUnavailable as error:
            logger.warning("start_unanswered", container=container.name, reason=error.message)
            if not await self._was_started(container):
                raise
            return False
        return True

    async def _was_started(self, container: Container) -> bool:
        """Whether a container was started by a request that nobody answered; if not, it is removed."""
        while True:
            await self._engine.back()
            try:
                seen = await container.look()
                # Not by force: the engine may be at starting it still, and then refuses.
                return not seen.never_started or not await container.remove(force=False)
            except EngineUnavailable as error:
                logger.warning("engine_lost", container=container.name, reason=error.message)


@contextmanager
def refusals_are_absence() -> Iterator[None]:
    """For requests that no engine in order refuses: one that does so is of no more use than one that is away."""
    try:
        yield
    except EngineRefused as error:
        raise EngineUnavailable(f"The container engine does not serve: {error.message}") from error
