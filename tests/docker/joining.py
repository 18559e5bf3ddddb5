"""Runtimes that hold networks and have images with links, for tests on a real engine."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from abacod.clock import SystemClock
from abacod.config import EngineSettings, RunSettings, engine_environment
from abacod.config_workers import WorkerSettings
from abacod.runtime.docker import DockerRuntime
from abacod.runtime.joining.images import LINKS_LABEL
from abacod.runtime.joining.making import NETWORK_LABEL
from abacod.runtime.run import Keep, Outcome, RunSpec, Runtime
from abacod.runtime.warm.runtime import WarmRuntime
from tests.docker.conftest import Docker
from tests.docker_images import engine
from tests.fakes import RecordingSink


@dataclass
class Joining:
    """Runtimes of one data directory that hold networks, and runs of shell scripts of one worker."""

    docker: Docker
    folder: Path
    stack: AsyncExitStack
    spec: RunSpec

    def make(self, network: str = "bridge", results_socket: str = "link", **workers: Any) -> DockerRuntime:
        runtime = DockerRuntime(
            EngineSettings(network=network, results_socket=results_socket, retry_max_seconds=0.5),
            RunSettings(stop_grace_seconds=1),
            SystemClock(),
            instance=self.docker.instance,
            environment=engine_environment(),
            runs_dir=self.folder / "runs",
            workers=WorkerSettings(**workers),
            workers_dir=self.folder / "workers",
        )
        self.stack.push_async_callback(runtime.close)
        return runtime

    def warm(self, containers: DockerRuntime, **workers: Any) -> WarmRuntime:
        """What holds containers ready around it."""
        runtime = WarmRuntime(
            containers,
            WorkerSettings(**workers),
            RunSettings(stop_grace_seconds=1),
            SystemClock(),
            instance=self.docker.instance,
            workers_dir=self.folder / "workers",
        )
        self.stack.push_async_callback(runtime.close)
        return runtime

    def new(self, script: str, **more: Any) -> RunSpec:
        """A run of the same worker."""
        fresh = self.docker.spec(script)
        return replace(self.spec, execution_id=fresh.execution_id, environment=fresh.environment, **more)

    async def run(self, runtime: Runtime, script: str, **more: Any) -> tuple[Outcome, str]:
        """Run a shell script and settle it; its outcome and its output."""
        spec = self.new(script, **more)
        sink = RecordingSink()
        outcome = await runtime.run(spec, sink)
        await runtime.discard(spec.execution_id)
        return outcome, sink.data.decode()

    async def with_network(self, runtime: DockerRuntime, worker: RunSpec | None = None) -> str:
        """Run something, and wait for the network that it makes expected; what it is called."""
        spec = worker or self.spec
        await self.run(runtime, "exit 0", keep=Keep.NEXT, worker_id=spec.worker_id)
        await settled(runtime)
        return runtime.networks._held[spec.worker_id].container.name

    async def holders(self) -> dict[str, str]:
        """The states of the containers that hold networks, by name."""
        return {each["Names"][0][1:]: each["State"] for each in await self.containers(NETWORK_LABEL)}

    async def containers(self, *labels: str) -> list[Any]:
        here = engine()
        filters = json.dumps({"label": [f"abacod.instance={self.docker.instance}", *labels]})
        try:
            with here.client() as client:
                return list(await client.containers.list(all=True, filters=filters))
        finally:
            await here.close()

    async def images(self) -> list[str]:
        """The images with links."""
        here = engine()
        filters = {"label": [f"abacod.instance={self.docker.instance}", LINKS_LABEL]}
        try:
            with here.client() as client:
                return [each["Id"] for each in await client.images.list(filters=filters)]
        finally:
            await here.close()


async def settled(runtime: DockerRuntime, warm: WarmRuntime | None = None) -> None:
    """Wait for all that the runtimes do in the background."""
    while tasks := runtime.networks._tasks | runtime.linked._tasks | (warm._pool._tasks if warm else set()):
        await asyncio.wait(tasks)


async def kill(name: str) -> None:
    """End a container; returns when it has ended."""
    here = engine()
    with here.client() as client:
        container = client.containers.container(name)
        await container.kill()
        await container.wait()
    await here.close()
