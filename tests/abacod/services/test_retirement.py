from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from abacod.config_workers import WorkerSettings
from abacod.services.retirement import Retirement
from tests.fakes import FakeClock
from tests.harness import Diary, Lab


def retirement(lab: Lab) -> Retirement:
    return Retirement(lab.mailboxes, lab.pools, lab.settings.workers, lab.clock)


@pytest.mark.parametrize("stateless", [True, False])
async def test_an_idle_worker_of_that_age_ends_and_the_next_message_gets_a_new_one(
    tmp_path: Path, diary: Diary, stateless: bool
) -> None:
    clock = FakeClock()
    async with Lab(tmp_path, clock=clock, workers=WorkerSettings(ttl_seconds=60)) as lab:
        actor = await lab.create(diary, stateless=stateless)
        (first,) = await lab.idle(actor)
        await clock.advance(59.9)
        await retirement(lab).run_once()
        assert await lab.idle(actor) == [first]
        await clock.advance(0.1)
        await retirement(lab).run_once()
        await lab.until(lambda: not lab.pools.workers_of(actor.id))
        await lab.ended(await lab.send(actor, "1"))
        assert diary.messages == ["1"]


async def test_a_busy_worker_stays_however_old_it_is(tmp_path: Path, diary: Diary) -> None:
    clock = FakeClock()
    async with Lab(tmp_path, clock=clock, workers=WorkerSettings(ttl_seconds=0)) as lab:
        diary.gate.clear()
        actor = await lab.create(diary)
        sent = await lab.send(actor, "1")
        await lab.until(lambda: diary.at_once == 1)
        await clock.advance(100)
        (worker,) = lab.pools.workers_of(actor.id)
        await retirement(lab).run_once()
        assert lab.pools.workers_of(actor.id) == [worker]
        assert worker.status.viable
        diary.gate.set()
        await lab.ended(sent)


async def test_by_default_workers_get_as_old_as_they_like(tmp_path: Path) -> None:
    async with Lab(tmp_path) as lab:
        (worker,) = await lab.idle(await lab.create())
        worker.create_time -= timedelta(days=1000)
        await retirement(lab).run_once()
        assert worker.status.viable
