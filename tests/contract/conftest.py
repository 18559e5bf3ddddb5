"""The runtimes that are held to the contract: the fake one and the real one."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from abacod.clock import SystemClock
from abacod.config import EngineSettings, RunSettings, engine_environment
from abacod.ids import ActorId, ExecutionId, TenantId, new_actor_id, new_execution_id, new_worker_id
from abacod.runtime.docker import DockerRuntime
from abacod.runtime.run import FoundState, RunSpec, Runtime
from tests.docker_images import image_name, remove_containers
from tests.fakes import FakeEngine, FakeRuntime
from tests.programs import BEHAVIOURS, Behaviour, send_results

GRACE = 1


class Closable(Runtime, Protocol):
    """A runtime that is closed after the test."""

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Bench:
    """A runtime under test, a second daemon's one on the same engine, and one whose containers are on a network."""

    runtime: Closable
    second: Closable
    connected: Closable
    image: Callable[[str], str]
    python: str
    """The image that runs what `tests.programs.sending` makes."""

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
                **more,
            }
        )

    async def states(self, runtime: Runtime | None = None) -> dict[ExecutionId, FoundState]:
        """What is on the engine."""
        return {found.execution_id: found.state for found in await (runtime or self.runtime).found()}


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.docker)])
def prefix(request: pytest.FixtureRequest) -> str | None:
    """The prefix of the images on a real engine, None for the fake one."""
    return None if request.param == "fake" else str(request.getfixturevalue("docker_images"))


@pytest.fixture
def python(request: pytest.FixtureRequest, prefix: str | None) -> str:
    """The image with Python, on a real engine only for the tests of results."""
    if prefix is None:
        return "python"
    return str(request.getfixturevalue("python_image")) if "results" in request.module.__name__ else ""


@pytest.fixture
async def bench(prefix: str | None, python: str, tmp_path: Path) -> AsyncIterator[Bench]:
    if prefix is None:
        engine = FakeEngine()
        engine.programs = {**{each.name: each.fake for each in BEHAVIOURS}, python: send_results}
        engine.images = set(engine.programs)
        elsewhere = FakeEngine()
        elsewhere.gateway = "172.17.0.1"
        runtimes = [FakeRuntime(each, stop_grace=0.2) for each in (engine, engine, elsewhere)]
        yield Bench(runtimes[0], runtimes[1], runtimes[2], str, python)
        await engine.close()
        return
    instance = uuid.uuid4().hex
    settings = EngineSettings(network="none", pull_policy="missing")
    runs = RunSettings(stop_grace_seconds=GRACE)
    dockers = [
        DockerRuntime(
            each,
            runs,
            SystemClock(),
            instance=instance,
            environment=engine_environment(),
            # Deeper than the 108 bytes that the address of a socket may have.
            runs_dir=tmp_path / ("deep" * 20) / "runs",
        )
        for each in (settings, settings, EngineSettings())
    ]
    try:
        yield Bench(dockers[0], dockers[1], dockers[2], lambda name: image_name(prefix, name), python)
    finally:
        for runtime in dockers:
            await runtime.close()
        await remove_containers(f"abacod.instance={instance}")
