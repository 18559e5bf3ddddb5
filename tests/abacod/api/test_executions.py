from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from abacod.config import LogSettings, ServerSettings
from abacod.ids import new_execution_id
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import Client, Serving, serving
from tests.fakes import TERMINATED, FakeContainer, echo, obey


async def start(client: Client, served: Serving, actor_id: str, message: object = 1) -> str:
    """Send a message and wait until its container runs; the execution's id."""
    sent = await client.post(f"/v3/actors/{actor_id}/messages", json=message, expect=200)
    execution_id: str = sent.result["execution_id"]
    await served.until_status(client, f"/v3/actors/{actor_id}/executions/{execution_id}", "RUNNING")
    return execution_id


async def finish(client: Client, served: Serving, actor_id: str, message: object = 1) -> dict[str, Any]:
    sent = await client.post(f"/v3/actors/{actor_id}/messages", json=message, expect=200)
    return await served.until_ended(client, actor_id, sent.result["execution_id"])


# --- records ---------------------------------------------------------------------------------------------------------


async def test_an_execution_shows_how_it_went(alice: Client, bob: Client, root: Client, served: Serving) -> None:
    async def work(container: FakeContainer) -> int:
        container.cpu, container.io = 1234, 99
        return 3

    served.engine.programs["image"] = work
    actor = await alice.register()
    shown = await finish(root, served, actor["id"])
    link = f"{served.url}/v3/actors/{actor['id']}/executions/{shown['id']}"
    expected = {
        "actor_id": actor["id"],
        "api_server": served.url,
        "executor": "root",
        "executor_uid": None,
        "executor_gid": None,
        "status": "COMPLETE",
        "exit_code": 3,
        "cpu": 1234,
        "io": 99,
        "runtime": 0,
        "_links": {"self": link, "owner": f"{served.url}/v3/oauth2/profiles/root", "logs": f"{link}/logs"},
    }
    assert {name: shown[name] for name in expected} == expected
    assert shown["final_state"]["ExitCode"] == 3
    assert shown["worker_id"]
    assert shown["message_received_time"] <= shown["start_time"] <= shown["finish_time"]
    await bob.get(f"/v3/actors/{actor['id']}/executions/{shown['id']}", expect=403)


async def test_an_execution_that_waits_shows_what_is_not_known_yet_as_null(alice: Client, served: Serving) -> None:
    served.engine.up = False
    actor = await alice.register()
    sent = (await alice.post(f"/v3/actors/{actor['id']}/messages", json=1, expect=200)).result["execution_id"]
    shown = (await alice.get(f"/v3/actors/{actor['id']}/executions/{sent}", expect=200)).result
    unknown = ("worker_id", "start_time", "finish_time", "exit_code", "final_state")
    assert [shown[name] for name in unknown] == [None] * 5
    assert (shown["status"], shown["runtime"], shown["cpu"], shown["io"]) == ("SUBMITTED", 0, 0, 0)


