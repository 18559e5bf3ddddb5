from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abacod.config_workers import WorkerSettings
from abacod.models.states import ActorStatus, WorkerStatus
from abacod.services.autoscaler import Decision, decide
from tests.factories import START
from tests.fakes import FakeClock
from tests.harness import Diary, Lab

READY, BUSY, PULLING = WorkerStatus.READY, WorkerStatus.BUSY, WorkerStatus.PULLING_IMAGE
STOPPING, ERROR = WorkerStatus.SHUTDOWN_REQUESTED, WorkerStatus.ERROR


@dataclass(frozen=True)
class Seen:
    """What the rule sees of a worker."""

    status: WorkerStatus
    last_active: datetime = START


def decided(waiting: int, workers: Sequence[Any], *, limit: int = 3, sync: bool = False, idle: int = 0) -> Decision:
    return decide(
        waiting,
        workers,
        limit=limit,
        keeps_one=sync,
        idle_limit=timedelta(seconds=600),
        now=START + timedelta(seconds=idle),
    )


@pytest.mark.parametrize(
    ("waiting", "statuses", "starts"),
    [
        (0, [], 0),
        (1, [], 1),
        (9, [], 1),
        (1, [PULLING], 0),
        (1, [READY], 0),
        (2, [READY], 1),
        (1, [BUSY], 1),
        (1, [BUSY, BUSY, BUSY], 0),
        (9, [BUSY, BUSY, PULLING], 0),
        (1, [STOPPING, ERROR], 1),
        (1, [BUSY, BUSY, STOPPING], 1),
    ],
)
def test_one_more_starts_if_more_wait_than_workers_are_free_for(
    waiting: int, statuses: list[WorkerStatus], starts: int
) -> None:
    assert decided(waiting, [Seen(status) for status in statuses]) == Decision(start=starts)


def test_idle_workers_end_when_nothing_waits() -> None:
    workers: list[Any] = [Seen(READY), Seen(BUSY), Seen(PULLING), Seen(READY), Seen(STOPPING)]
    assert decided(0, workers).stop == (workers[0], workers[3])


def test_a_sync_actor_keeps_the_most_recently_active_worker_for_a_while() -> None:
    old: Any = Seen(READY)
    new: Any = Seen(READY, START + timedelta(seconds=100))
    assert decided(0, [old, new], sync=True, idle=699).stop == (old,)
    assert decided(0, [old, new], sync=True, idle=700).stop == (old, new)
    assert decided(0, [old, Seen(BUSY)], sync=True).stop == (old,)


@given(
    waiting=st.integers(0, 20),
    statuses=st.lists(st.sampled_from(list(WorkerStatus)), max_size=12),
    limit=st.integers(1, 8),
    sync=st.booleans(),
    idle=st.integers(0, 2000),
)
def test_the_rule_never_breaks_its_bounds(
    waiting: int, statuses: list[WorkerStatus], limit: int, sync: bool, idle: int
) -> None:
    workers = [Seen(status) for status in statuses]
    decision = decided(waiting, workers, limit=limit, sync=sync, idle=idle)
    viable = sum(status.viable for status in statuses)
    assert not (decision.start and decision.stop)
    assert decision.start in (0, 1)
    assert not decision.start or (waiting and viable + decision.start <= limit)
    assert all(each.status is READY for each in decision.stop)
    assert not decision.stop or not waiting
    if waiting and not viable:
        assert decision.start


async def test_an_idle_pool_goes_to_nothing_and_stays_there(lab: Lab) -> None:
    actor = await lab.create(max_workers=3)
    await lab.idle(actor)
    lab.pools.grow(actor, 3)
    await lab.idle(actor, 3)
    await lab.autoscaler.run_once()
    await lab.until(lambda: not lab.pools.workers_of(actor.id))
    await lab.autoscaler.run_once()
    assert not lab.pools.workers_of(actor.id)


@pytest.mark.parametrize("hint", ["sync", "resident"])
async def test_these_hints_keep_one_worker_until_it_was_idle_too_long(tmp_path: Path, hint: str) -> None:
    clock = FakeClock()
    async with Lab(tmp_path, clock=clock, workers=WorkerSettings(sync_idle_seconds=60)) as lab:
        actor = await lab.create(hints=(hint,))
        await lab.idle(actor)
        lab.pools.grow(actor, 2)
        await lab.idle(actor, 2)
        await lab.autoscaler.run_once()
        await lab.idle(actor, 1)
        await clock.advance(59)
        await lab.autoscaler.run_once()
        await lab.idle(actor, 1)
        await clock.advance(1)
        await lab.autoscaler.run_once()
        await lab.until(lambda: not lab.pools.workers_of(actor.id))


async def test_stateful_actors_and_actors_in_error_are_left_alone(lab: Lab, diary: Diary) -> None:
    stateful = await lab.create(diary, stateless=False)
    broken = await lab.create(image="nowhere")
    await lab.idle(stateful)
    await lab.actor_in(broken, ActorStatus.ERROR)
    await lab.until(lambda: not lab.pools.workers_of(broken.id))
    await lab.send(broken, "1")
    await lab.autoscaler.run_once()
    assert not lab.pools.workers_of(broken.id)
    assert lab.worker_statuses(stateful) == [READY]


async def test_the_machine_s_limit_holds(tmp_path: Path, diary: Diary) -> None:
    async with Lab(tmp_path, workers=WorkerSettings(max_per_host=2)) as lab:
        diary.gate.clear()
        actor = await lab.create(diary, max_workers=5)
        sent = await lab.send(actor, "1", "2", "3")
        await lab.until(lambda: diary.at_once == 1)
        for _ in range(3):
            await lab.autoscaler.run_once()
        await lab.until(lambda: diary.at_once == 2)
        assert len(lab.pools.all_workers()) == 2
        diary.gate.set()
        await lab.ended(sent)
