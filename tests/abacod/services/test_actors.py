from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from abacod.config import RunSettings
from abacod.errors import (
    ActorNotFound,
    ActorShuttingDown,
    EngineUnavailable,
    InvalidField,
    NotFound,
    NotPermitted,
    StartFailed,
    TooLarge,
)
from abacod.ids import Username, new_actor_id
from abacod.models.actor import Actor, Mount
from abacod.models.permission import Subject
from abacod.models.states import ActorStatus, ExecutionStatus
from abacod.models.user import Level, User
from abacod.store import actors, executions, messages, permissions, users
from tests.factories import ADA, ADMIN, BOB, START, TENANT, definition
from tests.harness import Diary, Lab


async def change(lab: Lab, actor: Actor, *, force: bool = False, **given: Any) -> Actor:
    return await lab.actors.update(ADA, actor.id, definition(**given), force=force)


# --- registering and changing


async def test_a_new_actor_belongs_to_its_creator(lab: Lab) -> None:
    actor = await lab.create(caller=ADA, name="counter")
    assert (actor.owner, actor.status, actor.revision) == (ADA.username, ActorStatus.SUBMITTED, 1)
    assert [each.id for each in await lab.actors.listed(ADA)] == [actor.id]
    assert await lab.actors.listed(BOB) == []
    assert (
        await lab.database.read(lambda tx: permissions.level_of(tx, Subject.actor(actor.id), ADA.username))
        is Level.UPDATE
    )


async def test_a_refused_registration_leaves_nothing(lab: Lab) -> None:
    with pytest.raises(NotPermitted):
        await lab.create(caller=ADA, privileged=True)
    with pytest.raises(InvalidField):
        await lab.create(caller=ADA, link="nobody")
    assert await lab.actors.listed(ADA) == []


async def test_an_update_of_settings_keeps_status_revision_state_and_workers(lab: Lab) -> None:
    actor = await lab.create(caller=ADA, stateless=False, description="old", log_ex=5)
    workers = await lab.idle(actor)
    await lab.actors.set_state(actor, [1, 2])
    changed = await change(lab, actor, stateless=False)
    assert (changed.definition.description, changed.definition.log_ex) == ("", None)
    assert (changed.revision, changed.status) == (1, ActorStatus.READY)
    stored = await lab.actor(actor)
    assert stored is not None
    assert stored.state == [1, 2]
    assert stored.last_update_time >= actor.last_update_time
    assert lab.pools.workers_of(actor.id) == workers
    # and the next execution follows the new settings
    await change(lab, actor, stateless=False, name="renamed")
    (record,) = await lab.ended(await lab.send(actor, "1"))
    assert record.worker_id == workers[0].id
    assert workers[0].actor.definition.name == "renamed"


@pytest.mark.parametrize(("given", "force"), [({"image": "other"}, False), ({}, True)])
async def test_another_image_or_force_makes_a_new_revision(lab: Lab, given: dict[str, str], force: bool) -> None:
    lab.engine.images.add("other")
    actor = await lab.create(caller=ADA)
    (old,) = await lab.idle(actor)
    changed = await change(lab, actor, force=force, **given)
    assert (changed.revision, changed.status, changed.status_message) == (2, ActorStatus.SUBMITTED, "")
    await lab.actor_in(actor, ActorStatus.READY)
    (new,) = await lab.idle(actor)
    assert new.id != old.id
    assert lab.runtime.calls.count(("prepare fresh", given.get("image", "image"))) == (1 if given else 2)


async def test_a_stateless_actor_may_become_stateful_and_its_messages_then_run_one_at_a_time(
    lab: Lab, diary: Diary
) -> None:
    diary.gate.clear()
    actor = await lab.create(diary, caller=ADA)
    sent = await lab.send(actor, "1", "2", "3", "4")
    await lab.until(lambda: diary.at_once == 1)
    await lab.autoscaler.run_once()
    await lab.until(lambda: diary.at_once == 2)
    await change(lab, actor, stateless=False)
    diary.gate.set()
    await lab.ended(sent)
    assert diary.messages == ["1", "2", "3", "4"]
    assert len(lab.pools.viable(actor.id)) == 1
    with pytest.raises(InvalidField, match="cannot be updated to be stateless"):
        await change(lab, actor, stateless=True)


