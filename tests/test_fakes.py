"""What the fakes do beyond the protocols they keep: what other tests use to set a scene."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from abacod.errors import EngineUnavailable, RunLost, StartFailed
from abacod.ids import ExecutionId, TenantId, new_actor_id, new_execution_id, new_worker_id
from abacod.runtime.run import FoundRun, FoundState, RunSpec
from tests.fakes import FakeClock, FakeEngine, FakeRuntime, RecordingSink, obey


def spec(execution_id: ExecutionId | None = None, message: str = "hello", time_limit: float | None = None) -> RunSpec:
    return RunSpec(
        execution_id=execution_id or new_execution_id(),
        actor_id=new_actor_id(),
        worker_id=new_worker_id(),
        tenant=TenantId("dev"),
        image="image",
        environment={"MSG": message},
        time_limit=time_limit,
    )


async def test_time_passes_only_when_told() -> None:
    clock = FakeClock()
    before = clock.now()
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        for seconds in (3, 1, 2):
            group.create_task(sleeper(seconds), name=f"sleeper {seconds}")
        await clock.until_asleep(3)
        await clock.advance(2.5)
        assert woken == [1, 2]
        await clock.advance(0.5)

    assert woken == [1, 2, 3]
    assert clock.now() - before == timedelta(seconds=3)


async def test_a_run_is_held_until_it_is_released() -> None:
    runtime, sink, one = FakeRuntime(), RecordingSink(), spec()
    release = runtime.hold()
    run = asyncio.create_task(runtime.run(one, sink), name="run")
    await sink.started.wait()
    assert not run.done()

    release.set()

    assert (await run).exit_code == 0
    assert bytes(sink.data) == b"hello"
    assert runtime.starts == {one.execution_id: 1}
    assert ("run", one.execution_id) in runtime.calls


async def test_starts_fail_as_told() -> None:
    runtime, one = FakeRuntime(), spec()
    runtime.fail_starts(StartFailed("no"), StartFailed("no"))
    for _ in range(2):
        with pytest.raises(StartFailed):
            await runtime.run(one, RecordingSink())

    assert (await runtime.run(one, RecordingSink())).exit_code == 0
    assert runtime.starts == {one.execution_id: 1}


async def test_a_daemon_that_crashed_comes_back_to_its_containers() -> None:
    engine, one, sink = FakeEngine(), spec(), RecordingSink()
    engine.programs["image"] = obey
    run = asyncio.create_task(FakeRuntime(engine).run(one, sink), name="run")
    await sink.until(b"ready\n")
    run.cancel()
    second = FakeRuntime(engine)
    assert await second.found() == [FoundRun(one.execution_id, FoundState.RUNNING)]
    assert await FakeRuntime(engine, instance="other").found() == []

    resumed = asyncio.create_task(second.resume(one.execution_id, sink, time_limit=None), name="resumed")
    await second.halt(one.execution_id)

    assert (await resumed).exit_code == 143
    assert second.starts == {one.execution_id: 1}


async def test_an_engine_that_goes_away_is_waited_for() -> None:
    runtime, one, sink = FakeRuntime(), spec(), RecordingSink()
    runtime.programs["image"] = obey
    run = asyncio.create_task(runtime.run(one, sink), name="run")
    await sink.until(b"ready\n")
    runtime.engine_up = False
    with pytest.raises(EngineUnavailable):
        await runtime.ping()
    await asyncio.sleep(0)
    runtime.engine_up = True

    await runtime.halt(one.execution_id)

    assert (await run).exit_code == 143
    assert sink.restarts == 1
    assert bytes(sink.data) == b"ready\n"


async def test_a_container_that_vanishes_is_lost() -> None:
    runtime, one, sink = FakeRuntime(), spec(), RecordingSink()
    runtime.programs["image"] = obey
    run = asyncio.create_task(runtime.run(one, sink), name="run")
    await sink.until(b"ready\n")

    runtime.engine.vanish(one.execution_id)

    with pytest.raises(RunLost):
        await run


async def test_a_time_limit_goes_by_the_fake_clock() -> None:
    clock = FakeClock()
    runtime, sink = FakeRuntime(clock=clock), RecordingSink()
    runtime.programs["image"] = obey
    run = asyncio.create_task(runtime.run(spec(time_limit=60), sink), name="run")
    await sink.until(b"ready\n")
    await clock.until_asleep()

    await clock.advance(60)

    outcome = await run
    assert outcome.exit_code == 143
    assert outcome.finished_at - outcome.started_at == timedelta(seconds=60)
