from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from abacod.config import EngineSettings
from abacod.errors import EngineUnavailable
from abacod.services.engine_watch import EngineWatch
from tests.fakes import FakeClock, FakeRuntime


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
async def watch(runtime: FakeRuntime, clock: FakeClock) -> AsyncIterator[EngineWatch]:
    watched = EngineWatch(runtime, EngineSettings(retry_max_seconds=2), clock)
    task = asyncio.create_task(watched.run())
    await clock.until_asleep()
    yield watched
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def looks(runtime: FakeRuntime) -> int:
    return len(runtime.calls)


async def test_an_engine_that_answers_is_asked_now_and_then(
    watch: EngineWatch, runtime: FakeRuntime, clock: FakeClock
) -> None:
    assert watch.trouble is None
    assert looks(runtime) == 1
    await clock.advance(10)
    assert looks(runtime) == 3
    await watch.until_up()


async def test_a_loss_is_noticed_and_holds_everybody_until_the_engine_is_back(
    watch: EngineWatch, runtime: FakeRuntime, clock: FakeClock
) -> None:
    runtime.engine_up = False
    await clock.advance(5)
    assert watch.trouble == "The container engine does not answer."
    waiting = asyncio.create_task(watch.until_up())
    await clock.advance(1)
    assert not waiting.done()
    runtime.engine_up = True
    await clock.advance(2)
    await waiting
    assert watch.trouble is None


async def test_pauses_double_up_to_the_limit(watch: EngineWatch, runtime: FakeRuntime, clock: FakeClock) -> None:
    runtime.engine_up = False
    await clock.advance(5)
    before = looks(runtime)
    await clock.advance(0.25 + 0.5 + 1)
    assert looks(runtime) - before == 3
    await clock.advance(20)
    assert looks(runtime) - before == 13


async def test_after_a_loss_that_a_worker_reports_the_engine_is_asked_soon(
    watch: EngineWatch, runtime: FakeRuntime, clock: FakeClock
) -> None:
    watch.lost(EngineUnavailable("connection reset"))
    assert watch.trouble == "connection reset"
    waiting = asyncio.create_task(watch.until_up())
    await clock.advance(0)
    await clock.advance(0.25)
    await waiting
    assert looks(runtime) == 2


async def test_an_engine_that_answers_but_fails_its_work_is_not_asked_without_end(
    watch: EngineWatch, runtime: FakeRuntime, clock: FakeClock
) -> None:
    for _ in range(10):
        watch.lost(EngineUnavailable())
        await clock.advance(0)
    assert looks(runtime) == 1
    await clock.advance(0.25)
    assert looks(runtime) <= 3


async def test_before_the_first_look_the_engine_counts_as_away(clock: FakeClock, runtime: FakeRuntime) -> None:
    watch = EngineWatch(runtime, EngineSettings(), clock)
    assert watch.trouble == "The container engine has not been asked yet."
    assert await watch.look()
    assert watch.trouble is None
