from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from abacod.config import RunSettings
from abacod.errors import EngineUnavailable, RunRejected, StartFailed, StorageUnavailable
from abacod.models.states import ActorStatus, ExecutionStatus, WorkerStatus
from abacod.runtime.run import Keep
from abacod.store import messages
from tests.factories import ADMIN, definition
from tests.fakes import FakeContainer
from tests.harness import Diary, Lab

ONE_TO_NINE = [str(number) for number in range(1, 10)]


async def test_messages_of_a_stateful_actor_run_in_order_and_one_at_a_time(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary, stateless=False)
    sent = await lab.send(actor, *ONE_TO_NINE)
    records = await lab.ended(sent)
    assert diary.messages == ONE_TO_NINE
    assert diary.most_at_once == 1
    assert {record.status for record in records} == {ExecutionStatus.COMPLETE}
    assert len({record.worker_id for record in records}) == 1


async def test_order_holds_across_an_update_the_old_worker_finishing_first(lab: Lab, diary: Diary) -> None:
    # given a message that runs and some that wait
    actor = await lab.create(diary, stateless=False)
    diary.gate.clear()
    sent = await lab.send(actor, "1", "2", "3")
    await lab.until(lambda: diary.messages == ["1"])
    # when the actor gets another image
    lab.engine.images.add("newer")
    lab.engine.programs["newer"] = diary
    await lab.actors.update(ADMIN, actor.id, definition(image="newer", stateless=False), force=False)
    await lab.until(lambda: lab.worker_statuses(actor) == [WorkerStatus.SHUTDOWN_REQUESTED, WorkerStatus.READY])
    assert diary.messages == ["1"]
    # then the new worker starts only after the old one
    diary.gate.set()
    await lab.ended(sent)
    assert list(zip(diary.messages, diary.images, strict=True)) == [("1", "image"), ("2", "newer"), ("3", "newer")]
    assert diary.most_at_once == 1


async def test_order_holds_across_several_forced_updates(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary, stateless=False)
    sent = []
    for number in ONE_TO_NINE:
        sent += await lab.send(actor, number)
        await lab.actors.update(ADMIN, actor.id, definition(stateless=False), force=True)
    await lab.ended(sent)
    assert diary.messages == ONE_TO_NINE
    assert diary.most_at_once == 1
    now = await lab.actor(actor)
    assert now is not None
    assert now.revision == 10


async def test_order_holds_when_workers_are_stopped(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary, stateless=False)
    sent = await lab.send(actor, *ONE_TO_NINE)
    for count in range(1, 8):
        await lab.until(lambda count=count: len(diary.messages) >= count)  # type: ignore[misc]
        for worker in lab.pools.workers_of(actor.id):
            worker.stop()
            worker.stop()
    await lab.ended(sent)
    assert diary.messages == ONE_TO_NINE
    assert diary.most_at_once == 1


async def test_order_holds_when_the_engine_goes_and_comes_back_and_nothing_counts_as_an_attempt(
    lab: Lab, diary: Diary
) -> None:
    actor = await lab.create(diary, stateless=False)
    await lab.idle(actor)
    lab.engine.up = False
    sent = await lab.send(actor, *ONE_TO_NINE)
    await lab.until(lambda: lab.watch.trouble is not None)
    assert await lab.statuses(sent) == [ExecutionStatus.SUBMITTED] * 9
    for _ in range(3):
        lab.engine.up = True
        await lab.watch.look()
        lab.engine.up = False
        await lab.watch.look()
    attempts = await lab.database.read(
        lambda tx: [each.attempts for each in messages.waiting_after(tx, actor.id, 0, 9)]
    )
    assert not any(attempts)
    lab.engine.up = True
    await lab.ended(sent)
    assert diary.messages == ONE_TO_NINE
    assert lab.engine.started.total() == 9


async def test_order_holds_across_failing_starts(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary, stateless=False)
    lab.runtime.fail_starts(*[StartFailed("no room"), EngineUnavailable()] * 4)
    sent = await lab.send(actor, "1", "2", "3")
    await lab.ended(sent)
    assert diary.messages == ["1", "2", "3"]


async def test_a_message_that_never_starts_ends_in_error_after_the_attempts_and_the_next_one_runs(
    lab: Lab, diary: Diary
) -> None:
    actor = await lab.create(diary, stateless=False)
    lab.runtime.fail_starts(*[StartFailed("no space left on device")] * 5)
    poison, good = await lab.ended(await lab.send(actor, "poison", "good"))
    assert poison.status is ExecutionStatus.ERROR
    assert poison.final_state == {"reason": "no space left on device"}
    assert good.status is ExecutionStatus.COMPLETE
    assert [call for call in lab.runtime.calls if call[0] == "run"] == [("run", poison.id)] * 5 + [("run", good.id)]
    assert diary.messages == ["good"]