async def test_the_owner_stays_and_decides_about_user_and_mounts(tmp_path: Path) -> None:
    runs = RunSettings(mounts=("/data/{username}:/data:ro",), privileged_mounts=("/p:/p:rw",), actor_uid=7)
    async with Lab(tmp_path, runs=runs) as lab:
        owner = User(TENANT, ADA.username, frozenset(), START, uid=1000, gid=100)
        await lab.database.write(lambda tx: users.insert(tx, owner, "hash"))
        actor = await lab.create(caller=ADA)
        assert (actor.uid, actor.gid) == (1000, 100)
        assert actor.mounts == (Mount("/data/ada", "/data", "ro"),)
        changed = await lab.actors.update(ADMIN, actor.id, definition(privileged=True), force=False)
        assert (changed.owner, changed.uid) == (ADA.username, 1000)
        assert changed.mounts == (Mount("/data/ada", "/data", "ro"), Mount("/p", "/p", "rw"))
        other = await lab.create(caller=BOB)
        assert (other.uid, other.gid) == (7, None)


async def test_a_schedule_sets_the_next_run_and_keeps_it_while_it_is_unchanged(lab: Lab) -> None:
    actor = await lab.create(caller=ADA, cron_schedule="2099-01-31 08 + 1 month", cron_on=True)
    assert actor.cron_next_ex == "2099-1-31 8"
    moved = replace(actor, cron_next=datetime(2099, 2, 28, 8, tzinfo=UTC))
    await lab.database.write(lambda tx: actors.replace(tx, moved))
    same = await change(lab, actor, cron_schedule="2099-01-31 08 + 1 month", cron_on=True)
    assert same.cron_next_ex == "2099-2-28 8"
    other = await change(lab, actor, cron_schedule="2099-01-31 09 + 1 month")
    assert other.cron_next_ex == "2099-1-31 9"
    assert (await change(lab, actor)).cron_next_ex is None


async def test_links_need_execute_on_the_target_and_form_no_circle(lab: Lab) -> None:
    private = await lab.create(caller=BOB)
    with pytest.raises(InvalidField, match="EXECUTE permission"):
        await lab.create(caller=ADA, link=private.id)
    with pytest.raises(InvalidField, match="unable to retrieve linked actor data"):
        await lab.create(caller=ADA, link=new_actor_id())
    await lab.database.write(lambda tx: permissions.grant(tx, Subject.actor(private.id), ADA.username, Level.EXECUTE))
    first = await lab.create(caller=ADA, link=private.id)
    second = await lab.create(caller=ADA, link=first.id)
    third = await lab.create(caller=ADA, link=second.id)
    with pytest.raises(InvalidField, match="cannot link to itself"):
        await change(lab, first, link=first.id)
    with pytest.raises(InvalidField, match="this update would result in a cycle of linked actors"):
        await change(lab, first, link=third.id)
    assert (await change(lab, third, link=first.id)).definition.link == first.id


async def test_what_may_not_be_updated(lab: Lab) -> None:
    actor = await lab.create(caller=ADA)
    with pytest.raises(NotPermitted):
        await lab.actors.update(BOB, actor.id, definition(), force=False)
    with pytest.raises(ActorNotFound):
        await lab.actors.update(ADMIN, new_actor_id(), definition(), force=False)


# --- state


@pytest.mark.parametrize("state", [{}, [], "", 0, False, None, {"ü": [1.5, None]}, "text"])
async def test_any_json_is_a_state(lab: Lab, state: Any) -> None:
    actor = await lab.create(stateless=False)
    assert (await lab.actors.set_state(actor, state)).state == state
    stored = await lab.actor(actor)
    assert stored is not None
    assert stored.state == state


async def test_a_stateless_actor_has_no_state_to_set(lab: Lab) -> None:
    with pytest.raises(NotFound, match="actor is stateless"):
        await lab.actors.set_state(await lab.create(), {})


async def test_a_state_that_no_container_could_get_is_refused(lab: Lab) -> None:
    actor = await lab.create(stateless=False)
    most = 131_072 - len("_abaco_actor_state=") - 1
    await lab.actors.set_state(actor, "x" * most)
    with pytest.raises(TooLarge):
        await lab.actors.set_state(actor, "x" * (most + 1))
    with pytest.raises(InvalidField, match="NUL"):
        await lab.actors.set_state(actor, "a\0b")


# --- deleting


