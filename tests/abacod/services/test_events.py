from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from abacod.clock import SystemClock, isoformat
from abacod.config import EventSettings, WebhookSettings
from abacod.config_workers import WorkerSettings
from abacod.errors import StorageUnavailable
from abacod.ids import new_actor_id
from abacod.models.actor import Actor
from abacod.models.alias import Alias
from abacod.models.states import ActorStatus, ExecutionStatus
from abacod.services.events import Events
from abacod.services.janitor import Janitor
from abacod.store import aliases
from tests.factories import ADMIN, definition
from tests.fakes import FakeClock, FakeContainer
from tests.harness import Diary, Lab
from tests.hooks import HookServer


async def rows(lab: Lab) -> list[dict[str, Any]]:
    """The outbox, in order."""
    return await lab.database.read(lambda tx: [dict(row) for row in tx.execute("SELECT * FROM events ORDER BY seq")])


async def delivered(lab: Lab, count: int) -> list[dict[str, Any]]:
    """Wait until that many events are there and dealt with; they."""

    async def all_done() -> bool:
        return [row["done_ms"] is not None for row in await rows(lab)] == [True] * count

    await lab.until(all_done)
    return await rows(lab)


async def targeted(lab: Lab, diary: Diary, **given: Any) -> Actor:
    """An actor that notes the events it gets."""
    return await lab.create(diary, image="target", **given)


def told(diary: Diary) -> list[dict[str, Any]]:
    """The events that a target has got."""
    return [json.loads(text) for text in diary.messages]


async def until_told(lab: Lab, diary: Diary, count: int) -> list[dict[str, Any]]:
    """Wait until a target has got so many events; they."""
    await lab.until(lambda: len(diary.messages) >= count)
    return told(diary)


# --- what an event is -----------------------------------------------------------------------------------------------


async def test_a_linked_actor_is_told_that_it_is_ready_and_that_an_execution_ended(lab: Lab, diary: Diary) -> None:
    containers: list[FakeContainer] = []

    async def note(container: FakeContainer) -> int:
        containers.append(container)
        return await diary(container)

    target = await targeted(lab, diary, stateless=False)
    lab.engine.programs["target"] = note
    source = await lab.create(link=target.id, webhook="")
    (sent,) = await lab.send(source, "hello")
    ready, complete = await until_told(lab, diary, 2)
    common = {
        "actor_id": source.id,
        "tenant_id": "dev",
        "actor_dbid": f"dev_{source.id}",
        "_abaco_link": f"dev_{target.id}",
        "_abaco_webhook": "",
    }
    times = [{key: each.pop(key) for key in ("event_time_utc", "event_time_display")} for each in (ready, complete)]
    assert ready == common | {"event_type": "ACTOR_READY", "status_message": " "}
    assert complete == common | {
        "event_type": "EXECUTION_COMPLETE",
        "execution_id": sent.id,
        "exit_code": 0,
        "status": "COMPLETE",
    }
    finished = (await lab.record(sent)).finish_time
    assert finished
    assert timedelta() <= SystemClock().now() - finished < timedelta(seconds=60)
    assert isoformat(sent.message_received_time) <= times[1]["event_time_utc"] <= isoformat(SystemClock().now())
    assert times[1]["event_time_display"] == times[1]["event_time_utc"][:19].replace("T", " ") + " UTC"

    summaries, _ = await lab.executions.listed(target.id)
    assert len(summaries) == 2
    record = await lab.executions.get(target.id, summaries[0].id)
    assert (record.executor, record.revision) == ("Abaco Event", 1)
    environment = containers[0].spec.environment
    assert environment["_abaco_username"] == "Abaco Event"
    assert environment["_abaco_Content_Type"] == environment["_abaco_Content-Type"] == "application/json"
    assert environment["_abaco_actor_revision"] == "1"
    assert environment["_abaco_actor_id"] == target.id


async def test_actors_without_link_and_webhook_leave_nothing_behind(lab: Lab) -> None:
    actor = await lab.create()
    await lab.ended(await lab.send(actor, "1"))
    assert await rows(lab) == []