async def test_a_message_the_engine_rejects_ends_in_error_at_once(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary)
    lab.runtime.fail_starts(RunRejected("exec: no such file"))
    poison, good = await lab.ended(await lab.send(actor, "poison", "good"))
    assert poison.final_state == {"reason": "exec: no such file"}
    assert good.status is ExecutionStatus.COMPLETE
    assert [call for call in lab.runtime.calls if call == ("run", poison.id)] == [("run", poison.id)]
    assert (await lab.actor(actor) or actor).status is ActorStatus.READY


async def test_a_defect_of_ours_costs_one_execution_and_not_the_worker(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary)
    lab.runtime.fail_starts(ZeroDivisionError("secret"))
    crashed, good = await lab.ended(await lab.send(actor, "crashed", "good"))
    assert crashed.final_state == {"reason": "Internal error: ZeroDivisionError."}
    assert good.status is ExecutionStatus.COMPLETE


async def test_the_engine_lost_while_the_image_is_fetched_is_waited_for_and_a_stop_ends_the_wait(lab: Lab) -> None:
    await lab.until(lambda: lab.watch.trouble is None)
    lab.engine.up = False
    actor = await lab.create()
    await lab.until(lambda: lab.worker_statuses(actor) == [WorkerStatus.PULLING_IMAGE])
    await lab.until(lambda: lab.watch.trouble is not None)
    # when it is asked to stop, it does not wait for the engine
    lab.pools.workers_of(actor.id)[0].stop()
    await lab.until(lambda: not lab.pools.workers_of(actor.id))
    # and a later one goes on
    lab.mailboxes.wake(actor.id)
    lab.engine.up = True
    await lab.actor_in(actor, ActorStatus.READY)


async def test_a_stop_before_the_first_step_ends_a_worker(lab: Lab) -> None:
    actor = await lab.create()
    await lab.idle(actor)
    lab.pools.workers_of(actor.id)[0].stop()
    await lab.until(lambda: not lab.pools.workers_of(actor.id))
    assert lab.pools.grow(actor, 1) == 1
    lab.pools.workers_of(actor.id)[0].stop()
    await lab.until(lambda: not lab.pools.workers_of(actor.id))


async def test_a_stop_during_the_pause_before_another_try_gives_the_message_back(tmp_path: Path, diary: Diary) -> None:
    async with Lab(tmp_path, runs=RunSettings(start_retry_seconds=1000)) as lab:
        actor = await lab.create(diary, stateless=False)
        lab.runtime.fail_starts(StartFailed("busy"))
        sent = await lab.send(actor, "1", "2")
        await lab.until(lambda: ("run", sent[0].id) in lab.runtime.calls)
        await lab.in_status(sent[0], ExecutionStatus.SUBMITTED)
        worker = lab.pools.workers_of(actor.id)[0]
        await lab.until(lambda: worker._interruptible)
        worker.stop()
        await lab.ended(sent)
        assert diary.messages == ["1", "2"]


async def test_workers_of_a_deleted_actor_end_by_themselves(lab: Lab) -> None:
    actor = await lab.create()
    await lab.idle(actor)
    assert await lab.actors.delete(actor)
    # when a request that had read the actor before asks for a worker
    lab.pools.grow(actor, 1)
    # then that one finds that there is nothing to work for
    await lab.until(lambda: not lab.pools.workers_of(actor.id))


class Refusing:
    """Lets reads of the database fail."""

    def __init__(self, lab: Lab, times: int, task_prefix: str = "worker-") -> None:
        self.left = times
        self._prefix = task_prefix
        lab.database.before_read = self

    async def __call__(self) -> None:
        task = asyncio.current_task()
        if self.left and task and task.get_name().startswith(self._prefix):
            self.left -= 1
            raise StorageUnavailable("disk I/O error")