async def test_deleting_removes_the_actor_and_keeps_its_executions(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary)
    (done,) = await lab.ended(await lab.send(actor, "1"))
    assert await lab.actors.delete(actor)
    assert await lab.actor(actor) is None
    assert not lab.pools.all_workers()
    assert (await lab.record(done)).status is ExecutionStatus.COMPLETE
    assert await lab.log(done) == ""
    assert actor.id not in lab.mailboxes.lengths()
    with pytest.raises(ActorShuttingDown):
        await lab.send(actor, "2")


async def test_deleting_halts_what_runs_and_fails_what_waits(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary, max_workers=3)
    sent = await lab.send(actor, "1", "2", "3", "4")
    await lab.until(lambda: diary.at_once == 1)
    await lab.autoscaler.run_once()
    await lab.until(lambda: diary.at_once == 2)
    assert await lab.actors.delete(actor)
    first, second, *others = [await lab.record(each) for each in sent]
    assert (first.status, second.status) == (ExecutionStatus.COMPLETE, ExecutionStatus.COMPLETE)
    assert [each.final_state for each in others] == [{"reason": "The actor was deleted."}] * 2
    await lab.quiet()


async def test_a_deletion_that_takes_long_goes_on_by_itself(
    lab: Lab, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("abacod.services.actors._DELETE_WAIT", 0.01)
    monkeypatch.setattr("abacod.services.actors._DELETE_RETRY", 0.01)
    actor = await lab.create(diary)
    lab.runtime.stop_at = "ended"
    (execution,) = await lab.send(actor, "1")
    await lab.runtime.reached.wait()
    assert not await lab.actors.delete(actor)
    # meanwhile it takes no messages, no update brings it back, and a second deletion does no harm
    with pytest.raises(ActorShuttingDown):
        await lab.send(actor, "2")
    with pytest.raises(ActorShuttingDown):
        await lab.actors.update(ADMIN, actor.id, definition(), force=True)
    assert not await lab.actors.delete(actor)
    lab.runtime.go_on.set()
    await lab.actor_in(actor, None)
    assert (await lab.record(execution)).status is ExecutionStatus.COMPLETE


async def test_a_deletion_waits_for_stubborn_containers_side_by_side_and_not_beyond_its_limit(
    lab: Lab, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("abacod.services.actors._DELETE_WAIT", 0.05)
    actor = await lab.create(diary, max_workers=3)
    diary.gate.clear()

    async def stubborn(_: object) -> int:
        await asyncio.Event().wait()
        return 0

    lab.engine.programs["image"] = stubborn
    sent = await lab.send(actor, "1", "2", "3")
    for number in (1, 2, 3):
        await lab.until(lambda number=number: lab.engine.started.total() == number)  # type: ignore[misc]
        await lab.autoscaler.run_once()
    # their grace is longer than the deletion's limit
    started = asyncio.get_running_loop().time()
    assert not await lab.actors.delete(actor)
    assert asyncio.get_running_loop().time() - started < 1
    assert {call for call in lab.runtime.calls if call[0] == "halt"} >= {("halt", each.id) for each in sent}


@pytest.mark.parametrize("error", [StartFailed("busy"), EngineUnavailable()])
async def test_a_message_whose_start_fails_while_its_actor_is_deleted_is_settled(
    lab: Lab, diary: Diary, error: Exception
) -> None:
    actor = await lab.create(diary)
    lab.runtime.fail_starts(error)
    lab.runtime.stop_at = "after starting()"
    (execution,) = await lab.send(actor, "1")
    await lab.runtime.reached.wait()
    deletion = asyncio.create_task(lab.actors.delete(actor))
    await lab.actor_in(actor, ActorStatus.SHUTTING_DOWN)
    await lab.until(lambda: ("halt", execution.id) in lab.runtime.calls)
    lab.runtime.go_on.set()
    await deletion
    await lab.actor_in(actor, None)
    assert (await lab.record(execution)).final_state == {"reason": "The actor was deleted."}
    assert await lab.database.read(messages.waiting_counts) == {}
    assert await lab.database.read(executions.running) == []


async def test_users_see_actors_of_everyone_that_are_shared(lab: Lab) -> None:
    actor = await lab.create(caller=ADA)
    await lab.database.write(
        lambda tx: permissions.grant(tx, Subject.actor(actor.id), Username("ABACO_WORLD"), Level.READ)
    )
    assert [each.id for each in await lab.actors.listed(BOB)] == [actor.id]
