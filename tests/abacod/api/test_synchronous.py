"""Synchronous messages (seeds: Synchronous Messaging; spec/actors-api 3.4)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from abacod.config import ServerSettings
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import MAX_BINARY, MAX_TEXT, Client, RawAnswer, Serving, serving
from tests.fakes import FakeContainer, obey


async def speak(container: FakeContainer) -> int:
    """Write, and send a result if that is the message."""
    if container.spec.environment.get("MSG") == "result":
        await container.send_result(b"\x00first")
        await container.send_result(b"second")
    container.write("<b>söme</b> log\n")
    return 3


async def ask(client: Client, actor: dict[str, Any], value: str = "true", **options: Any) -> RawAnswer:
    """Send a synchronous message; the text `hello` if no body is given."""
    if not options:
        options = {"json": {"message": "hello"}}
    return await client.fetch("POST", f"/v3/actors/{actor['id']}/messages?_abaco_synchronous={value}", **options)


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
@pytest.mark.parametrize(
    "body",
    [
        {"json": {"message": "text"}},
        {"json": {"message": {"a": 1}}},
        {"data": {"message": "form"}},
        {"data": b"\x00bytes", "headers": {"Content-Type": "application/octet-stream"}},
    ],
    ids=["text", "json", "form", "bytes"],
)
async def test_the_log_is_the_answer_where_there_is_no_result(
    served: Serving, alice: Client, value: str, body: dict[str, Any]
) -> None:
    served.engine.programs["image"] = speak
    actor = await alice.register()

    answer = await ask(alice, actor, value, **body)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.body.decode() == "<b>söme</b> log\n"
    execution_id = answer.headers["Abaco-Execution-Id"]
    shown = (await alice.get(f"/v3/actors/{actor['id']}/executions/{execution_id}")).result
    assert (shown["status"], shown["exit_code"]) == ("COMPLETE", 3)


async def test_the_first_result_is_the_answer_and_is_taken(served: Serving, alice: Client) -> None:
    served.engine.programs["image"] = speak
    actor = await alice.register()

    answer = await ask(alice, actor, json={"message": "result"})

    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.body == b"\x00first"
    results = f"/v3/actors/{actor['id']}/executions/{answer.headers['Abaco-Execution-Id']}/results"
    await served.until_ended(alice, actor["id"], answer.headers["Abaco-Execution-Id"])
    assert (await alice.fetch("GET", results)).body == b"second"


async def test_a_result_is_the_answer_before_the_end(served: Serving, alice: Client) -> None:
    async def program(container: FakeContainer) -> int:
        await container.send_result(b"")
        return await obey(container)

    served.engine.programs["image"] = program
    actor = await alice.register()

    answer = await ask(alice, actor)

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    execution = f"/v3/actors/{actor['id']}/executions/{answer.headers['Abaco-Execution-Id']}"
    assert (await alice.get(execution)).result["status"] == "RUNNING"


async def test_nothing_written_is_an_empty_answer(served: Serving, alice: Client) -> None:
    async def silent(_: FakeContainer) -> int:
        return 0

    served.engine.programs["image"] = silent
    actor = await alice.register()

    answer = await ask(alice, actor)

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


async def test_an_execution_that_ends_in_error_ends_the_wait(served: Serving, alice: Client) -> None:
    served.engine.programs["image"] = None
    actor = await alice.register()

    answer = await ask(alice, actor)

    assert (answer.status, answer.body) == (200, b"")
    execution = f"/v3/actors/{actor['id']}/executions/{answer.headers['Abaco-Execution-Id']}"
    assert (await alice.get(execution)).result["status"] == "ERROR"


@pytest.mark.parametrize("value", ["false", "yes", "1", ""])
async def test_any_other_value_is_asynchronous_and_never_reaches_the_container(
    served: Serving, alice: Client, value: str
) -> None:
    actor = await alice.register()

    container = await served.run(
        alice, actor["id"], f"/v3/actors/{actor['id']}/messages?_abaco_synchronous={value}", json={"message": "1"}
    )

    assert "_abaco_synchronous" not in container.spec.environment


async def test_a_synchronous_one_does_not_reach_the_container_either(served: Serving, alice: Client) -> None:
    seen: list[bool] = []

    async def program(container: FakeContainer) -> int:
        seen.append("_abaco_synchronous" in container.spec.environment)
        return 0

    served.engine.programs["image"] = program

    await ask(alice, await alice.register())

    assert seen == [False]


async def waiting(served: Serving, client: Client, actor: dict[str, Any], count: int) -> None:
    """Have one message run and exactly so many wait."""
    for _ in range(count + 1):
        await client.post(f"/v3/actors/{actor['id']}/messages", json={"message": "x"}, expect=200)

    async def reached() -> bool:
        listed = (await client.get(f"/v3/actors/{actor['id']}/executions")).result["executions"]
        return [each["status"] for each in listed].count("RUNNING") == 1

    await served.until(reached)
    assert (await client.get(f"/v3/actors/{actor['id']}/messages")).result["messages"] == count


async def test_more_than_three_that_wait_are_too_many(served: Serving, alice: Client) -> None:
    served.engine.programs["image"] = obey
    actor = await alice.register(stateless=False)
    await waiting(served, alice, actor, 4)

    answer = await alice.post(
        f"/v3/actors/{actor['id']}/messages?_abaco_synchronous=true", json={"message": "1"}, expect=400
    )

    assert answer.message == "Cannot issue synchronous execution when actor message queue > 0."
    assert (await alice.get(f"/v3/actors/{actor['id']}/messages")).result["messages"] == 4


async def test_of_many_at_once_only_as_many_are_taken_as_may_wait(served: Serving, alice: Client) -> None:
    served.engine.programs["image"] = obey
    actor = await alice.register(stateless=False)
    await waiting(served, alice, actor, 0)
    asked = [asyncio.create_task(ask(alice, actor), name=f"ask {number}") for number in range(12)]

    async def all_there() -> bool:
        return sum(task.done() for task in asked) == 8

    await served.until(all_there)
    assert {task.result().status for task in asked if task.done()} == {400}
    assert (await alice.get(f"/v3/actors/{actor['id']}/messages")).result["messages"] == 4
    # when the mailbox is emptied, the senders that wait are told
    await alice.delete(f"/v3/actors/{actor['id']}/messages", expect=200)
    answers = [await task for task in asked if not (task.done() and task.result().status == 400)]
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"")] * 4


@pytest.mark.parametrize("how", ["cancel", "halt", "delete"])
async def test_whatever_ends_the_execution_ends_the_wait(served: Serving, alice: Client, how: str) -> None:
    served.engine.programs["image"] = obey
    actor = await alice.register(stateless=False)
    path = f"/v3/actors/{actor['id']}"
    if how == "cancel":
        await waiting(served, alice, actor, 0)
    asked = asyncio.create_task(ask(alice, actor), name="ask")
    due = "SUBMITTED" if how == "cancel" else "RUNNING"

    async def there() -> bool:
        listed = (await alice.get(f"{path}/executions")).result["executions"]
        return bool(listed) and listed[-1]["status"] == due

    await served.until(there)
    if how == "delete":
        await alice.delete(path, expect=200)
    else:
        execution = (await alice.get(f"{path}/executions")).result["executions"][-1]["id"]
        await alice.delete(f"{path}/executions/{execution}", expect=200)

    assert (await asked).status == 200


async def test_too_long_a_wait_ends_and_the_execution_goes_on(tmp_path: Path, signing_key: SigningKey) -> None:
    limits = ServerSettings(
        port=0, drain_seconds=0, max_body_bytes=MAX_BINARY, max_text_bytes=MAX_TEXT, synchronous_limit_seconds=0.3
    )
    async with serving(tmp_path, signing_key, server=limits) as served:
        alice = await served.user("alice")
        served.engine.programs["image"] = obey
        actor = await alice.register()

        answer = await alice.post(
            f"/v3/actors/{actor['id']}/messages?_abaco_synchronous=true",
            json={"message": "1"},
            expect=504,
            may_fail=True,
        )

        assert (
            answer.message == "Timeout error waiting on Abaco service response. The server may be busy or overloaded."
        )
        execution = f"/v3/actors/{actor['id']}/executions/{answer.result['execution_id']}"
        assert (await served.until_status(alice, execution, "RUNNING"))["exit_code"] is None
        assert served.daemon.core.news.watched == 0


async def until_watched(served: Serving, count: int) -> None:
    """Wait until so many requests wait for an execution."""

    async def reached() -> bool:
        return served.daemon.core.news.watched == count

    await served.until(reached)


async def test_a_sender_that_hangs_up_leaves_no_wait_and_the_execution_goes_on(served: Serving, alice: Client) -> None:
    served.engine.programs["image"] = obey
    actor = await alice.register()
    asked = asyncio.create_task(ask(alice, actor), name="ask")

    await until_watched(served, 1)
    asked.cancel()
    await until_watched(served, 0)

    async def started() -> bool:
        return bool(served.engine.containers)

    await served.until(started)
    [execution_id] = served.engine.containers
    await served.until_status(alice, f"/v3/actors/{actor['id']}/executions/{execution_id}", "RUNNING")


async def test_a_daemon_that_stops_says_so(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key) as served:
        alice = await served.user("alice")
        served.engine.programs["image"] = obey
        actor = await alice.register()
        asked = asyncio.create_task(ask(alice, actor), name="ask")

        await until_watched(served, 1)
        served.daemon.core.news.close()

        answer = await asked

    assert answer.status == 503
    assert b"execution_id" in answer.body
