from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from abacod.models.actor import Actor
from abacod.models.states import ActorStatus
from abacod.services.loops import Periodic
from abacod.store import actors
from tests.factories import ADMIN, definition
from tests.fakes import FakeClock, FakeContainer
from tests.harness import Diary, Lab

HOUR = 3600.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 1, 31, 8, 20, tzinfo=UTC))


@pytest.fixture
async def lab(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Lab]:
    async with Lab(tmp_path, clock=clock) as opened:
        yield opened


async def scheduled(lab: Lab, diary: Diary, text: str, **given: Any) -> Actor:
    """An actor with a schedule, and with the worker that its registration starts."""
    actor = await lab.create(diary, cron_schedule=text, **{"cron_on": True, **given})
    await lab.idle(actor)
    return actor


async def next_ex(lab: Lab, actor: Actor) -> str | None:
    now = await lab.actor(actor)
    assert now
    return now.cron_next_ex


async def test_a_schedule_sends_a_message_at_each_of_its_times(lab: Lab, diary: Diary, clock: FakeClock) -> None:
    containers: list[FakeContainer] = []

    async def note(container: FakeContainer) -> int:
        containers.append(container)
        return await diary(container)

    actor = await scheduled(lab, diary, "2026-01-31 09 + 2 hours", image="worker")
    lab.engine.programs["worker"] = note
    assert await next_ex(lab, actor) == "2026-1-31 9"
    await lab.cron.run_once()
    await clock.advance(HOUR * 2 / 3 - 1)
    await lab.cron.run_once()
    assert lab.messages.waiting(actor) == 0
    await clock.advance(1)
    await lab.cron.run_once()
    await lab.cron.run_once()
    await lab.until(lambda: diary.messages == ["This is your cron execution"])
    assert await next_ex(lab, actor) == "2026-1-31 11"
    environment = containers[0].spec.environment
    assert environment["_abaco_username"] == "cron"
    assert environment["_abaco_Content_Type"] == environment["_abaco_Content-Type"] == "str"
    (summary,), _ = await lab.executions.listed(actor.id)
    assert (await lab.executions.get(actor.id, summary.id)).executor == "cron"
    await clock.advance(2 * HOUR)
    await lab.cron.run_once()
    await lab.until(lambda: len(diary.messages) == 2)
    assert await next_ex(lab, actor) == "2026-1-31 13"


async def test_an_actor_whose_workers_have_gone_gets_one(lab: Lab, diary: Diary) -> None:
    actor = await scheduled(lab, diary, "now + 1 day")
    for worker in lab.pools.workers_of(actor.id):
        worker.stop()
    await lab.until(lambda: not lab.pools.workers_of(actor.id))
    await lab.cron.run_once()
    await lab.until(lambda: len(diary.messages) == 1)


async def test_runs_that_were_missed_are_made_up_for_once_and_the_grid_stays(lab: Lab, diary: Diary) -> None:
    hourly = await scheduled(lab, diary, "2026-01-31 09 + 5 hours")
    monthly = await scheduled(lab, diary, "2026-01-31 09 + 1 month")
    clock = FakeClock(lab.clock.now() + timedelta(days=90))
    lab.cron._clock = clock
    await lab.cron.run_once()
    await lab.cron.run_once()
    for actor in (hourly, monthly):
        assert len((await lab.executions.listed(actor.id))[0]) == 1
    start = datetime(2026, 1, 31, 9, tzinfo=UTC)
    now = await lab.actor(hourly)
    assert now
    assert now.cron_next
    assert (now.cron_next - start) % timedelta(hours=5) == timedelta()
    assert timedelta() < now.cron_next - clock.now() <= timedelta(hours=5)
    assert await next_ex(lab, monthly) == "2026-5-31 9"


async def test_while_it_is_off_time_goes_on_and_nothing_runs(lab: Lab, diary: Diary, clock: FakeClock) -> None:
    actor = await scheduled(lab, diary, "2026-01-31 09 + 2 hours", cron_on=False)
    await clock.advance(3 * HOUR)
    await lab.cron.run_once()
    assert await next_ex(lab, actor) == "2026-1-31 13"
    assert (await lab.executions.listed(actor.id))[0] == []
    await lab.actors.update(
        ADMIN, actor.id, definition(cron_schedule="2026-01-31 09 + 2 hours", cron_on=True), force=False
    )
    assert await next_ex(lab, actor) == "2026-1-31 13"
    await clock.advance(2 * HOUR)
    await lab.cron.run_once()
    assert len((await lab.executions.listed(actor.id))[0]) == 1