async def test_link_and_webhook_are_those_of_the_moment(lab: Lab, diary: Diary, hooks: HookServer) -> None:
    source = await lab.create()
    await lab.ended(await lab.send(source, "untold"))
    target = await targeted(lab, diary)
    for given in ({"link": target.id}, {"webhook": hooks.url("/a")}, {}):
        source = await lab.actors.update(ADMIN, source.id, definition(**given), force=False)
        await lab.ended(await lab.send(source, "told"))
    (by_link,), (by_hook,) = await until_told(lab, diary, 1), await hooks.called("/a")
    assert by_link["_abaco_webhook"] == ""
    assert by_hook["_abaco_webhook"] == hooks.url("/a")
    assert by_hook["_abaco_link"] == ""
    assert by_hook["_abaco_Content_Type"] == "application/json"
    assert by_hook["_abaco_username"] == "Abaco Event"
    assert len(await delivered(lab, 2)) == 2


async def test_an_alias_leads_to_whatever_it_stands_for_at_that_moment(lab: Lab) -> None:
    diaries = [Diary(), Diary()]
    first, second = [
        await lab.create(diary, image=f"image-{number}", stateless=False) for number, diary in enumerate(diaries)
    ]

    alias = Alias(ADMIN.tenant, "listener", first.id, ADMIN.username)
    await lab.database.write(lambda tx: aliases.insert(tx, alias))
    source = await lab.create(link="listener")
    (ready,) = await until_told(lab, diaries[0], 1)
    assert ready["_abaco_link"] == f"dev_{first.id}"
    await lab.database.write(lambda tx: aliases.repoint(tx, alias, second.id))
    await lab.ended(await lab.send(source, "1"))
    (complete,) = await until_told(lab, diaries[1], 1)
    assert complete["_abaco_link"] == f"dev_{second.id}"
    await lab.database.write(lambda tx: aliases.delete(tx, alias))
    await lab.ended(await lab.send(source, "2"))
    assert (await delivered(lab, 3))[2]["link_outcome"] == "there is no such actor"
    assert [len(diary.messages) for diary in diaries] == [1, 1]


async def test_an_image_that_is_missing_is_told(lab: Lab, hooks: HookServer) -> None:
    actor = await lab.create(image="missing", webhook=hooks.url("/a"))
    (error,) = await hooks.called("/a")
    now = await lab.actor(actor)
    assert now
    assert now.status is ActorStatus.ERROR
    assert error["event_type"] == "ACTOR_ERROR"
    assert error["status_message"] == now.status_message
    lab.engine.images.add("missing")
    await lab.actors.update(ADMIN, actor.id, definition(image="missing", webhook=hooks.url("/a")), force=True)
    assert (await hooks.called("/a", 2))[1]["event_type"] == "ACTOR_READY"


async def test_every_end_of_an_execution_is_told_once(lab: Lab, diary: Diary, hooks: HookServer) -> None:
    actor = await lab.create(diary, stateless=False, image="worker", webhook=hooks.url("/a"))
    diary.gate.clear()
    halted, cancelled, *purged = await lab.send(actor, "halted", "cancelled", "purged", "purged")
    await lab.in_status(halted, ExecutionStatus.RUNNING)
    await lab.executions.halt(actor.id, cancelled.id)
    await lab.messages.purge(actor)
    await lab.messages.purge(actor)
    await lab.executions.halt(actor.id, halted.id)
    ends = [body for body in await hooks.called("/a", 5) if body["event_type"] == "EXECUTION_COMPLETE"]
    assert [(end["execution_id"], end["status"], end["exit_code"]) for end in ends] == [
        (cancelled.id, "ERROR", None),
        *((each.id, "ERROR", None) for each in purged),
        (halted.id, "COMPLETE", 143),
    ]
    await delivered(lab, 5)


async def test_an_execution_that_could_not_be_run_is_told(lab: Lab, hooks: HookServer) -> None:
    actor = await lab.create(webhook=hooks.url("/a"))
    await hooks.called("/a")
    lab.runtime.stop_at = "running"
    (sent,) = await lab.send(actor, "1")
    await lab.runtime.reached.wait()
    lab.engine.vanish(sent.id)
    lab.runtime.go_on.set()
    _, end = await hooks.called("/a", 2)
    assert (end["execution_id"], end["status"], end["exit_code"]) == (sent.id, "ERROR", None)


# --- order ----------------------------------------------------------------------------------------------------------


