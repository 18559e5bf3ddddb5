"""The runtime that runs containers on a Docker engine, or on one that speaks its language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal

import structlog

from abacod.clock import Clock
from abacod.config import EngineEnvironment, EngineSettings, RunSettings
from abacod.errors import EngineUnavailable, RunLost, RunNotStarted
from abacod.ids import ExecutionId
from abacod.models.actor import Mount
from abacod.notify import DescriptorStore
from abacod.runtime.container import Container, not_created, not_started
from abacod.runtime.container_spec import EXECUTION_LABEL, INSTANCE_LABEL, container_name, create_config
from abacod.runtime.engine import Engine, EngineRefused
from abacod.runtime.follow import Follower
from abacod.runtime.images import Images
from abacod.runtime.logstream import attached
from abacod.runtime.networks import gateway_of
from abacod.runtime.results import SOCKET, SOCKET_IN_DIRECTORY, ResultsSockets
from abacod.runtime.run import FoundRun, FoundState, Outcome, RunSink, RunSpec

logger = structlog.get_logger()

_STATES: Final = {
    "created": FoundState.NEVER_STARTED,
    "running": FoundState.RUNNING,
    "paused": FoundState.RUNNING,
    "restarting": FoundState.RUNNING,
}
"""What the engine's states mean here; all others are ends."""

_WITHOUT_GATEWAY: Final = ("host", "none")
"""Network modes whose containers have no network of their own."""


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
    ) -> None:
        """`runs_dir` is where the results sockets lie, made if it is missing; `store` keeps them while the daemon is away."""
        self._engine = Engine(engine, environment, clock)
        self._images = Images(self._engine)
        self._results = ResultsSockets(runs_dir, store or DescriptorStore.nowhere())
        self._clock = clock
        self._instance = instance
        self._grace = runs.stop_grace_seconds
        self._runs: set[ExecutionId] = set()
        self._halted: set[ExecutionId] = set()

    async def ping(self) -> None:
        """Ask the engine whether it answers; raises `EngineUnavailable` if not."""
        with _refusals_are_absence():
            await self._engine.ping()

    async def prepare(self, image: str, *, fresh: bool) -> None:
        """See `Runtime.prepare`."""
        with _refusals_are_absence():
            await self._images.prepare(image, fresh=fresh)

    async def run(self, spec: RunSpec, sink: RunSink) -> Outcome:
        """See `Runtime.run`. A run that is halted before its start is started and stopped at once."""
        container = self._container(spec.execution_id)
        with self._noted(spec.execution_id):
            async with self._results.made(spec.execution_id, sink) as kept:
                way = self._way_to_results(kept=kept)
                await self._create(spec, container, way)
                try:
                    if way == "link":
                        await self._link_results(spec, container)
                    await sink.starting()
                except Exception:
                    # Whatever kept it from being started: nothing of it may stay.
                    await self._remove_unstarted(container)
                    raise
                return await self._start_and_follow(spec, container, sink)

    async def resume(self, execution_id: ExecutionId, sink: RunSink, *, time_limit: float | None) -> Outcome:
        """See `Runtime.resume`. An engine that goes away meanwhile is waited for; one that is away now is not."""
        container = self._container(execution_id)
        async with self._results.taken_up(execution_id, sink):
            with _refusals_are_absence():
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
        with _refusals_are_absence():
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
        with _refusals_are_absence(), self._engine.client() as client:
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
        if network in _WITHOUT_GATEWAY or network.startswith("container:"):
            return None
        try:
            with self._engine.client() as client:
                shown = await (await client.networks.get("bridge" if network == "default" else network)).show()
        except EngineRefused as error:
            # The settings name a network that is not there; the start of each container says so.
            logger.warning("network_unknown", network=network, reason=error.message)
            return None
        return gateway_of(shown)

    async def sweep(self) -> None:
        """See `Runtime.sweep`: directories of results sockets without a container."""
        # Before the look at the engine: a directory is made before its container.
        left = self._results.left()
        self._results.remove_others(left, {run.execution_id for run in await self.found()})

    async def close(self) -> None:
        """Close the connections to the engine. Containers go on."""
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

    def _way_to_results(self, *, kept: bool) -> Literal["link", "mount", "none"]:
        """How a container finds its results socket; a `kept` one outlives the daemon, and needs no link to its directory."""
        wanted = self._engine.settings.results_socket
        if wanted == "auto":
            return "mount" if kept else "link"
        return wanted

    async def _create(self, spec: RunSpec, container: Container, way: Literal["link", "mount", "none"]) -> None:
        mounts = {
            "link": self._results.directory_mount(spec.execution_id),
            "mount": self._results.socket_mount(spec.execution_id),
        }
        await self._create_with(spec, container, mounts.get(way))

    async def _link_results(self, spec: RunSpec, container: Container) -> None:
        """Put a link to the results socket in its place; where an engine refuses that, mount the socket there."""
        try:
            await container.add_link(SOCKET, SOCKET_IN_DIRECTORY)
        except EngineRefused as error:
            logger.warning("results_link_refused", container=container.name, reason=error.message)
            await container.remove(force=False)
            await self._create_with(spec, container, self._results.socket_mount(spec.execution_id))

    async def _create_with(self, spec: RunSpec, container: Container, results: Mount | None) -> None:
        config = create_config(
            spec,
            self._engine.settings,
            instance=self._instance,
            engine_socket=self._engine.socket,
            results=results,
        )
        for last in (False, True):
            try:
                with self._engine.client() as client:
                    await client.containers.create(config, name=container.name)
            except EngineRefused as error:
                if error.engine_status != HTTPStatus.CONFLICT or last:
                    raise not_created(error, spec.image) from error
                await self._clear_earlier(container)
            else:
                return

    async def _clear_earlier(self, container: Container) -> None:
        """Remove what an attempt left that never came to its start; one that was started is never run a second time."""
        try:
            seen = await container.look()
        except RunLost:
            return
        if not seen.never_started or not await container.remove(force=False):
            raise RunNotStarted("The container of this execution has been started before.")

    async def _start_and_follow(self, spec: RunSpec, container: Container, sink: RunSink) -> Outcome:
        started = False
        try:
            async with attached(self._engine, container.name) as attachment:
                answered = await self._start(container)
                started = True
                limit = 0 if spec.execution_id in self._halted else spec.time_limit
                return await self._follower(container, sink).to_end(attachment if answered else None, limit)
        except EngineRefused as error:
            if started:
                raise
            await self._remove_unstarted(container)
            raise not_started(error) from error
        except EngineUnavailable:
            if not started:
                await self._remove_unstarted(container)
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

    async def _remove_unstarted(self, container: Container) -> None:
        """Remove a container that was not started, as far as the engine lets; what stays, `found` reports."""
        try:
            await container.remove()
        except (EngineUnavailable, EngineRefused) as error:
            logger.warning("container_left", container=container.name, reason=error.message)


@contextmanager
def _refusals_are_absence() -> Iterator[None]:
    """For requests that no engine in order refuses: one that does so is of no more use than one that is away."""
    try:
        yield
    except EngineRefused as error:
        raise EngineUnavailable(f"The container engine does not serve: {error.message}") from error
