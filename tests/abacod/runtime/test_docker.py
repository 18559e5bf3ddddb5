"""An engine that answers, but serves nobody: broken inside, or closed to this user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from abacod.clock import SystemClock
from abacod.config import EngineEnvironment, EngineSettings, RunSettings
from abacod.errors import EngineUnavailable
from abacod.ids import ExecutionId
from abacod.runtime.docker import DockerRuntime
from tests.fakes import RecordingSink

EXECUTION = ExecutionId("kA1P1m8NkkolK")


@pytest.fixture(params=[403, 500])
async def refused(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DockerRuntime]:
    """A runtime whose engine refuses every request."""

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(body=b'{"message": "not today"}', content_type="application/json", status=request.param)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "engine.sock")).start()
    settings = EngineSettings(url=f"unix://{tmp_path}/engine.sock")
    runtime = DockerRuntime(
        settings,
        RunSettings(),
        SystemClock(),
        instance="test",
        environment=EngineEnvironment(),
        runs_dir=tmp_path / "runs",
    )
    yield runtime
    await runtime.close()
    await runner.cleanup()


@pytest.mark.parametrize(
    "request_",
    [
        lambda runtime: runtime.ping(),
        lambda runtime: runtime.found(),
        lambda runtime: runtime.sweep(),
        lambda runtime: runtime.halt(EXECUTION),
        lambda runtime: runtime.prepare("image", fresh=False),
        lambda runtime: runtime.prepare("image", fresh=True),
        lambda runtime: runtime.resume(EXECUTION, RecordingSink(), time_limit=None),
    ],
    ids=["ping", "found", "sweep", "halt", "prepare", "prepare fresh", "resume"],
)
async def test_it_is_as_good_as_away(
    refused: DockerRuntime, request_: Callable[[DockerRuntime], Awaitable[object]]
) -> None:
    with pytest.raises(EngineUnavailable, match="not today"):
        await request_(refused)


async def test_a_container_that_it_does_not_remove_is_left_for_another_time(refused: DockerRuntime) -> None:
    with pytest.raises(EngineUnavailable):
        await refused.found()
    await refused.discard(EXECUTION)