async def test_many_executions_give_just_as_many_events_in_order(tmp_path: Path, diary: Diary) -> None:
    count = 150
    async with Lab(tmp_path, workers=WorkerSettings(max_per_actor=4)) as lab:
        target = await targeted(lab, diary, stateless=False)
        source = await lab.create(link=target.id)
        await lab.until(lambda: lab.pools.may_start)
        lab.workers.ensure(source, 4)
        sent = await asyncio.gather(*(lab.send(source, str(number)) for number in range(count)))
        await until_told(lab, diary, count + 1)
        in_outbox = [json.loads(row["body"]) for row in await delivered(lab, count + 1)]
        await lab.until(lambda: not diary.at_once and not lab.messages.waiting(target))
        assert told(diary) == in_outbox
        ends = [each["execution_id"] for each in told(diary) if each["event_type"] == "EXECUTION_COMPLETE"]
        assert len(ends) == count
        assert set(ends) == {execution.id for (execution,) in sent}
        times = [each["event_time_utc"] for each in told(diary)]
        assert times == sorted(times)


async def test_the_link_comes_before_the_webhook_and_one_event_before_the_next(
    lab: Lab, diary: Diary, hooks: HookServer
) -> None:
    target = await targeted(lab, diary)
    hooks.gates["/a"] = asyncio.Event()
    source = await lab.create(link=target.id, webhook=hooks.url("/a"))
    await lab.ended(await lab.send(source, "1"))
    await hooks.called("/a")
    await until_told(lab, diary, 1)
    # The hook hangs on the first event: nothing of the second one is delivered, by either way.
    first, second = await rows(lab)
    assert first["link_outcome"] == "delivered"
    assert (second["link_outcome"], second["attempt_ms"]) == (None, None)
    hooks.gates["/a"].set()
    await delivered(lab, 2)
    assert [body["event_type"] for body in await hooks.called("/a", 2)] == ["ACTOR_READY", "EXECUTION_COMPLETE"]
    assert [body["event_type"] for body in await until_told(lab, diary, 2)] == ["ACTOR_READY", "EXECUTION_COMPLETE"]


async def test_a_slow_webhook_delays_no_other_actor(lab: Lab, diary: Diary, hooks: HookServer) -> None:
    hooks.gates["/slow"] = asyncio.Event()
    slow = await lab.create(webhook=hooks.url("/slow"))
    await hooks.called("/slow")
    target = await targeted(lab, diary)
    quick = await lab.create(link=target.id, webhook=hooks.url("/quick"))
    await lab.ended(await lab.send(quick, "1"))
    await hooks.called("/quick", 2)
    await until_told(lab, diary, 2)
    await lab.ended(await lab.send(slow, "1"))
    assert len(hooks.bodies("/slow")) == 1


async def test_only_so_many_webhooks_are_called_at_a_time(tmp_path: Path, hooks: HookServer) -> None:
    async with Lab(tmp_path, webhooks=WebhookSettings(at_once=2)) as lab:
        hooks.gates["/a"] = asyncio.Event()
        for _ in range(5):
            await lab.create(webhook=hooks.url("/a"))
        await hooks.called("/a", 2)

        async def all_noted() -> bool:
            return len(await rows(lab)) == 5

        await lab.until(all_noted)
        assert sum(row["attempt_ms"] is not None for row in await rows(lab)) == 2
        hooks.gates["/a"].set()
        await delivered(lab, 5)
        assert (len(hooks.calls), hooks.most_at_once) == (5, 2)


# --- what goes wrong ------------------------------------------------------------------------------------------------


async def test_a_failing_webhook_is_called_once_and_the_next_event_comes(lab: Lab, hooks: HookServer) -> None:
    hooks.answers["/hook"] = lambda: web.Response(status=500)
    with capture_logs() as lines:
        actor = await lab.create(webhook=hooks.url("/hook?x-nonce=secret"))
        await lab.ended(await lab.send(actor, "1"))
        done = await delivered(lab, 2)
    assert [row["webhook_outcome"] for row in done] == ["500", "500"]
    assert len(hooks.calls) == 2
    assert "secret" not in str(lines)
    failures = [line for line in lines if line["event"] == "webhook_failed"]
    assert [(line["site"], line["reason"]) for line in failures] == [(f"http://127.0.0.1:{hooks.port}", "500")] * 2


