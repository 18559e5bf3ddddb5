from __future__ import annotations

import asyncio

import pytest

from abacod.errors import StorageUnavailable
from abacod.services.loops import Background, Periodic
from tests.fakes import FakeClock


async def test_a_loop_goes_on_after_failures_and_counts_those_that_are_ours() -> None:
    clock = FakeClock()
    outcomes: list[Exception | None] = [None, StorageUnavailable(), ZeroDivisionError(), None]
    calls = 0

    async def run_once() -> None:
        nonlocal calls
        calls += 1
        if outcomes and (error := outcomes.pop(0)):
            raise error

    loop = Periodic("test", run_once, 5, clock)
    task = asyncio.create_task(loop.run())
    await clock.until_asleep()
    assert calls == 0
    await clock.advance(25)
    assert (calls, loop.failures) == (5, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_failing_errand_is_survived_and_a_failing_part_is_not() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def daemon() -> None:
        async with asyncio.TaskGroup() as group:
            background = Background(group)
            background.spawn(fail(), "errand")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            background.start(fail(), "part")
            reached_the_part.set()
            await asyncio.Event().wait()

    reached_the_part = asyncio.Event()
    with pytest.raises(ExceptionGroup):
        await daemon()
    assert reached_the_part.is_set()


async def test_everything_ends_when_it_is_cancelled() -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        background = Background(group)
        background.start(for_ever(), "part")
        background.spawn(for_ever(), "errand")
        await asyncio.sleep(0)
        background.cancel()
