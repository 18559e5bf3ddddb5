from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from abacod.config_workers import WorkerSettings
from abacod.models.states import ActorStatus, ExecutionStatus, WorkerStatus
from tests.factories import ADMIN, definition
from tests.harness import Diary, Lab


@pytest.fixture
async def narrow(tmp_path: Path) -> AsyncIterator[Lab]:
    """A daemon with place for one worker."""
    async with Lab(tmp_path, workers=WorkerSettings(max_per_host=1)) as opened:
        yield opened


async def test_a_registration_gets_a_worker_that_fetches_the_image(lab: Lab) -> None:
    actor = await lab.create()
    ready = await lab.actor_in(actor, ActorStatus.READY)
    assert ready is not None
    assert ready.status_message == " "
    assert ("prepare fresh", "image") in lab.runtime.calls


async def test_the_first_message_starts_a_worker_without_the_autoscaler(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary)
    for worker in await lab.idle(actor):
        worker.stop()
    await lab.until(lambda: not lab.pools.workers_of(actor.id))
    await lab.ended(await lab.send(actor, "1"))
    assert lab.runtime.calls.count(("prepare fresh", "image")) == 1


async def test_stateless_messages_run_side_by_side_up_to_the_number_of_workers(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary, max_workers=3)
    sent = await lab.send(actor, "1", "2", "3", "4")
    for _ in range(5):
        await lab.autoscaler.run_once()
        await lab.until(lambda: diary.at_once == len(lab.pools.viable(actor.id)))
    assert diary.at_once == 3
    assert sorted(diary.messages) == ["1", "2", "3"]
    assert lab.messages.waiting(actor) == 1
    diary.gate.set()
    await lab.ended(sent)


async def test_an_idle_worker_of_another_actor_makes_place(narrow: Lab, diary: Diary) -> None:
    first = await narrow.create(diary)
    await narrow.idle(first)
    second = await narrow.create(diary)
    await narrow.ended(await narrow.send(second, "1"))
    assert not narrow.pools.workers_of(first.id)
    assert narrow.runtime.calls.count(("prepare fresh", "image")) == 2


@pytest.mark.parametrize("stateless", [True, False])
async def test_an_actor_without_a_place_gets_the_worker_s_that_becomes_idle(
    narrow: Lab, diary: Diary, stateless: bool
) -> None:
    # given one actor that is at work
    first = await narrow.create(diary, stateless=stateless)
    diary.gate.clear()
    running = await narrow.send(first, "1")
    await narrow.until(lambda: diary.messages == ["1"])
    # when another one gets a message
    second = await narrow.create(diary)
    waiting = await narrow.send(second, "2")
    await narrow.until(lambda: second.id in narrow.pools._starved)
    assert not narrow.pools.workers_of(second.id)
    # then that runs as soon as the first one has nothing to do, and no autoscaler is needed
    diary.gate.set()
    await narrow.ended(running + waiting)


async def test_many_actors_share_one_place(narrow: Lab, diary: Diary) -> None:
    sent = []
    for number in range(5):
        actor = await narrow.create(diary, stateless=bool(number % 2))
        sent += await narrow.send(actor, "a", "b")
    await narrow.ended(sent)
    assert diary.most_at_once == 1


