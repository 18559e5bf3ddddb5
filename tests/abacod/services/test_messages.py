from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from abacod.config import RunSettings
from abacod.errors import (
    ActorShuttingDown,
    InvalidField,
    InvalidMessage,
    MailboxBusy,
    StartFailed,
    StorageUnavailable,
    TooLarge,
)
from abacod.models.execution import Execution
from abacod.models.states import ActorStatus, ExecutionStatus
from abacod.models.user import User
from abacod.store import messages, users
from tests.factories import ADMIN, BOB, START, TENANT, message
from tests.fakes import obey
from tests.harness import Diary, Lab

MOST_TEXT = 131_072 - len("MSG=") - 1


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_messages_to_an_actor_in_error_are_kept_and_counted(lab: Lab) -> None:
    actor = await lab.create(image="nowhere")
    await lab.actor_in(actor, ActorStatus.ERROR)
    sent = await lab.send(actor, "1", "2")
    assert lab.messages.waiting(actor) == 2
    assert await lab.statuses(sent) == [ExecutionStatus.SUBMITTED] * 2
    assert (sent[0].executor, sent[0].revision) == (ADMIN.username, 1)
    await lab.reopen()
    assert lab.messages.waiting(actor) == 2


async def test_a_text_that_no_container_could_get_is_refused(lab: Lab) -> None:
    actor = await lab.create()
    await lab.send(actor, "x" * MOST_TEXT, "ü" * (MOST_TEXT // 2))
    for text in ("x" * (MOST_TEXT + 1), "ü" * (MOST_TEXT // 2 + 1)):
        with pytest.raises(TooLarge, match=str(MOST_TEXT)):
            await lab.send(actor, text)
    with pytest.raises(InvalidMessage, match="NUL"):
        await lab.send(actor, "a\0b")


async def test_variables_that_no_environment_can_hold_are_refused_and_reserved_ones_ignored(lab: Lab) -> None:
    actor = await lab.create()
    for name, value in (("", "x"), ("a=b", "x"), ("a", "\0"), ("a", "x" * 131_072)):
        with pytest.raises(InvalidField, match="Invalid query parameter"):
            await lab.messages.send(ADMIN, actor, message("1", **{name: value}))
        with pytest.raises(InvalidField):
            await lab.messages.send_binary(ADMIN, actor, chunks(b"1"), {name: value})
    await lab.messages.send(ADMIN, actor, message("1", _abaco_actor_id="\0"))
    assert not list(lab.settings.messages_dir.iterdir())


async def test_a_binary_message_beyond_the_limit_leaves_nothing(lab: Lab) -> None:
    actor = await lab.create(image="nowhere")
    await lab.messages.send_binary(ADMIN, actor, chunks(b"x" * 500, b"x" * 500), {})
    with pytest.raises(TooLarge, match="1000"):
        await lab.messages.send_binary(ADMIN, actor, chunks(b"x" * 500, b"x" * 501), {})
    assert len(list(lab.settings.messages_dir.iterdir())) == 1
    assert lab.messages.waiting(actor) == 1


async def test_a_binary_message_that_the_disk_refuses_is_refused_and_not_recorded(lab: Lab) -> None:
    actor = await lab.create(image="nowhere")
    lab.settings.messages_dir.rmdir()
    with pytest.raises(StorageUnavailable, match="cannot be written"):
        await lab.messages.send_binary(ADMIN, actor, chunks(b"1"), {})
    assert lab.messages.waiting(actor) == 0
    lab.settings.messages_dir.mkdir()


async def test_a_binary_message_to_a_deleted_actor_leaves_nothing(lab: Lab) -> None:
    actor = await lab.create()
    await lab.actors.delete(actor)
    with pytest.raises(ActorShuttingDown):
        await lab.send_binary(actor, b"1")
    assert not list(lab.settings.messages_dir.iterdir())


async def test_a_client_that_hangs_up_while_its_message_is_recorded_does_not_take_its_body_along(lab: Lab) -> None:
    actor = await lab.create(image="nowhere")
    await lab.actor_in(actor, ActorStatus.ERROR)
    written = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"bytes"
        written.set()

    sending = asyncio.create_task(lab.messages.send_binary(ADMIN, actor, body(), {}))
    await written.wait()
    await lab.until(lambda: bool(lab.database._pending) or sending.done())
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await lab.until(lambda: lab.messages.waiting(actor) == 1)
    waiting = await lab.database.read(messages.binary_executions)
    assert {path.name for path in lab.settings.messages_dir.iterdir()} == waiting


async def test_a_client_that_hangs_up_in_its_body_leaves_nothing(lab: Lab) -> None:
    actor = await lab.create()

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await lab.messages.send_binary(ADMIN, actor, broken(), {})
    assert not list(lab.settings.messages_dir.iterdir())


async def test_a_purge_ends_what_waits_and_leaves_what_runs(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary, stateless=False)
    running, waiting = await lab.send(actor, "1", "2")
    await lab.in_status(running, ExecutionStatus.RUNNING)
    binary = await lab.send_binary(actor, b"3")
    await lab.messages.purge(actor)
    assert lab.messages.waiting(actor) == 0
    assert not (lab.settings.messages_dir / binary.id).exists()
    assert (await lab.record(waiting)).final_state == {"reason": "The mailbox was purged."}
    assert (await lab.record(binary)).status is ExecutionStatus.ERROR
    diary.gate.set()
    after = await lab.send(actor, "4")
    await lab.ended([running, *after])
    assert diary.messages == ["1", "4"]
    assert lab.messages.waiting(actor) == 0


async def test_a_purge_reaches_a_message_that_a_worker_has_in_hand(tmp_path: Path, diary: Diary) -> None:
    async with Lab(tmp_path, runs=RunSettings(start_retry_seconds=0.02)) as lab:
        actor = await lab.create(diary, stateless=False)
        lab.runtime.fail_starts(StartFailed("busy"))
        lab.runtime.stop_at = "after starting()"
        in_hand, waiting = await lab.send(actor, "1", "2")
        await lab.runtime.reached.wait()
        lab.runtime.go_on.set()
        await lab.in_status(in_hand, ExecutionStatus.SUBMITTED)
        await lab.messages.purge(actor)
        assert await lab.statuses([in_hand, waiting]) == [ExecutionStatus.ERROR] * 2
        await lab.ended(await lab.send(actor, "3"))
        assert diary.messages == ["3"]
        assert lab.messages.waiting(actor) == 0


async def test_a_message_that_was_marked_when_its_mailbox_was_purged_is_tried_again(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary, stateless=False)
    lab.runtime.fail_starts(StartFailed("busy"))
    lab.runtime.stop_at = "after starting()"
    marked, waiting = await lab.send(actor, "1", "2")
    await lab.runtime.reached.wait()
    await lab.messages.purge(actor)
    lab.runtime.go_on.set()
    records = await lab.ended([marked, waiting])
    assert [each.status for each in records] == [ExecutionStatus.COMPLETE, ExecutionStatus.ERROR]
    assert diary.messages == ["1"]


async def test_the_sender_s_user_is_noted_for_run_as_executor(tmp_path: Path) -> None:
    async with Lab(tmp_path, runs=RunSettings(run_as_executor_tenants=("dev",))) as lab:
        sender = User(TENANT, BOB.username, frozenset(), START, uid=1, gid=2)
        await lab.database.write(lambda tx: users.insert(tx, sender, "hash"))
        actor = await lab.create(run_as_executor=True)
        (execution,) = await lab.send(actor, "1", caller=BOB)
        assert (execution.executor_uid, execution.executor_gid) == (1, 2)
        (execution,) = await lab.send(await lab.create(), "1", caller=BOB)
        assert execution.executor_uid is None


async def test_synchronous_messages_that_idle_workers_take_are_not_waiting(lab: Lab) -> None:
    lab.engine.programs["image"] = obey
    actor = await lab.create(max_workers=4)
    await lab.actor_in(actor, ActorStatus.READY)
    lab.pools.grow(actor, 4)
    await lab.until(lambda: lab.mailboxes.of(actor.id).takers == 4)
    sending = [lab.messages.send(ADMIN, actor, message(str(number)), synchronous=True) for number in range(9)]
    sent = await asyncio.gather(*sending, return_exceptions=True)
    # Four for the workers, three that wait, and one more because more than three is too many, not three.
    assert [type(each) for each in sent] == [Execution] * 8 + [MailboxBusy]
    for each in sent[:8]:
        assert isinstance(each, Execution)
        lab.news.expect_no_more(each.id)
