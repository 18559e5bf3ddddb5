"""An engine that goes away at the worst moments: nothing runs twice, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from abacod.errors import EngineUnavailable, RunLost
from abacod.runtime.container_spec import container_name
from tests.docker.conftest import Docker
from tests.docker_images import engine
from tests.engine_proxy import EngineProxy, engine_proxy
from tests.fakes import RecordingSink

pytestmark = [pytest.mark.docker, pytest.mark.timeout(30)]

TALKING = "trap 'echo bye; exit 3' TERM; echo one; echo two; sleep 1000 & wait"


@pytest.fixture
async def proxy(docker_images: str, tmp_path: Path) -> AsyncIterator[EngineProxy]:
    here = engine()
    await here.ping()
    async with engine_proxy(tmp_path, here.socket) as proxy:
        yield proxy
    await here.close()


async def test_a_running_container_survives_a_lost_engine(docker: Docker, proxy: EngineProxy) -> None:
    spec, sink = docker.spec(TALKING), RecordingSink()
    runtime = docker.make(url=proxy.url)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(runtime.run(spec, sink), name="run")
        await sink.until(b"two\n")
        proxy.down()
        # What is said while nobody listens is in the engine's log.
        await docker.runtime.halt(spec.execution_id)
        await proxy.up()

    assert run.result().exit_code == 3
    assert bytes(sink.data) == b"one\ntwo\nbye\n"
    assert sink.restarts >= 1


async def test_a_container_that_goes_on_is_followed_again(docker: Docker, proxy: EngineProxy) -> None:
    spec, sink = docker.spec(TALKING), RecordingSink()
    runtime = docker.make(url=proxy.url)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(runtime.run(spec, sink), name="run")
        await sink.until(b"two\n")
        proxy.down()
        sink.data.clear()
        await proxy.up()
        await sink.until(b"two\n")
        await runtime.halt(spec.execution_id)

    assert run.result().exit_code == 3
    assert bytes(sink.data) == b"one\ntwo\nbye\n"


async def test_a_time_limit_holds_across_a_loss(docker: Docker, proxy: EngineProxy) -> None:
    spec, sink = docker.spec(TALKING, time_limit=1.0), RecordingSink()
    runtime = docker.make(url=proxy.url)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(runtime.run(spec, sink), name="run")
        await sink.until(b"two\n")
        proxy.down()
        await proxy.up()

    assert run.result().exit_code == 3


async def test_a_container_that_vanished_meanwhile_is_lost(docker: Docker, proxy: EngineProxy) -> None:
    spec, sink = docker.spec(TALKING), RecordingSink()
    run = asyncio.create_task(docker.make(url=proxy.url).run(spec, sink), name="run")
    await sink.until(b"two\n")
    proxy.down()
    await docker.runtime.discard(spec.execution_id)
    await proxy.up()

    with pytest.raises(RunLost):
        await run


async def test_a_start_without_an_answer_that_happened_is_followed(docker: Docker, proxy: EngineProxy) -> None:
    spec, sink = docker.spec("echo one; exit 5"), RecordingSink()
    proxy.swallow = b"/start "
    async with asyncio.TaskGroup() as group:
        run = group.create_task(docker.make(url=proxy.url).run(spec, sink), name="run")
        await proxy.cuts.wait()
        await proxy.up()

    assert run.result().exit_code == 5
    assert bytes(sink.data) == b"one\n"


async def test_a_start_that_never_happened_leaves_nothing(docker: Docker, proxy: EngineProxy) -> None:
    spec = docker.spec("echo one")
    proxy.drop = b"/start "
    run = asyncio.create_task(docker.make(url=proxy.url).run(spec, RecordingSink()), name="run")
    await proxy.cuts.wait()
    await proxy.up()

    with pytest.raises(EngineUnavailable):
        await run
    assert await docker.runtime.found() == []


async def test_a_creation_without_an_answer_is_made_good_by_the_next_attempt(
    docker: Docker, proxy: EngineProxy
) -> None:
    spec = docker.spec("echo one")
    runtime = docker.make(url=proxy.url)
    proxy.swallow = f"create?name={container_name(spec.execution_id)}".encode()
    with pytest.raises(EngineUnavailable):
        await runtime.run(spec, RecordingSink())
    await proxy.up()

    outcome = await runtime.run(spec, RecordingSink())

    assert outcome.exit_code == 0


async def test_without_an_engine_every_call_says_so(docker: Docker, proxy: EngineProxy) -> None:
    runtime = docker.make(url=proxy.url)
    proxy.down()
    spec = docker.spec("true")

    for call in (
        runtime.ping(),
        runtime.prepare(spec.image, fresh=True),
        runtime.run(spec, RecordingSink()),
        runtime.resume(spec.execution_id, RecordingSink(), time_limit=None),
        runtime.halt(spec.execution_id),
        runtime.discard(spec.execution_id),
        runtime.found(),
    ):
        with pytest.raises(EngineUnavailable):
            await call
