"""A runtime on the real engine whose containers are all removed after the test."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from abacod.clock import SystemClock
from abacod.config import EngineSettings, RunSettings, engine_environment
from abacod.ids import TenantId, new_actor_id, new_execution_id, new_worker_id
from abacod.runtime.docker import DockerRuntime
from abacod.runtime.run import Outcome, RunSpec
from tests.docker_images import SHELL, image_name, remove_containers
from tests.fakes import RecordingSink


@dataclass(frozen=True)
class Docker:
    """Runtimes of one data directory, and runs of shell scripts on them."""

    instance: str
    prefix: str
    runtime: DockerRuntime
    make: Callable[..., DockerRuntime]

    def spec(self, script: str, **more: Any) -> RunSpec:
        """A run of a shell script."""
        return RunSpec(
            **{
                "execution_id": new_execution_id(),
                "actor_id": new_actor_id(),
                "worker_id": new_worker_id(),
                "tenant": TenantId("dev"),
                "image": image_name(self.prefix, SHELL),
                "environment": {"SCRIPT": script},
                **more,
            }
        )

    async def run(self, script: str, **more: Any) -> tuple[Outcome, str]:
        """Run a shell script; its outcome and its output."""
        sink = RecordingSink()
        outcome = await self.runtime.run(self.spec(script, **more), sink)
        return outcome, sink.data.decode()


@pytest.fixture
async def docker(docker_images: str, tmp_path: Path) -> AsyncIterator[Docker]:
    instance = uuid.uuid4().hex
    async with AsyncExitStack() as stack:
        stack.push_async_callback(remove_containers, f"abacod.instance={instance}")

        def make(**settings: Any) -> DockerRuntime:
            engine = EngineSettings(**{"network": "none", "retry_max_seconds": 0.5, **settings})
            runs = RunSettings(stop_grace_seconds=1)
            runtime = DockerRuntime(
                engine,
                runs,
                SystemClock(),
                instance=instance,
                environment=engine_environment(),
                runs_dir=tmp_path / "runs",
            )
            stack.push_async_callback(runtime.close)
            return runtime

        yield Docker(instance, docker_images, make(), make)
