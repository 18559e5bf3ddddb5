"""Results of executions over HTTP (spec/actors-api 4.5)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from abacod.config import ResultSettings
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import Client, Serving, serving
from tests.fakes import FakeContainer


def sends(*results: bytes) -> object:
    """A program that sends these results."""

    async def program(container: FakeContainer) -> int:
        for result in results:
            await container.send_result(result)
        container.write("done")
        return 0

    return program


async def executed(served: Serving, client: Client, *results: bytes) -> str:
    """The path of an execution that has sent these results and ended."""
    served.engine.programs["image"] = sends(*results)  # type: ignore[assignment]
    actor = await client.register()
    sent = await client.post(f"/v3/actors/{actor['id']}/messages", json={"message": "go"}, expect=200)
    await served.until_ended(client, actor["id"], sent.result["execution_id"])
    return f"/v3/actors/{actor['id']}/executions/{sent.result['execution_id']}"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_each_request_takes_one_result_in_order(served: Serving, alice: Client, method: str) -> None:
    results = [b"", b"\x00\xff", b"x" * 131_072]
    path = await executed(served, alice, *results)

    taken = [await alice.fetch(method, f"{path}/results") for _ in range(4)]

    assert [answer.body for answer in taken] == [*results, b""]
    assert {answer.status for answer in taken} == {200}
    assert {answer.headers["Content-Type"] for answer in taken} == {"application/octet-stream"}


async def test_a_result_can_be_taken_while_the_execution_runs(served: Serving, alice: Client) -> None:
    async def program(container: FakeContainer) -> int:
        await container.send_result(b"early")
        await container.terminated.wait()
        return 0

    served.engine.programs["image"] = program
    actor = await alice.register()
    sent = await alice.post(f"/v3/actors/{actor['id']}/messages", json={"message": "go"})
    path = f"/v3/actors/{actor['id']}/executions/{sent.result['execution_id']}"

    async def arrived() -> bool:
        return (await alice.fetch("GET", f"{path}/results")).body == b"early"

    await served.until(arrived)
    assert (await alice.get(path)).result["status"] == "RUNNING"


async def test_many_at_once_get_each_result_once(served: Serving, alice: Client) -> None:
    results = [b"%d" % number for number in range(100)]
    path = await executed(served, alice, *results)

    taken = await asyncio.gather(*(alice.fetch("GET", f"{path}/results") for _ in range(150)))

    bodies = [answer.body for answer in taken]
    assert sorted(body for body in bodies if body) == sorted(results)
    assert bodies.count(b"") == 50


async def test_looking_with_head_takes_nothing(served: Serving, alice: Client) -> None:
    path = await executed(served, alice, b"kept")

    assert (await alice.fetch("HEAD", f"{path}/results")).status == 200

    assert (await alice.fetch("GET", f"{path}/results")).body == b"kept"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_reading_is_enough_and_needed(served: Serving, alice: Client, bob: Client, method: str) -> None:
    path = await executed(served, alice, b"secret")
    actor = path.rpartition("/executions")[0]

    assert (await bob.fetch(method, f"{path}/results")).status == 403
    await alice.post(f"{actor}/permissions", json={"user": "bob", "level": "READ"}, expect=200)
    assert (await bob.fetch(method, f"{path}/results")).body == b"secret"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_execution(served: Serving, alice: Client, method: str) -> None:
    path = (await executed(served, alice)).rpartition("/")[0]

    answer = await alice.send(method, f"{path}/nothing/results", expect=404)

    assert "nothing" in answer.message


async def test_only_so_many_are_kept(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key, results=ResultSettings(max_per_execution=3)) as served:
        alice = await served.user("alice")
        path = await executed(served, alice, *(b"%d" % number for number in range(10)))

        taken = [(await alice.fetch("GET", f"{path}/results")).body for _ in range(4)]

    assert taken == [b"0", b"1", b"2", b""]


async def test_they_go_with_their_actor(served: Serving, alice: Client) -> None:
    path = await executed(served, alice, b"1", b"2")
    assert (await served.contents())["results"] == 2

    await alice.delete(path.rpartition("/executions")[0], expect=200)

    assert (await served.contents())["results"] == 0
