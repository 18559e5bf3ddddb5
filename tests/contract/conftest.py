"""The runtimes that are held to the contract: the fake one and the real one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from abacod.clock import SystemClock
from abacod.config import EngineSettings, RunSettings, engine_environment
from abacod.config_workers import WorkerSettings
from abacod.ids import ActorId, ExecutionId, TenantId, new_actor_id, new_execution_id, new_worker_id
from abacod.runtime.docker import DockerRuntime
from abacod.runtime.engine import EngineRefused
from abacod.runtime.results import SOCKET, SOCKET_IN_DIRECTORY
from abacod.runtime.run import FoundState, Keep, Outcome, RunSink, RunSpec, Runtime
from abacod.runtime.warm.runtime import WarmRuntime
from tests.docker_images import image_name, remove_containers
from tests.fakes import FakeEngine, FakeRuntime
from tests.programs import BEHAVIOURS, Behaviour, send_results

GRACE = 1


class Closable(Runtime, Protocol):
    """A runtime that is closed after the test."""

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Bench:
    """A runtime under test, a second daemon's one on the same engine, and one whose containers are on a network, one not."""

    runtime: Closable
    second: Closable
    connected: Closable
    unconnected: Closable
    image: Callable[[str], str]
    python: str
    """The image that runs what `tests.programs.sending` makes."""
    keep: Keep = Keep.NOTHING

    def spec(self, behaviour: Behaviour, **more: Any) -> RunSpec:
        """A run of an image of the tests."""
        return RunSpec(
            **{
                "execution_id": new_execution_id(),
                "actor_id": ActorId(new_actor_id()),
                "worker_id": new_worker_id(),
                "tenant": TenantId("dev"),
                "image": self.image(behaviour.name),
                "environment": {},
                "keep": self.keep,
                **more,
            }
        )

    async def states(self, runtime: Runtime | None = None) -> dict[ExecutionId, FoundState]:
        """What is on the engine."""
        return {found.execution_id: found.state for found in await (runtime or self.runtime).found()}


KINDS = ("cold", "joined", "ready", "ready-joined", "reused")
"""The kinds of workers on a real engine."""


@pytest.fixture(params=["fake", *(pytest.param(kind, marks=pytest.mark.docker) for kind in KINDS)])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of worker, or the fake engine."""
    return str(request.param)


@pytest.fixture
def prefix(request: pytest.FixtureRequest, kind: str) -> str | None:
    """The prefix of the images on a real engine, None for the fake one."""
    return None if kind == "fake" else str(request.getfixturevalue("docker_images"))


@pytest.fixture
def python(request: pytest.FixtureRequest, prefix: str | None) -> str:
    """The image with Python, on a real engine only for the tests of results."""
    if prefix is None:
        return "python"
    return str(request.getfixturevalue("python_image")) if "results" in request.module.__name__ else ""


class Joined(DockerRuntime):
    """Has the network of each run made before it, and the image with the link to its results, as after some messages."""

    async def run(self, spec: RunSpec, sink: RunSink) -> Outcome:
        await have_joined(self, spec, {SOCKET: SOCKET_IN_DIRECTORY})
        return await super().run(spec, sink)


class Ready(WarmRuntime):
    """Has the container of each run made before it, as for a message that follows another one."""

    async def run(self, spec: RunSpec, sink: RunSink) -> Outcome:
        if self._networks.serve(spec):
            await have_joined(self._containers, spec, self._maker._links)
        self._pool.prepare(spec)
        return await super().run(spec, sink)


async def have_joined(runtime: DockerRuntime, spec: RunSpec, links: Mapping[str, str]) -> None:
    """Have all made that a container of the run may join."""
    runtime.networks.expect(replace(spec, keep=Keep.NEXT))
    with suppress(EngineRefused):
        image_id = (await runtime.images.show(spec.image)).image_id
        for _ in range(2):
            runtime.linked.of(image_id, links)
    while tasks := runtime.networks._tasks | runtime.linked._tasks:
        await asyncio.wait(tasks)


@pytest.fixture
async def bench(prefix: str | None, python: str, tmp_path: Path, kind: str) -> AsyncIterator[Bench]:
    if prefix is None:
        engine = FakeEngine()
        engine.programs = {**{each.name: each.fake for each in BEHAVIOURS}, python: send_results}
        engine.images = set(engine.programs)
        elsewhere = FakeEngine()
        elsewhere.gateway = "172.17.0.1"
        runtimes = [FakeRuntime(each, stop_grace=0.2) for each in (engine, engine, elsewhere)]
        yield Bench(runtimes[0], runtimes[1], runtimes[2], runtimes[0], str, python)
        await engine.close()
        return
    instance = uuid.uuid4().hex
    apart = EngineSettings(network="none", pull_policy="missing")
    joins = kind in ("joined", "ready-joined")
    settings = EngineSettings(pull_policy="missing") if joins else apart
    runs = RunSettings(stop_grace_seconds=GRACE)
    # Deeper than the 108 bytes that the address of a socket may have.
    deep = tmp_path / ("deep" * 20)

    def made(each: EngineSettings) -> Closable:
        clock, environment = SystemClock(), engine_environment()
        type_ = Joined if kind == "joined" else DockerRuntime
        docker = type_(
            each,
            runs,
            clock,
            instance=instance,
            environment=environment,
            runs_dir=deep / "runs",
            workers=WorkerSettings(hold_networks=joins),
            workers_dir=deep / "workers",
        )
        if kind in ("cold", "joined"):
            return docker
        held = WarmRuntime if kind == "reused" else Ready
        return held(docker, WorkerSettings(), runs, clock, instance=instance, workers_dir=deep / "workers")

    dockers = [made(each) for each in (settings, settings, EngineSettings(), apart)]
    keep = Keep.REUSED if kind == "reused" else Keep.NOTHING
    try:
        yield Bench(dockers[0], dockers[1], dockers[2], dockers[3], lambda name: image_name(prefix, name), python, keep)
    finally:
        for runtime in dockers:
            await runtime.close()
        await remove_containers(f"abacod.instance={instance}")
