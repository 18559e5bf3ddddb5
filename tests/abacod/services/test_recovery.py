from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from abacod.config import LogSettings
from abacod.errors import StorageUnavailable
from abacod.models.actor import Actor
from abacod.models.states import ActorStatus, ExecutionStatus, WorkerStatus
from abacod.runtime.run import FoundState, Outcome
from abacod.store import actors, messages
from abacod.store.database import Transaction
from tests.fakes import FakeContainer, FakeEngine, FakeRuntime
from tests.harness import Diary, Lab
from tests.stopping import Point

POINTS: tuple[Point, ...] = (
    "before the run",
    "before starting()",
    "after starting()",
    "running",
    "ended",
    "discard",
)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("stateless", [True, False])
async def test_a_crash_at_any_point_loses_nothing_and_runs_nothing_twice(
    lab: Lab, diary: Diary, point: Point, stateless: bool
) -> None:
    # given a daemon in the middle of an execution, with more messages waiting
    actor = await lab.create(diary, stateless=stateless)
    await lab.idle(actor)
    lab.runtime.stop_at = point
    sent = await lab.send(actor, "1", "2", "3")
    await lab.runtime.reached.wait()
    # when it crashes and another one starts
    await lab.reopen()
    # then every message has run once, in order
    records = await lab.ended(sent)
    assert [record.status for record in records] == [ExecutionStatus.COMPLETE] * 3
    assert {execution.id: 1 for execution in sent} == dict(lab.engine.started)
    assert diary.messages == ["1", "2", "3"]
    assert diary.most_at_once == 1
    # and the logs are whole, and nothing is left
    assert [await lab.log(execution) for execution in sent] == ["did 1\n", "did 2\n", "did 3\n"]
    await lab.quiet()
    assert lab.messages.waiting(actor) == 0
    assert await lab.database.read(messages.waiting_counts) == {}


async def test_a_crash_between_the_end_and_a_settlement_that_the_disk_refuses_loses_nothing(
    tmp_path: Path, diary: Diary
) -> None:
    async with Lab(tmp_path, busy_timeout=0.01) as lab:
        actor = await lab.create(diary)
        lab.runtime.stop_at = "ended"
        sent = await lab.send(actor, "1")
        await lab.runtime.reached.wait()
        with closing(sqlite3.connect(lab.settings.database_path)) as other:
            other.execute("BEGIN IMMEDIATE")
            lab.runtime.go_on.set()
            await lab.crash()
            other.rollback()
        await lab.open()
        (record,) = await lab.ended(sent)
        assert record.status is ExecutionStatus.COMPLETE
        assert lab.engine.started.total() == 1


async def test_several_crashes_in_a_row(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary, stateless=False)
    sent = await lab.send(actor, "1", "2", "3")
    for point in POINTS:
        lab.runtime.stop_at = point
        await lab.reopen()
        lab.runtime.stop_at = point
    lab.runtime.stop_at = None
    lab.runtime.go_on.set()
    await lab.ended(sent)
    assert diary.messages == ["1", "2", "3"]
    assert set(lab.engine.started.values()) == {1}


async def test_a_running_container_is_followed_and_its_worker_keeps_its_id(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary, stateless=False)
    sent = await lab.send(actor, "1", "2")
    await lab.until(lambda: diary.messages == ["1"])
    before = await lab.record(sent[0])
    await lab.reopen()
    await lab.until(lambda: lab.worker_statuses(actor) == [WorkerStatus.BUSY])
    assert lab.pools.workers_of(actor.id)[0].id == before.worker_id
    assert diary.messages == ["1"]
    diary.gate.set()
    records = await lab.ended(sent)
    assert records[0].start_time == before.start_time
    assert records[0].worker_id == before.worker_id