async def test_a_schedule_that_is_removed_or_changed_meanwhile_does_not_run(
    lab: Lab, diary: Diary, clock: FakeClock
) -> None:
    removed = await scheduled(lab, diary, "2026-01-31 09 + 1 hour")
    changed = await scheduled(lab, diary, "2026-01-31 09 + 1 hour")
    await clock.advance(HOUR)
    due = await lab.database.read(lambda tx: actors.due(tx, clock.now()))
    assert due == [removed.id, changed.id]
    await lab.actors.update(ADMIN, removed.id, definition(), force=False)
    later = definition(cron_schedule="2026-02-01 00 + 1 week", cron_on=True)
    await lab.actors.update(ADMIN, changed.id, later, force=False)
    for actor_id in due:
        assert not await lab.database.write(partial(lab.cron._sent, actor_id=actor_id))
    assert await next_ex(lab, removed) is None
    assert await next_ex(lab, changed) == "2026-2-1 0"
    assert diary.messages == []


async def test_actors_in_error_and_those_being_deleted_get_nothing(lab: Lab, diary: Diary, clock: FakeClock) -> None:
    error = await lab.create(image="missing", cron_schedule="2026-01-31 09 + 1 hour", cron_on=True)
    await lab.actor_in(error, ActorStatus.ERROR)
    going = await scheduled(lab, diary, "2026-01-31 09 + 1 hour")
    await lab.database.write(lambda tx: actors.set_status(tx, going.id, ActorStatus.SHUTTING_DOWN, ""))
    await clock.advance(HOUR)
    await lab.cron.run_once()
    for actor in (error, going):
        assert (await lab.executions.listed(actor.id))[0] == []
    assert await next_ex(lab, error) == "2026-1-31 10"
    lab.engine.images.add("missing")
    fixed = definition(image="missing", cron_schedule="2026-01-31 09 + 1 hour", cron_on=True)
    await lab.actors.update(ADMIN, error.id, fixed, force=True)
    await lab.actor_in(error, ActorStatus.READY)
    await clock.advance(HOUR)
    await lab.cron.run_once()
    assert len((await lab.executions.listed(error.id))[0]) == 1


async def test_a_crash_between_the_note_and_the_bell_neither_loses_nor_repeats_a_run(lab: Lab, diary: Diary) -> None:
    actor = await scheduled(lab, diary, "now + 1 hour", stateless=False)
    write, noted = lab.database.write, asyncio.Event()

    async def stop_after(question: Any, **more: Any) -> Any:
        result = await write(question, **more)
        noted.set()
        await asyncio.Event().wait()
        return result

    lab.database.write = stop_after  # type: ignore[method-assign]
    sending = asyncio.create_task(lab.cron.run_once())
    await noted.wait()
    sending.cancel()
    await lab.reopen()
    await lab.cron.run_once()
    await lab.until(lambda: diary.messages == ["This is your cron execution"])
    assert len((await lab.executions.listed(actor.id))[0]) == 1


async def test_the_loop_looks_at_the_full_hour(lab: Lab, diary: Diary, clock: FakeClock) -> None:
    actor = await scheduled(lab, diary, "2026-01-31 09 + 1 hour")
    await clock.advance(37 * 60 + 3)
    looks: list[datetime] = []

    async def look() -> None:
        looks.append(clock.now())

    loop = asyncio.create_task(Periodic("cron", look, lab.cron.pause, clock).run())
    await clock.until_asleep()
    for _ in range(6 * 60):
        await clock.advance(1)
    loop.cancel()
    assert datetime(2026, 1, 31, 9, tzinfo=UTC) in looks
    assert max(b - a for a, b in pairwise(looks)) <= timedelta(seconds=10)
    assert actor.cron_next == datetime(2026, 1, 31, 9, tzinfo=UTC)