async def test_a_worker_that_finishes_an_old_revision_counts_for_the_machine(narrow: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await narrow.create(diary)
    sent = await narrow.send(actor, "1", "2")
    await narrow.until(lambda: diary.at_once == 1)
    await narrow.actors.update(ADMIN, actor.id, definition(), force=True)
    other = await narrow.create(diary)
    sent += await narrow.send(other, "3")
    await narrow.until(lambda: len(narrow.pools._starved) == 2)
    assert diary.at_once == 1
    diary.gate.set()
    await narrow.ended(sent)
    assert diary.most_at_once == 1


async def test_growing_takes_no_place_from_the_actor_s_own_workers(tmp_path: Path) -> None:
    async with Lab(tmp_path, workers=WorkerSettings(max_per_host=2)) as lab:
        actor = await lab.create()
        await lab.idle(actor)
        assert lab.pools.grow(actor, 2) == 1
        before = await lab.idle(actor, 2)
        assert lab.pools.grow(actor, 3) == 0
        assert lab.pools.workers_of(actor.id) == before


async def test_no_worker_starts_before_recovery_is_done(tmp_path: Path, diary: Diary) -> None:
    async with Lab(tmp_path) as lab:
        actor = await lab.create(diary)
        await lab.idle(actor)
        lab.engine.up = False
        await lab.reopen()
        # when the engine is away at the start, whatever asks for workers
        sent = await lab.send(actor, "1")
        lab.pools.grow(actor, 2)
        await lab.autoscaler.run_once()
        await lab.actors.update(ADMIN, actor.id, definition(), force=True)
        assert not lab.pools.all_workers()
        # then they come with the engine
        lab.engine.up = True
        await lab.ended(sent)


async def test_growing_while_draining_ends(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary)
    diary.gate.clear()
    await lab.send(actor, "1", "2")
    await lab.until(lambda: diary.at_once == 1)
    draining = asyncio.create_task(lab.pools.drain(5))
    await lab.until(lambda: lab.pools._draining)
    assert lab.pools.grow(actor, 2) == 0
    await lab.autoscaler.run_once()
    await lab.actors.update(ADMIN, actor.id, definition(), force=True)
    assert lab.worker_statuses(actor) == [WorkerStatus.SHUTDOWN_REQUESTED]
    diary.gate.set()
    await draining
    assert not lab.pools.all_workers()
    assert diary.messages == ["1"]


async def test_draining_leaves_what_outlasts_it_to_the_next_start(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary)
    diary.gate.clear()
    (execution,) = await lab.send(actor, "1")
    await lab.until(lambda: diary.at_once == 1)
    await lab.pools.drain(0)
    await lab.reopen()
    diary.gate.set()
    (record,) = await lab.ended([execution])
    assert record.status is ExecutionStatus.COMPLETE
    assert lab.engine.started[execution.id] == 1


async def test_draining_does_not_wait_for_an_engine_that_is_away(lab: Lab) -> None:
    await lab.until(lambda: lab.watch.trouble is None)
    lab.engine.up = False
    actor = await lab.create()
    await lab.until(lambda: lab.worker_statuses(actor) == [WorkerStatus.PULLING_IMAGE])
    await lab.until(lambda: lab.watch.trouble is not None)
    await lab.pools.drain(60)
    assert not lab.pools.all_workers()


async def test_a_missing_image_puts_the_actor_in_error_and_messages_stay(lab: Lab, diary: Diary) -> None:
    # given an actor whose image nobody has
    actor = await lab.create(image="nowhere")
    failed = await lab.actor_in(actor, ActorStatus.ERROR)
    assert failed is not None
    assert "nowhere" in failed.status_message
    sent = await lab.send(actor, "1", "2")
    await lab.until(lambda: not lab.mailboxes._rung)
    assert not lab.pools.workers_of(actor.id)
    assert lab.messages.waiting(actor) == 2
    # when it is updated to one that exists
    lab.engine.programs["image"] = diary
    await lab.actors.update(ADMIN, actor.id, definition(), force=False)
    # then it leaves ERROR and the messages run
    await lab.ended(sent)
    assert diary.messages == ["1", "2"]
    ready = await lab.actor(actor)
    assert ready is not None
    assert (ready.status, ready.status_message) == (ActorStatus.READY, " ")


async def test_a_forced_update_fetches_an_image_that_appeared_meanwhile(lab: Lab) -> None:
    actor = await lab.create(image="late")
    await lab.actor_in(actor, ActorStatus.ERROR)
    (execution,) = await lab.send(actor, "1")
    lab.engine.registry.add("late")
    await lab.actors.update(ADMIN, actor.id, definition(image="late"), force=True)
    assert (await lab.ended([execution]))[0].status is ExecutionStatus.COMPLETE


async def test_a_crashed_worker_is_replaced(lab: Lab, diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abacod.services.pools._TROUBLE_PAUSE", 0.001)
    actor = await lab.create(diary)
    (worker,) = await lab.idle(actor)

    async def crash() -> None:
        raise ZeroDivisionError

    lab.runtime.fail_starts(ZeroDivisionError())
    with monkeypatch.context() as defects:
        # Also the giving up of an execution fails, and with it the worker.
        defects.setattr(lab.executor, "give_up", lambda *_: crash())
        await lab.send(actor, "1")
        assert worker.task is not None
        await worker.task
    await lab.ended(await lab.send(actor, "2"))
    assert diary.messages == ["2"]


async def test_an_update_while_an_actor_starves_is_not_forgotten(narrow: Lab, diary: Diary) -> None:
    diary.gate.clear()
    busy = await narrow.create(diary)
    sent = await narrow.send(busy, "1")
    await narrow.until(lambda: diary.at_once == 1)
    starved = await narrow.create(diary)
    sent += await narrow.send(starved, "2")
    await narrow.until(lambda: starved.id in narrow.pools._starved)
    await narrow.actors.update(ADMIN, starved.id, definition(), force=True)
    diary.gate.set()
    await narrow.ended(sent)


async def test_deleting_a_starved_actor_leaves_the_others_alone(narrow: Lab, diary: Diary) -> None:
    diary.gate.clear()
    busy = await narrow.create(diary)
    sent = await narrow.send(busy, "1")
    await narrow.until(lambda: diary.at_once == 1)
    starved = await narrow.create(diary)
    (lost,) = await narrow.send(starved, "2")
    await narrow.until(lambda: starved.id in narrow.pools._starved)
    assert await narrow.actors.delete(starved)
    diary.gate.set()
    await narrow.ended(sent)
    assert (await narrow.record(lost)).final_state == {"reason": "The actor was deleted."}
    assert not narrow.pools.workers_of(starved.id)