async def test_the_log_is_complete_and_has_no_byte_twice_after_a_crash(tmp_path: Path) -> None:
    async def chatty(container: FakeContainer) -> int:
        for number in range(50):
            container.write(f"{number}\n")
            await container.engine.change()
        return 0

    whole = "".join(f"{number}\n" for number in range(50))
    async with Lab(tmp_path, logs=LogSettings(flush_seconds=1e-9)) as lab:
        lab.engine.programs["image"] = chatty
        actor = await lab.create()
        sent = await lab.send(actor, "1")
        for seen in (5, 10, 20):
            wanted = f"{seen}\n"
            while wanted not in await lab.log(sent[0]):
                lab.engine.stir()
            assert whole.startswith(await lab.log(sent[0]))
            await lab.reopen()
        while not (await lab.record(sent[0])).status.ended:
            lab.engine.stir()
            assert whole.startswith(await lab.log(sent[0]))
        assert await lab.log(sent[0]) == whole


async def test_a_vanished_container_ends_its_execution_in_error_with_the_reason(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary, stateless=False)
    lost, waiting = await lab.send(actor, "1", "2")
    await lab.in_status(lost, ExecutionStatus.RUNNING)
    await lab.crash()
    lab.engine.vanish(lost.id)
    diary.gate.set()
    await lab.open()
    first, second = await lab.ended([lost, waiting])
    assert first.status is ExecutionStatus.ERROR
    assert first.final_state is not None
    assert "vanished while the daemon was down" in first.final_state["reason"]
    assert second.status is ExecutionStatus.COMPLETE


