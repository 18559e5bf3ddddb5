"""A synchronous message to a resident process that has nothing to do is stored as running at once, and runs once."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from abacod.errors import EngineUnavailable, MailboxBusy, StartFailed, StorageUnavailable
from abacod.models.actor import Actor
from abacod.models.execution import Execution
from abacod.models.states import ExecutionStatus, WorkerStatus
from abacod.store.database import Transaction
from tests.factories import ADMIN, definition, message
from tests.harness import Diary, Lab


async def resident(lab: Lab, diary: Diary, **given: Any) -> Actor:
    """An actor whose worker has done a message, and waits for the next one."""
    actor = await lab.create(diary, hints=("resident",), **given)
    await lab.ended(await lab.send(actor, "0"))
    await waits(lab, actor)
    return actor


async def waits(lab: Lab, actor: Actor) -> None:
    await lab.until(lambda: lab.mailboxes.of(actor.id).takers == 1)


async def ask(lab: Lab, actor: Actor, body: str) -> Execution:
    """Send a synchronous message, whose answer nobody looks at."""
    execution = await lab.messages.send(ADMIN, actor, message(body), synchronous=True)
    lab.news.expect_no_more(execution.id)
    return execution


async def on_its_way(lab: Lab, actor: Actor, body: str) -> asyncio.Task[Execution]:
    """A synchronous message for which the worker is reserved, and that is not on disk yet."""
    sending = asyncio.create_task(ask(lab, actor, body))
    await asyncio.sleep(0)
    assert lab.mailboxes.of(actor.id).takers == 0
    assert not sending.done()
    return sending


def refuse(batch: list[Any]) -> None:
    """What a disk without room makes of writes."""
    for each in batch:
        each.error = StorageUnavailable("The disk is full.")


async def test_it_is_running_when_it_is_stored_and_runs_once(lab: Lab, diary: Diary) -> None:
    actor = await resident(lab, diary)
    (worker,) = lab.pools.workers_of(actor.id)
    sent = await ask(lab, actor, "1")
    assert (sent.status, sent.worker_id, sent.start_time) == (
        ExecutionStatus.RUNNING,
        worker.id,
        sent.message_received_time,
    )
    assert lab.messages.waiting(actor) == 0
    (record,) = await lab.ended([sent])
    assert (record.status, record.worker_id, record.start_time) == (
        ExecutionStatus.COMPLETE,
        worker.id,
        sent.start_time,
    )
    assert diary.messages == ["0", "1"]
    await waits(lab, actor)
    assert not lab.mailboxes.of(actor.id).in_hand
    (totals,) = await lab.database.read(_totals)
    assert totals == 2


def _totals(tx: Transaction) -> list[int]:
    return [row["executions"] for row in tx.execute("SELECT executions FROM actor_totals")]


async def test_messages_to_other_actors_and_without_a_waiting_sender_wait_first(lab: Lab, diary: Diary) -> None:
    actor, plain = await resident(lab, diary), await lab.create(diary)
    await lab.ended(await lab.send(plain, "1"))
    await waits(lab, plain)
    sent = [await ask(lab, plain, "2"), *await lab.send(actor, "3")]
    assert [each.status for each in sent] == [ExecutionStatus.SUBMITTED] * 2
    await lab.ended(sent)


async def test_a_worker_that_has_done_nothing_yet_is_not_reserved(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary, hints=("resident",))
    await waits(lab, actor)
    sent = await ask(lab, actor, "1")
    assert sent.status is ExecutionStatus.SUBMITTED
    await lab.ended([sent])


async def test_those_behind_it_wait_in_order_and_too_many_are_refused(lab: Lab, diary: Diary) -> None:
    actor = await resident(lab, diary)
    diary.gate.clear()
    sent = await asyncio.gather(*(ask(lab, actor, str(number)) for number in range(1, 8)), return_exceptions=True)
    assert [type(each) for each in sent] == [Execution] * 5 + [MailboxBusy] * 2
    accepted = [each for each in sent if isinstance(each, Execution)]
    assert [each.status for each in accepted] == [ExecutionStatus.RUNNING, *[ExecutionStatus.SUBMITTED] * 4]
    diary.gate.set()
    await lab.ended(accepted)
    assert diary.messages == ["0", "1", "2", "3", "4", "5"]


async def test_a_message_that_is_not_stored_leaves_the_worker_to_others(
    lab: Lab, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = await resident(lab, diary)
    commit = lab.database._commit
    monkeypatch.setattr(lab.database, "_commit", refuse)
    sending = await on_its_way(lab, actor, "1")
    with pytest.raises(StorageUnavailable):
        await sending
    hung_up = await on_its_way(lab, actor, "1")
    hung_up.cancel()
    with suppress(asyncio.CancelledError):
        await hung_up
    await waits(lab, actor)
    monkeypatch.setattr(lab.database, "_commit", commit)
    await lab.ended(await lab.send(actor, "2"))
    assert diary.messages == ["0", "2"]


async def test_a_sender_that_hangs_up_leaves_a_message_that_runs(lab: Lab, diary: Diary) -> None:
    actor = await resident(lab, diary)
    sending = await on_its_way(lab, actor, "1")
    sending.cancel()
    await lab.until(lambda: diary.messages == ["0", "1"])
    await waits(lab, actor)
    assert not lab.mailboxes.of(actor.id).in_hand


async def test_a_worker_that_is_to_end_does_it_first(lab: Lab, diary: Diary) -> None:
    actor = await resident(lab, diary)
    (worker,) = lab.pools.workers_of(actor.id)
    sending = await on_its_way(lab, actor, "1")
    worker.stop()
    (record,) = await lab.ended([await sending])
    assert (record.status, record.worker_id) == (ExecutionStatus.COMPLETE, worker.id)
    await lab.until(lambda: worker not in lab.pools.workers_of(actor.id))


async def test_a_worker_that_is_to_end_ends_if_it_does_not_come(
    lab: Lab, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = await resident(lab, diary)
    (worker,) = lab.pools.workers_of(actor.id)
    monkeypatch.setattr(lab.database, "_commit", refuse)
    sending = await on_its_way(lab, actor, "1")
    worker.stop()
    with pytest.raises(StorageUnavailable):
        await sending
    await lab.until(lambda: worker not in lab.pools.workers_of(actor.id))


async def test_after_a_change_of_the_actor_another_worker_runs_it(lab: Lab, diary: Diary) -> None:
    actor = await resident(lab, diary)
    lab.engine.images.add("newer")
    lab.engine.programs["newer"] = diary
    newer = definition(image="newer", hints=("resident",))
    sending, _ = await asyncio.gather(ask(lab, actor, "1"), lab.actors.update(ADMIN, actor.id, newer, force=False))
    (record,) = await lab.ended([sending])
    assert record.status is ExecutionStatus.COMPLETE
    assert diary.messages == ["0", "1"]
    await waits(lab, actor)
    assert lab.messages.waiting(actor) == 0


async def test_a_message_on_its_way_to_an_actor_that_is_deleted_ends(lab: Lab, diary: Diary) -> None:
    actor = await resident(lab, diary)
    sent, _ = await asyncio.gather(ask(lab, actor, "1"), lab.actors.delete(actor), return_exceptions=True)
    await lab.until(lambda: not lab.pools.workers_of(actor.id))
    if isinstance(sent, Execution):
        status = await lab.database.read(lambda tx: _status(tx, sent))
        assert ExecutionStatus(status).ended
    assert await lab.database.read(lambda tx: tx.execute("SELECT count(*) FROM messages").fetchone()[0]) == 0


def _status(tx: Transaction, execution: Execution) -> str:
    return str(tx.execute("SELECT status FROM executions WHERE id = ?", (execution.id,)).fetchone()[0])


async def test_one_that_is_halted_before_its_start_does_not_start(lab: Lab, diary: Diary) -> None:
    actor = await resident(lab, diary)
    current = lab.pools._tools.executor._api_server
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        asked.set()
        await go_on.wait()
        return await current()

    lab.executor._api_server = slow
    sent = await ask(lab, actor, "1")
    await asked.wait()
    await lab.executions.halt(actor.id, sent.id)
    await lab.until(lambda: sent.id in lab.executor._halted)
    go_on.set()
    (record,) = await lab.ended([sent])
    assert (record.status, record.final_state) == (
        ExecutionStatus.ERROR,
        {"reason": "Cancelled before its start."},
    )
    lab.executor._api_server = current
    await lab.ended([await ask(lab, actor, "2")])
    assert diary.messages == ["0", "2"]
    assert not lab.executor._halted


@pytest.mark.parametrize(
    "trouble",
    [EngineUnavailable("away"), StartFailed("busy"), StorageUnavailable("no room")],
    ids=lambda e: type(e).__name__,
)
async def test_one_that_could_not_be_started_waits_and_runs_later(lab: Lab, diary: Diary, trouble: Exception) -> None:
    actor = await resident(lab, diary)
    lab.runtime.fail_starts(trouble)
    sent = await ask(lab, actor, "1")
    (record,) = await lab.ended([sent])
    assert record.status is ExecutionStatus.COMPLETE
    assert diary.messages == ["0", "1"]
    await waits(lab, actor)
    assert lab.messages.waiting(actor) == 0
    await lab.ended(await lab.send(actor, "2"))


async def test_of_a_crash_before_its_start_it_does_not_run_a_second_time(lab: Lab, diary: Diary) -> None:
    actor = await resident(lab, diary)
    lab.runtime.stop_at = "before the run"
    sent = await ask(lab, actor, "1")
    await lab.runtime.reached.wait()
    await lab.reopen()
    (record,) = await lab.ended([sent])
    assert record.status is ExecutionStatus.ERROR
    assert "Send the message again" in json.dumps(record.final_state)
    await lab.ended(await lab.send(actor, "2"))
    assert diary.messages == ["0", "2"]


async def test_the_daemon_ends_while_one_is_on_its_way(lab: Lab, diary: Diary) -> None:
    actor = await resident(lab, diary)
    sending = await on_its_way(lab, actor, "1")
    await lab.pools.drain(5)
    assert diary.messages == ["0", "1"]
    assert (await lab.record(await sending)).status is ExecutionStatus.COMPLETE
    assert lab.worker_statuses(actor) in ([], [WorkerStatus.SHUTTING_DOWN])