async def test_a_target_that_is_gone_or_going_is_noted_and_the_next_event_comes(
    lab: Lab, diary: Diary, hooks: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, going = await lab.create(), await targeted(lab, diary)
    source = await lab.create(link=gone.id)
    await delivered(lab, 1)
    await lab.actors.delete(gone)
    await lab.ended(await lab.send(source, "1"))
    assert (await delivered(lab, 2))[1]["link_outcome"] == "there is no such actor"
    assert json.loads((await rows(lab))[1]["body"])["_abaco_link"] == ""

    diary.gate.clear()
    (running,) = await lab.send(going, "holds the deletion up")
    await lab.in_status(running, ExecutionStatus.RUNNING)
    await lab.actors.update(ADMIN, source.id, definition(link=going.id, webhook=hooks.url("/a")), force=False)
    monkeypatch.setattr(lab.runtime, "halt", lambda _: asyncio.Event().wait())
    deletion = asyncio.create_task(lab.actors.delete(going))
    await lab.actor_in(going, ActorStatus.SHUTTING_DOWN)
    await lab.ended(await lab.send(source, "2"))
    assert (await delivered(lab, 3))[2]["link_outcome"] == "the actor is being deleted"
    assert len(await hooks.called("/a")) == 1
    deletion.cancel()
    diary.gate.set()


async def test_an_actor_of_another_tenant_is_no_target(lab: Lab, diary: Diary) -> None:
    target = await targeted(lab, diary)
    source = await lab.create(link=target.id)
    await until_told(lab, diary, 1)
    await lab.database.write(lambda tx: tx.execute("UPDATE actors SET tenant = 'lab' WHERE id = ?", (target.id,)))
    await lab.ended(await lab.send(source, "1"))
    assert (await delivered(lab, 2))[1]["link_outcome"] == "there is no such actor"


async def test_an_event_too_large_for_an_environment_is_not_linked(lab: Lab, diary: Diary) -> None:
    target = await targeted(lab, diary)
    source = await lab.create(link=target.id)
    await until_told(lab, diary, 1)
    await lab.database.write(
        lambda tx: tx.execute(
            "UPDATE actors SET definition = json_set(definition, '$.webhook', ?) WHERE id = ?",
            ("x://" + "y" * 131_072, source.id),
        )
    )
    await lab.ended(await lab.send(source, "1"))
    outcome = (await delivered(lab, 2))[1]["link_outcome"]
    assert outcome == "the event is larger than what fits into a container's environment"


async def test_a_defect_costs_one_event(
    lab: Lab, diary: Diary, hooks: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = lab.events._webhooks.post
    calls = 0

    async def broken_once(url: str, body: bytes) -> object:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError
        return await post(url, body)

    monkeypatch.setattr(lab.events._webhooks, "post", broken_once)
    actor = await lab.create(webhook=hooks.url("/a"))
    await lab.ended(await lab.send(actor, "1"))
    assert [row["webhook_outcome"] for row in await delivered(lab, 2)] == ["abacod failed", "200"]


# --- what outlives a crash ------------------------------------------------------------------------------------------


async def test_events_of_an_earlier_daemon_are_delivered(
    lab: Lab, diary: Diary, hooks: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = await targeted(lab, diary, stateless=False)
    await lab.idle(target)
    with monkeypatch.context() as patch:
        patch.setattr(Events, "wake", lambda *_: None)
        source = await lab.create(link=target.id, webhook=hooks.url("/a"))
        await lab.ended(await lab.send(source, "1", "2"))
    assert [row["done_ms"] for row in await rows(lab)] == [None] * 3
    await lab.reopen()
    await delivered(lab, 3)
    await until_told(lab, diary, 3)
    assert [body["_abaco_username"] for body in await hooks.called("/a", 3)] == ["Abaco Event"] * 3
    assert [{key: body[key] for key in each} for body, each in zip(hooks.bodies("/a"), told(diary), strict=True)] == (
        told(diary)
    )
    assert len(told(diary)) == 3


async def test_a_webhook_that_was_being_called_is_not_called_again(lab: Lab, diary: Diary, hooks: HookServer) -> None:
    hooks.gates["/a"] = asyncio.Event()
    target = await targeted(lab, diary)
    source = await lab.create(link=target.id, webhook=hooks.url("/a"))
    await lab.ended(await lab.send(source, "1"))
    await hooks.called("/a")
    await lab.reopen()
    hooks.gates["/a"].set()
    first, second = await delivered(lab, 2)
    assert first["webhook_outcome"] == "the daemon ended during the call"
    assert second["webhook_outcome"] == "200"
    assert [body["event_type"] for body in hooks.bodies("/a")] == ["ACTOR_READY", "EXECUTION_COMPLETE"]
    assert [body["event_type"] for body in await until_told(lab, diary, 2)] == ["ACTOR_READY", "EXECUTION_COMPLETE"]


@pytest.mark.parametrize("moment", range(1, 18, 2))
async def test_wherever_the_daemon_crashes_the_link_gets_each_event_once(
    tmp_path: Path, diary: Diary, moment: int
) -> None:
    async with Lab(tmp_path) as lab:
        target = await targeted(lab, diary, stateless=False)
        source = await lab.create(link=target.id, stateless=False)
        await lab.idle(source)
        await lab.idle(target)
        await until_told(lab, diary, 1)
        writes = 0
        crash_now = asyncio.Event()
        asked = lab.database._asked

        async def counted(write: Any) -> Any:
            nonlocal writes
            result = await asked(write)
            writes += 1
            if writes == moment:
                crash_now.set()
                await asyncio.Event().wait()
            return result

        lab.database._asked = counted  # type: ignore[method-assign]
        sending = asyncio.create_task(lab.send(source, "1", "2", "3"))
        await crash_now.wait()
        sending.cancel()
        await lab.reopen()
        with suppress(asyncio.CancelledError):
            await sending
        summaries, _ = await lab.executions.listed(source.id)
        await lab.ended([await lab.executions.get(source.id, each.id) for each in summaries])
        await delivered(lab, 1 + len(summaries))
        await lab.until(lambda: not lab.messages.waiting(target) and not diary.at_once)
        summaries_of_target, _ = await lab.executions.listed(target.id)
        await lab.ended([await lab.executions.get(target.id, each.id) for each in summaries_of_target])
        ends = [each["execution_id"] for each in told(diary) if each["event_type"] == "EXECUTION_COMPLETE"]
        assert ends == [each.id for each in summaries]


async def test_a_stopping_daemon_lets_calls_end_and_begins_no_more(lab: Lab, hooks: HookServer) -> None:
    hooks.gates["/a"] = asyncio.Event()
    source = await lab.create(webhook=hooks.url("/a"))
    await lab.ended(await lab.send(source, "1"))
    await hooks.called("/a")
    draining = asyncio.create_task(lab.events.drain())
    await asyncio.sleep(0)
    hooks.gates["/a"].set()
    await draining
    first, second = await rows(lab)
    assert first["webhook_outcome"] == "200"
    assert second["attempt_ms"] is None
    await lab.reopen()
    await delivered(lab, 2)


async def test_a_database_that_refuses_delays_events(
    lab: Lab, hooks: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("abacod.services.events._STORAGE_PAUSE", 0.001)
    source = await lab.create(webhook=hooks.url("/a"))
    await delivered(lab, 1)
    hooks.gates["/a"] = asyncio.Event()
    await lab.ended(await lab.send(source, "1"))
    await hooks.called("/a", 2)

    refusals = 0
    write = lab.database.write

    async def refusing(question: Any) -> Any:
        nonlocal refusals
        if refusals < 3:
            refusals += 1
            raise StorageUnavailable
        return await write(question)

    monkeypatch.setattr(lab.database, "write", refusing)
    hooks.gates["/a"].set()
    assert (await delivered(lab, 2))[1]["webhook_outcome"] == "200"
    assert refusals == 3
    assert len(hooks.calls) == 2


# --- what stays behind ----------------------------------------------------------------------------------------------


async def test_delivered_events_are_removed_after_a_time_and_others_stay(lab: Lab, hooks: HookServer) -> None:
    hooks.gates["/slow"] = asyncio.Event()
    await lab.create(webhook=hooks.url("/quick"))
    await lab.create(webhook=hooks.url("/slow"))
    await hooks.called("/quick")
    await hooks.called("/slow")

    async def one_done() -> bool:
        return sum(row["done_ms"] is not None for row in await rows(lab)) == 1

    await lab.until(one_done)
    clock = FakeClock(SystemClock().now())
    janitor = Janitor(lab.database, EventSettings(keep_seconds=60), clock)
    await janitor.run_once()
    assert len(await rows(lab)) == 2
    await clock.advance(61)
    await janitor.run_once()
    (left,) = await rows(lab)
    assert left["webhook"] == hooks.url("/slow")


async def test_events_go_with_their_actor(lab: Lab, hooks: HookServer) -> None:
    hooks.gates["/a"] = asyncio.Event()
    actor = await lab.create(webhook=hooks.url("/a"))
    await hooks.called("/a")
    await lab.actors.delete(actor)
    assert await rows(lab) == []
    hooks.gates["/a"].set()
    await lab.until(lambda: not lab.events._couriers)


async def test_waking_for_an_actor_that_is_gone_does_nothing(lab: Lab) -> None:
    lab.events.wake(new_actor_id())
    await lab.until(lambda: not lab.events._couriers)