@pytest.mark.parametrize("times", range(1, 6))
async def test_a_database_that_cannot_be_read_delays_a_message_at_whichever_read(
    lab: Lab, diary: Diary, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr("abacod.services.worker._STORAGE_PAUSE", 0.001)
    actor = await lab.create(diary, stateless=False)
    refusing = Refusing(lab, times)
    sent = await lab.send(actor, "1", "2")
    await lab.until(lambda: not refusing.left)
    await lab.ended(sent)
    assert diary.messages == ["1", "2"]
    assert lab.engine.started.total() == 2


async def test_a_database_that_cannot_be_read_delays_the_start_of_a_worker(
    lab: Lab, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("abacod.services.pools._TROUBLE_PAUSE", 0.001)
    refusing = Refusing(lab, 3, "pools")
    actor = await lab.create(diary)
    await lab.ended(await lab.send(actor, "1"))
    assert not refusing.left


async def test_a_database_locked_by_somebody_delays_the_start_and_nothing_runs_twice(
    tmp_path: Path, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("abacod.services.worker._STORAGE_PAUSE", 0.001)
    async with Lab(tmp_path, busy_timeout=0.01) as lab:
        actor = await lab.create(diary, stateless=False)
        await lab.idle(actor)
        lab.runtime.stop_at = "before starting()"
        sent = await lab.send(actor, "1", "2")
        await lab.runtime.reached.wait()
        with closing(sqlite3.connect(lab.settings.database_path)) as other:
            other.execute("BEGIN IMMEDIATE")
            lab.runtime.go_on.set()
            await lab.until(lambda: len([call for call in lab.runtime.calls if call[0] == "run"]) > 2)
            other.rollback()
        await lab.ended(sent)
        assert diary.messages == ["1", "2"]


async def test_a_locked_database_cannot_leave_an_execution_running_that_was_not_started(
    tmp_path: Path, diary: Diary
) -> None:
    async with Lab(tmp_path, busy_timeout=0.01) as lab:
        actor = await lab.create(diary, stateless=False)
        await lab.idle(actor)
        # given an execution that is marked on disk and then fails to start, while nothing can be written
        lab.runtime.fail_starts(StartFailed("busy"))
        lab.runtime.stop_at = "after starting()"
        sent = await lab.send(actor, "1", "2")
        await lab.runtime.reached.wait()
        with closing(sqlite3.connect(lab.settings.database_path)) as other:
            other.execute("BEGIN IMMEDIATE")
            lab.runtime.go_on.set()
            await lab.until(lambda: not lab.engine.containers)
            await asyncio.sleep(0.02)
            other.rollback()
        # then it waits again and runs, first
        records = await lab.ended(sent)
        assert [record.status for record in records] == [ExecutionStatus.COMPLETE] * 2
        assert diary.messages == ["1", "2"]


async def test_what_a_worker_shows(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary)
    (execution,) = await lab.send(actor, "1")
    await lab.until(lambda: bool(diary.messages))
    (record,) = lab.workers.listed(actor)
    assert (record.status, record.image, record.last_execution_time) == (WorkerStatus.BUSY, "image", None)
    assert record.last_health_check_time is not None
    diary.gate.set()
    await lab.ended([execution])
    await lab.idle(actor)
    (record,) = lab.workers.listed(actor)
    assert record.last_execution_time is not None
    lab.pools.workers_of(actor.id)[0].stop()
    assert lab.workers.listed(actor)[0].last_health_check_time is None


async def test_a_program_that_ignores_nothing_sees_its_own_state_of_the_actor(lab: Lab) -> None:
    seen: list[str] = []

    async def program(container: FakeContainer) -> int:
        seen.append(container.spec.environment["_abaco_actor_state"])
        return 0

    lab.engine.programs["image"] = program
    actor = await lab.create(stateless=False)
    await lab.ended(await lab.send(actor, "1"))
    await lab.actors.set_state(actor, {"n": 1})
    await lab.ended(await lab.send(actor, "2"))
    assert seen == ["{}", '{"n": 1}']


async def test_a_container_is_held_for_a_next_message_only_if_one_waits_and_none_for_a_worker_that_ended(
    lab: Lab,
) -> None:
    wanted: list[Keep] = []
    gate = asyncio.Event()

    async def note(container: FakeContainer) -> int:
        wanted.append(container.spec.keep)
        await gate.wait()
        return 0

    lab.runtime.programs["image"] = note
    actor = await lab.create(stateless=False)
    (worker,) = await lab.idle(actor)
    sent = await lab.send(actor, "alone")
    await lab.until(lambda: wanted == [Keep.NOTHING])
    sent += await lab.send(actor, "followed", "last")
    gate.set()
    await lab.ended(sent)
    worker.stop()
    await lab.until(lambda: not lab.pools.workers_of(actor.id))

    assert wanted == [Keep.NOTHING, Keep.NEXT, Keep.NOTHING]
    assert ("worker ended", worker.id) in lab.runtime.calls