async def test_the_second_version_spells_executions_in_camel_case(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    ended = await finish(alice, served, actor["id"])
    path = f"/actors/v2/{actor['id']}/executions"
    shown = (await alice.get(f"{path}/{ended['id']}", expect=200)).result
    listed = (await alice.get(path, expect=200)).result
    assert shown["finishTime"] == ended["finish_time"]
    assert shown["finalState"] == ended["final_state"]
    assert shown["_links"]["logs"] == f"{served.url}{path}/{ended['id']}/logs"
    assert listed["executions"][0]["messageReceivedTime"] == ended["message_received_time"]
    assert listed["totalExecutions"] == 1


# --- lists -----------------------------------------------------------------------------------------------------------


async def test_a_list_has_all_executions_oldest_first_and_their_sums(alice: Client, served: Serving) -> None:
    async def work(container: FakeContainer) -> int:
        container.cpu, container.io = 10, 1
        return 0

    served.engine.programs["image"] = work
    actor = await alice.register()
    path = f"/v3/actors/{actor['id']}/executions"
    empty = (await alice.get(path, expect=200)).result
    assert (empty["executions"], empty["total_executions"], empty["total_cpu"]) == ([], 0, 0)
    ended = [await finish(alice, served, actor["id"], number) for number in range(3)]
    listed = (await alice.get(path, expect=200)).result
    names = ("id", "status", "start_time", "finish_time", "message_received_time")
    assert listed["executions"] == [{name: one[name] for name in names} for one in ended]
    assert listed["actor_id"] == actor["id"]
    assert (listed["owner"], listed["api_server"]) == ("alice", served.url)
    sums = [listed[name] for name in ("total_executions", "total_cpu", "total_io", "total_runtime")]
    assert sums == [3, 30, 3, 0]
    assert listed["_links"] == {
        "self": f"{served.url}{path}",
        "owner": f"{served.url}/v3/oauth2/profiles/alice",
    }


async def test_a_long_list_shows_the_newest_but_counts_all(tmp_path: Path, signing_key: SigningKey) -> None:
    server = ServerSettings(port=0, drain_seconds=0, list_limit=2)
    async with serving(tmp_path, signing_key, server=server) as served:
        alice = await served.user("alice")
        actor = await alice.register()
        ended = [(await finish(alice, served, actor["id"], number))["id"] for number in range(3)]
        listed = (await alice.get(f"/v3/actors/{actor['id']}/executions", expect=200)).result
        assert [execution["id"] for execution in listed["executions"]] == ended[1:]
        assert listed["total_executions"] == 3


# --- what is not there -----------------------------------------------------------------------------------------------


async def test_an_unknown_execution_is_404_and_400_for_old_clients(tmp_path: Path, signing_key: SigningKey) -> None:
    for compat, status in (("documented", 404), ("abaco", 400)):
        (tmp_path / compat).mkdir()
        async with serving(tmp_path / compat, signing_key, compat=compat) as served:
            alice = await served.user("alice")
            path = f"/v3/actors/{(await alice.register())['id']}/executions"
            for unknown in (new_execution_id(), "x", "a%00b", "%20"):
                await alice.get(f"{path}/{unknown}", expect=status)
                await alice.get(f"{path}/{unknown}/logs", expect=status)
                await alice.delete(f"{path}/{unknown}", expect=status)


async def test_an_execution_belongs_to_its_actor(alice: Client, bob: Client, served: Serving) -> None:
    gate = served.engine.gates.setdefault("image", asyncio.Event())
    theirs, mine = await bob.register(stateless=False), await alice.register()
    running = await start(bob, served, theirs["id"])
    waiting = (await bob.post(f"/v3/actors/{theirs['id']}/messages", json=2, expect=200)).result["execution_id"]
    for execution_id in (running, waiting):
        path = f"/v3/actors/{mine['id']}/executions/{execution_id}"
        await alice.get(path, expect=404)
        await alice.get(f"{path}/logs", expect=404)
        await alice.delete(path, expect=404)
    gate.set()
    assert (await served.until_ended(bob, theirs["id"], waiting))["status"] == "COMPLETE"


# --- halt ------------------------------------------------------------------------------------------------------------


async def test_a_running_execution_is_halted(alice: Client, served: Serving) -> None:
    served.engine.programs["image"] = obey
    actor = await alice.register()
    running = await start(alice, served, actor["id"])
    path = f"/v3/actors/{actor['id']}/executions/{running}"
    halted = await alice.delete(path, expect=200)
    assert halted.message == f"Issued force quit command for execution {running}."
    assert halted.result is None
    ended = await served.until_ended(alice, actor["id"], running)
    assert (ended["status"], ended["exit_code"]) == ("COMPLETE", TERMINATED)
    assert (await alice.get(f"{path}/logs")).result["logs"] == "ready\n"


async def test_halting_one_execution_lets_the_next_one_run(alice: Client, served: Serving) -> None:
    served.engine.programs["image"] = obey
    actor = await alice.register(stateless=False)
    running = await start(alice, served, actor["id"])
    served.engine.programs["image"] = echo
    following = (await alice.post(f"/v3/actors/{actor['id']}/messages", json="next", expect=200)).result
    await alice.delete(f"/v3/actors/{actor['id']}/executions/{running}", expect=200)
    assert (await served.until_ended(alice, actor["id"], following["execution_id"]))["exit_code"] == 0


async def test_a_waiting_execution_is_cancelled(alice: Client, served: Serving) -> None:
    gate = served.engine.gates.setdefault("image", asyncio.Event())
    actor = await alice.register(stateless=False)
    path = f"/v3/actors/{actor['id']}"
    running = await start(alice, served, actor["id"])
    waiting = [
        (await alice.post(f"{path}/messages", **body, expect=200)).result["execution_id"]
        for body in ({"json": 2}, {"data": b"2", "headers": {"Content-Type": "application/octet-stream"}})
    ]
    for execution_id in waiting:
        await alice.delete(f"{path}/executions/{execution_id}", expect=200)
        cancelled = (await alice.get(f"{path}/executions/{execution_id}", expect=200)).result
        assert cancelled["status"] == "ERROR"
        assert "Cancelled" in cancelled["final_state"]["reason"]
    assert (await alice.get(f"{path}/messages")).result["messages"] == 0
    gate.set()
    await served.until_ended(alice, actor["id"], running)
    assert sum(served.engine.started.values()) == 1


async def test_what_has_ended_cannot_be_halted(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    ended = await finish(alice, served, actor["id"])
    refused = await alice.delete(f"/v3/actors/{actor['id']}/executions/{ended['id']}", expect=400)
    assert refused.message == (
        "Cannot force quit an execution not in RUNNING status. Execution was found in status: COMPLETE"
    )


# --- logs ------------------------------------------------------------------------------------------------------------


async def test_a_log_has_what_the_container_wrote(alice: Client, served: Serving) -> None:
    async def write(container: FakeContainer) -> int:
        container.write("one\n")
        container.write("zwei ü\n".encode()[:6])
        container.write("zwei ü\n".encode()[6:])
        container.write(b"\xff\x00")
        return 0

    served.engine.programs["image"] = write
    actor = await alice.register()
    ended = await finish(alice, served, actor["id"])
    path = f"/v3/actors/{actor['id']}/executions/{ended['id']}"
    log = await alice.get(f"{path}/logs", expect=200)
    assert log.message == "Logs retrieved successfully."
    assert log.result == {
        "logs": "one\nzwei ü\n\N{REPLACEMENT CHARACTER}\0",
        "_links": {
            "self": f"{served.url}{path}/logs",
            "owner": f"{served.url}/v3/oauth2/profiles/alice",
            "execution": f"{served.url}{path}",
        },
    }


async def test_a_log_can_be_read_while_it_grows(alice: Client, served: Serving) -> None:
    served.engine.programs["image"] = obey
    actor = await alice.register()
    running = await start(alice, served, actor["id"])
    path = f"/v3/actors/{actor['id']}/executions/{running}/logs"

    async def grown() -> bool:
        return bool((await alice.get(path, expect=200)).result["logs"] == "ready\n")

    await served.until(grown)


async def test_a_log_is_empty_before_the_start(alice: Client, served: Serving) -> None:
    served.engine.up = False
    actor = await alice.register()
    sent = (await alice.post(f"/v3/actors/{actor['id']}/messages", json=1, expect=200)).result["execution_id"]
    log = await alice.get(f"/v3/actors/{actor['id']}/executions/{sent}/logs", expect=200)
    assert log.result["logs"] == ""


async def test_a_log_that_is_too_long_is_cut_and_says_so(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key, logs=LogSettings(max_bytes=10)) as served:
        alice = await served.user("alice")
        actor = await alice.register()
        ended = await finish(alice, served, actor["id"], {"message": "x" * 100})
        log = await alice.get(f"/v3/actors/{actor['id']}/executions/{ended['id']}/logs", expect=200)
        assert log.result["logs"] == "x" * 10 + " LOG LIMIT EXCEEDED; this execution log was TRUNCATED!"


async def test_executions_are_made_by_messages_only(alice: Client) -> None:
    actor = await alice.register()
    await alice.post(f"/v3/actors/{actor['id']}/executions", json={"runtime": 1}, expect=405)
