"""The built-in reactors are actors like any other, but for what only the server may do with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from abacod.config_pipelines import PipelineSettings
from abacod.services.tokens import SigningKey
from tests.abacod.api.reactors import tell
from tests.abacod.api.serving import Client, Serving, serving

MANAGER: Final = "/v3/actors/pipelines-manager"
ALIASES: Final = ["pipelines-manager", "pipelinejobs-manager", "pipelinejobs-indexer", "pipelinejobs-agave-proxy"]


@pytest.fixture
async def served(tmp_path: Path, signing_key: SigningKey) -> AsyncIterator[Serving]:
    async with serving(tmp_path, signing_key, pipelines=PipelineSettings()) as running:
        yield running


async def test_everybody_finds_them_by_alias_and_nobody_in_lists(alice: Client) -> None:
    names = [alias["alias"] for alias in (await alice.get("/v3/actors/aliases")).result]
    assert names == ALIASES
    assert (await alice.get(MANAGER)).result["image"] == "native:pipelines-manager"
    assert (await alice.get("/v3/actors")).result == []


@pytest.mark.parametrize("alias", ALIASES)
async def test_they_can_be_neither_changed_nor_deleted(root: Client, alias: str) -> None:
    path = f"/v3/actors/{alias}"
    for answer in (await root.put(path, json={"image": "mine"}), await root.delete(path)):
        assert answer.status == 400
        assert "built in" in answer.message


@pytest.mark.parametrize("alias", ALIASES)
async def test_nobody_takes_their_names_away(root: Client, alias: str) -> None:
    own = await root.register()
    path = f"/v3/actors/aliases/{alias}"
    for answer in (await root.put(path, json={"actor_id": own["id"]}), await root.delete(path)):
        assert answer.status == 400
        assert "built-in reactor" in answer.message
    assert (await root.get(f"/v3/actors/{alias}")).result["image"] == f"native:{alias}"


async def test_other_names_for_them_come_and_go(root: Client) -> None:
    manager = (await root.get("/v3/actors/pipelinejobs-manager")).result["id"]
    await root.post("/v3/actors/aliases", json={"alias": "jobs-manager", "actor_id": manager}, expect=201)
    assert (await root.get("/v3/actors/jobs-manager", expect=200)).result["id"] == manager
    await root.delete("/v3/actors/aliases/jobs-manager", expect=200)


async def test_a_message_that_takes_long_to_read_is_refused(alice: Client) -> None:
    answer = await alice.post("/v3/actors/pipelines-manager/messages", data=b"[" * 2_000_001)
    assert answer.status == 413


async def test_no_image_may_be_called_like_one(alice: Client) -> None:
    answer = await alice.post("/v3/actors", json={"image": "native:pipelines-manager"}, expect=400)
    assert "kept for built-in reactors" in answer.message


async def asked(served: Serving, client: Client, method: str, path: str, **options: Any) -> tuple[int, bytes]:
    """Status and body of an answer of any kind."""
    headers = {"X-Tapis-Token": client.token} if client.token else {}
    async with served.session.request(method, f"{served.url}{path}", headers=headers, **options) as response:
        return response.status, await response.read()


async def shown(served: Serving, client: Client, execution: str, nonce: str = "") -> set[int]:
    """With what statuses the execution, its log as it is and as it comes, and its results are shown."""
    path, ask = f"{MANAGER}/executions/{execution}", f"x-nonce={nonce}" if nonce else ""
    ways = [
        ("GET", f"{path}?{ask}"),
        ("GET", f"{path}/logs?{ask}"),
        ("GET", f"{path}/logs?follow=true&{ask}"),
        ("GET", f"{path}/results?{ask}"),
        ("POST", f"{path}/results?{ask}"),
    ]
    return {(await asked(served, client, method, way))[0] for method, way in ways}


async def listed(client: Client, query: str = "") -> list[str]:
    return [each["id"] for each in (await client.get(f"{MANAGER}/executions{query}", expect=200)).result["executions"]]


async def test_an_execution_is_shown_to_who_sent_the_message_and_to_who_runs_the_reactor(
    served: Serving, alice: Client, bob: Client, root: Client
) -> None:
    mine = (await tell(served, alice, "pipelines-manager", "{}")).execution
    his = (await tell(served, bob, "pipelines-manager", "{}")).execution
    assert await shown(served, alice, mine) == {200}
    assert await shown(served, bob, mine) == {403}
    assert await shown(served, root, mine) == {200}
    assert (await listed(alice), await listed(bob), await listed(root)) == ([mine], [his], [mine, his])
    owner = await served.user("abacod")
    assert await shown(served, owner, mine) == {200}
    await root.share("pipelines-manager", "bob", "UPDATE")
    assert await shown(served, bob, mine) == {200}


async def test_a_nonce_shows_no_execution(served: Serving, alice: Client, root: Client) -> None:
    of_root = (await tell(served, root, "pipelines-manager", "{}")).execution
    nonce = (
        await root.post("/v3/actors/aliases/pipelines-manager/nonces", json={"level": "EXECUTE"}, expect=201)
    ).result
    sent = await served.nobody.post(f"{MANAGER}/messages?x-nonce={nonce['id']}", json={"message": "{}"}, expect=200)
    await served.until_ended(root, "pipelines-manager", sent.result["execution_id"])
    for execution in (of_root, sent.result["execution_id"]):
        assert await shown(served, served.nobody, execution, nonce["id"]) == {403}
    path = f"{MANAGER}/messages?x-nonce={nonce['id']}&_abaco_synchronous=true"
    status, body = await asked(served, served.nobody, "POST", path, json={"message": "{}"})
    assert status == 200
    assert b"did not match any known schema" in body


@pytest.mark.parametrize("made_at", ["pipelinejobs-manager/nonces", "aliases/pipelinejobs-manager/nonces"])
async def test_their_nonces_are_good_with_alias_and_id(served: Serving, root: Client, made_at: str) -> None:
    nonce = (await root.post(f"/v3/actors/{made_at}", json={"level": "EXECUTE"}, expect=201)).result["id"]
    manager = (await root.get("/v3/actors/pipelinejobs-manager")).result["id"]
    other = (await root.get("/v3/actors/pipelines-manager")).result["id"]
    for name in ("pipelinejobs-manager", manager):
        await served.nobody.post(f"/v3/actors/{name}/messages?x-nonce={nonce}", json={"message": "{}"}, expect=200)
    for name in ("pipelines-manager", other):
        await served.nobody.post(f"/v3/actors/{name}/messages?x-nonce={nonce}", json={"message": "{}"}, expect=401)
    # another alias for the same reactor may stand for another actor tomorrow
    await root.post("/v3/actors/aliases", json={"alias": "jobs-manager", "actor_id": manager}, expect=201)
    await served.nobody.post(f"/v3/actors/jobs-manager/messages?x-nonce={nonce}", json={"message": "{}"}, expect=401)


async def test_searches_find_one_s_own_executions_at_most(
    served: Serving, alice: Client, bob: Client, root: Client
) -> None:
    execution = (await tell(served, alice, "pipelines-manager", "{}")).execution

    async def found(client: Client, path: str) -> int:
        return len((await client.get(f"/v3/actors/{path}?limit=9", expect=200)).result["search"])

    for database in ("executions", "logs", "actors"):
        assert [await found(each, f"search/{database}") for each in (alice, bob, root)] == [0, 0, 0]
    for path in ("pipelines-manager/executions", "search/actors/pipelines-manager/executions"):
        assert [await found(each, path) for each in (alice, bob, root)] == [1, 0, 0]
    assert await found(alice, f"pipelines-manager/executions/{execution}/logs") == 1
    await bob.get(f"{MANAGER}/executions/{execution}/logs?limit=9", expect=403)


async def test_executions_of_other_actors_are_shown_as_before(served: Serving, alice: Client, bob: Client) -> None:
    actor = (await alice.register())["id"]
    await alice.share(actor, "bob", "READ")
    container = await served.run(alice, actor, json={"message": "1"})
    path = f"/v3/actors/{actor}/executions"
    await bob.get(f"{path}/{container.spec.execution_id}/logs", expect=200)
    assert len((await bob.get(path)).result["executions"]) == 1