async def test_the_engine_away_at_the_start_and_in_the_middle_of_recovery_is_waited_for(
    lab: Lab, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given two running containers and a waiting message
    diary.gate.clear()
    actor = await lab.create(diary, max_workers=2)
    sent = await lab.send(actor, "1", "2", "3")
    await lab.until(lambda: diary.at_once == 1)
    await lab.autoscaler.run_once()
    await lab.until(lambda: diary.at_once == 2)
    await lab.crash()
    # when the engine goes away again right after it was asked what there is, and as containers are taken up
    lab.engine.up = False
    lab.runtime.calls.clear()
    resume = FakeRuntime.resume
    failed = 0

    async def flaky(self: FakeRuntime, *arguments: Any, **more: Any) -> Outcome:
        nonlocal failed
        failed += 1
        if failed <= 2:
            self.engine.up = False
        return await resume(self, *arguments, **more)

    monkeypatch.setattr(FakeRuntime, "resume", flaky)
    await lab.open()
    await lab.until(lambda: lab.watch.trouble is not None)

    def followed() -> bool:
        lab.engine.up = True
        return failed > 2 and len(lab.executor.running) == 2

    # then both are followed to their end all the same
    await lab.until(followed)
    diary.gate.set()
    records = await lab.ended(sent)
    assert [record.status for record in records] == [ExecutionStatus.COMPLETE] * 3
    assert set(lab.engine.started.values()) == {1}


async def test_a_message_marked_but_never_started_keeps_its_place_though_others_are_followed(
    lab: Lab, diary: Diary
) -> None:
    # given a stateless actor with one ended run that nobody saw, and one that was marked but not started
    actor = await lab.create(diary, max_workers=2)
    await lab.idle(actor)
    diary.gate.clear()
    sent = await lab.send(actor, "1")
    await lab.until(lambda: diary.at_once == 1)
    lab.runtime.stop_at = "after starting()"
    sent += await lab.send(actor, "2", "3", "4")
    await lab.autoscaler.run_once()
    await lab.runtime.reached.wait()
    await lab.crash()
    diary.gate.set()
    await lab.until(lambda: all(each.state is not FoundState.RUNNING for each in lab.engine.containers.values()))
    # when the next daemon's recovery is slow
    slow = lab.runtime = type(lab.runtime)(lab.engine)
    slow.stop_at = "discard"
    await lab.open()
    await slow.reached.wait()
    assert not lab.pools.all_workers()
    slow.go_on.set()
    # then all run, in order
    await lab.ended(sent)
    assert diary.messages == ["1", "2", "3", "4"]


async def test_a_crash_while_a_container_that_was_never_started_is_removed_loses_nothing(
    lab: Lab, diary: Diary
) -> None:
    actor = await lab.create(diary)
    await lab.idle(actor)
    lab.runtime.stop_at = "after starting()"
    sent = await lab.send(actor, "1")
    await lab.runtime.reached.wait()
    await lab.crash()
    lab.runtime = type(lab.runtime)(lab.engine)
    lab.runtime.stop_at = "discard"
    await lab.open()
    await lab.runtime.reached.wait()
    await lab.crash()
    # An engine goes on removing when whoever asked for it is gone.
    lab.engine.containers.clear()

    lab.runtime = type(lab.runtime)(lab.engine)
    await lab.open()

    (ended,) = await lab.ended(sent)
    assert ended.status is ExecutionStatus.COMPLETE
    assert diary.messages == ["1"]


async def test_leftovers_of_nobody_are_removed(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary)
    lab.runtime.stop_at = "before starting()"
    sent = await lab.send(actor, "1")
    await lab.runtime.reached.wait()
    assert len(lab.engine.containers) == 1
    await lab.reopen()
    await lab.ended(sent)
    await lab.quiet()
    assert diary.messages == ["1"]


async def test_containers_of_another_data_directory_are_left_alone(tmp_path: Path, diary: Diary) -> None:
    engine = FakeEngine()
    other = FakeRuntime(engine, instance="other")
    diary.gate.clear()
    async with Lab(tmp_path, engine) as lab:
        actor = await lab.create(diary)
        (execution,) = await lab.send(actor, "1")
        await lab.until(lambda: diary.at_once == 1)
        engine.containers[execution.id].instance = "other"
        await lab.reopen()
        await lab.ended([execution])
        assert [found.state for found in await other.found()] == [FoundState.RUNNING]


async def test_a_container_that_could_not_be_removed_is_swept_later(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary)
    lab.runtime.stop_at = "ended"
    (execution,) = await lab.send(actor, "1")
    await lab.runtime.reached.wait()
    lab.engine.up = False
    lab.runtime.go_on.set()
    await lab.ended([execution])
    assert list(lab.engine.containers) == [execution.id]
    lab.engine.up = True
    await lab.recovery.sweep()
    assert not lab.engine.containers


async def test_the_sweep_leaves_what_runs_or_waits(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary, max_workers=2)
    running = await lab.send(actor, "1")
    await lab.until(lambda: diary.at_once == 1)
    lab.runtime.stop_at = "before starting()"
    waiting = await lab.send(actor, "2")
    await lab.autoscaler.run_once()
    await lab.runtime.reached.wait()
    await lab.recovery.sweep()
    assert set(lab.engine.containers) == {running[0].id, waiting[0].id}
    lab.runtime.go_on.set()
    diary.gate.set()
    await lab.ended(running + waiting)


async def test_files_of_nobody_are_removed_at_a_start_and_those_of_messages_stay(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary, stateless=False)
    running, waiting = await lab.send_binary(actor, b"one"), await lab.send_binary(actor, b"two")
    await lab.in_status(running, ExecutionStatus.RUNNING)
    await lab.crash()
    folder = lab.settings.messages_dir
    (folder / "stranger").write_bytes(b"")
    await lab.open()
    assert {path.name for path in folder.iterdir()} == {running.id, waiting.id}
    diary.gate.set()
    await lab.ended([running, waiting])
    assert not list(folder.iterdir())


async def test_what_is_left_of_runs_without_a_container_is_removed_at_a_start(lab: Lab) -> None:
    await lab.crash()
    lab.runtime.calls.clear()
    await lab.open()
    await lab.until(lambda: ("sweep", "") in lab.runtime.calls)


async def test_files_of_cancelled_messages_are_swept_and_those_being_received_stay(lab: Lab) -> None:
    actor = await lab.create(image="nowhere")
    await lab.actor_in(actor, ActorStatus.ERROR)
    cancelled, waiting = await lab.send_binary(actor, b"one"), await lab.send_binary(actor, b"two")
    folder = lab.settings.messages_dir
    (folder / "being-received").write_bytes(b"")
    await lab.executions.halt(actor.id, cancelled.id)
    await lab.recovery.sweep()
    assert {path.name for path in folder.iterdir()} == {waiting.id, "being-received"}


async def test_an_actor_whose_image_was_being_fetched_is_taken_up(lab: Lab) -> None:
    lab.engine.up = False
    actor = await lab.create()
    await lab.reopen()
    lab.engine.up = True
    await lab.actor_in(actor, ActorStatus.READY)


async def test_a_deletion_goes_on_after_a_crash(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary)
    running, waiting = await lab.send(actor, "1", "2")
    await lab.until(lambda: diary.at_once == 1)
    # given a deletion that could not reach the engine
    lab.engine.up = False
    assert not await lab.actors.delete(actor)
    await lab.reopen()
    assert (await lab.actor(actor)) is not None
    # when the next daemon reaches it
    lab.engine.up = True
    await lab.actor_in(actor, None)
    # then what ran was halted and the container is gone
    record = await lab.record(running)
    assert (record.status, record.exit_code) == (ExecutionStatus.COMPLETE, 143)
    assert (await lab.record(waiting)).final_state == {"reason": "The actor was deleted."}
    await lab.quiet()
    assert await lab.log(running) == ""


async def test_a_deletion_goes_on_although_the_database_could_not_be_read_at_first(
    lab: Lab, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("abacod.services.actors._DELETE_RETRY", 0.01)
    diary.gate.clear()
    actor = await lab.create(diary)
    await lab.send(actor, "1")
    await lab.until(lambda: diary.at_once == 1)
    lab.engine.up = False
    assert not await lab.actors.delete(actor)
    in_status, refusals = actors.in_status, [StorageUnavailable("locked"), StorageUnavailable("locked")]

    def refusing(tx: Transaction, status: ActorStatus) -> list[Actor]:
        if status is ActorStatus.SHUTTING_DOWN and refusals:
            raise refusals.pop()
        return in_status(tx, status)

    monkeypatch.setattr(actors, "in_status", refusing)
    await lab.reopen()
    lab.engine.up = True
    await lab.actor_in(actor, None)
    assert not refusals


async def test_an_actor_deleted_before_its_containers_are_taken_up(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary, max_workers=2)
    running = await lab.send(actor, "1")
    await lab.until(lambda: diary.at_once == 1)
    lab.runtime.stop_at = "after starting()"
    marked = await lab.send(actor, "2")
    await lab.autoscaler.run_once()
    await lab.runtime.reached.wait()
    lab.engine.up = False
    await lab.reopen()
    assert await lab.actors.delete(actor)
    lab.engine.up = True
    records = await lab.ended(running + marked)
    assert [record.final_state for record in records] == [{"reason": "The actor was deleted."}] * 2
    await lab.quiet()
    assert await lab.database.read(messages.waiting_counts) == {}


async def test_a_database_that_refuses_during_recovery_is_asked_again(lab: Lab, diary: Diary) -> None:
    # given a running container and a crash
    diary.gate.clear()
    actor = await lab.create(diary)
    (sent,) = await lab.send(actor, "1")
    await lab.until(lambda: diary.at_once == 1)
    await lab.crash()
    # when the database cannot be read as recovery begins
    lab.engine.up = False
    await lab.open()
    refusals = [StorageUnavailable("The disk is away.")]

    async def refuse() -> None:
        if refusals:
            raise refusals.pop()

    lab.database.before_read = refuse
    lab.engine.up = True
    # then the container is followed all the same
    await lab.until(lambda: not refusals and bool(lab.executor.running))
    diary.gate.set()
    await lab.in_status(sent, ExecutionStatus.COMPLETE)
    assert lab.runtime.starts[sent.id] == 1
