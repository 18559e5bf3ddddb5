"""Pipelines over HTTP: lists, page by page, and single ones (docs/reference/http-api.md)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from abacod.config import ServerSettings
from abacod.config_pipelines import PipelineSettings
from abacod.ids import Username
from abacod.services.tokens import SigningKey
from abacod.store import pipelines
from tests.abacod.api.reactors import TACOBOT, UUID, Manager
from tests.abacod.api.serving import DEV, Client, Serving, serving


@pytest.fixture
async def served(tmp_path: Path, signing_key: SigningKey) -> AsyncIterator[Serving]:
    server = ServerSettings(port=0, drain_seconds=0, max_body_bytes=20_000_000)
    async with serving(tmp_path, signing_key, server=server, pipelines=PipelineSettings()) as running:
        yield running


@pytest.fixture
def manager(served: Serving, alice: Client) -> Manager:
    return Manager(served, alice)


async def listed(client: Client, query: str = "") -> list[str]:
    return [each["name"] for each in (await client.get(f"/v3/pipelines{query}", expect=200)).result]


async def test_a_pipeline_is_found_by_uuid_and_by_id(manager: Manager) -> None:
    _, token = await manager.create()
    record = await manager.record("tacc%2Ftacobot:9000")
    assert record == await manager.record(UUID)
    assert record["uuid"] == UUID
    assert token not in str(record)
    assert not any(name.startswith("_") for name in record)
    answer = await manager.client.get("/v3/pipelines/nothing", expect=404)
    assert answer.message == "No such pipeline nothing"


async def test_the_list_goes_on_page_by_page_and_hides_retired_ones(manager: Manager) -> None:
    made = [await manager.create({"name": name, "id": f"id-{name}", "components": [{"id": "x"}]}) for name in "abcde"]
    await manager({"uuid": made[1][0], "action": "retire", "token": made[1][1]})
    client = manager.client
    assert await listed(client) == ["a", "c", "d", "e"]
    assert await listed(client, "?retired=true") == ["a", "b", "c", "d", "e"]
    assert await listed(client, "?limit=2") == ["a", "c"]
    assert await listed(client, f"?limit=2&after={made[2][0]}") == ["d", "e"]
    assert await listed(client, f"?after={made[1][0]}") == ["c", "d", "e"]
    assert await listed(client, "?id=id-d") == ["d"]
    assert await listed(client, "?name=e&name=e") == ["e"]
    assert await listed(client, "?name=b") == []
    assert await listed(client, "?name=b&retired=true") == ["b"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 400),
        ("limit=x", 400),
        ("limit=100000", 400),
        ("retired=maybe", 400),
        ("after=1", 404),
        ("nmae=1", 400),
        ("id=%00", 200),
    ],
)
async def test_a_list_that_makes_no_sense_is_refused(alice: Client, query: str, status: int) -> None:
    await alice.get(f"/v3/pipelines?{query}", expect=status)


async def test_each_tenant_has_its_own(served: Serving, manager: Manager, zoe: Client) -> None:
    _, token = await manager.create()
    assert await listed(zoe) == []
    await zoe.get(f"/v3/pipelines/{UUID}", expect=404)
    other = Manager(served, zoe)
    assert "No such pipeline" in (await other({**TACOBOT, "name": "mine"}, token=token)).last
    assert (await other.create())[1] != token


async def test_a_nonce_of_the_manager_opens_the_list(served: Serving, manager: Manager, root: Client) -> None:
    await manager.create()
    nonce = (await root.post("/v3/actors/aliases/pipelines-manager/nonces", json={"level": "READ"}, expect=201)).result
    assert await listed(served.nobody, f"?x-nonce={nonce['id']}") == ["Tacobot 9000"]


async def test_without_the_pipelinejobs_system_there_are_none(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path / "off", signing_key) as off:
        answer = await (await off.user("alice")).get("/v3/pipelines", expect=404)
        assert "pipelines.enabled" in answer.message


async def test_users_without_a_permission_see_none(tmp_path: Path, signing_key: SigningKey) -> None:
    settings = PipelineSettings(execute=(Username("carol"),))
    async with serving(tmp_path / "narrow", signing_key, pipelines=settings) as narrow:
        await (await narrow.user("carol", tenant=DEV)).get("/v3/pipelines", expect=200)
        await (await narrow.user("bob")).get("/v3/pipelines", expect=403)


async def test_a_page_that_is_too_large_for_memory_is_refused(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        await manager.create({"name": name, "components": [{"id": name, "x": "y" * 1000}]})
    monkeypatch.setattr(pipelines, "_MOST_BYTES", 2500)
    answer = await manager.client.get("/v3/pipelines", expect=400)
    assert "smaller limit" in answer.message
    assert await listed(manager.client, "?limit=2") == ["a", "b"]
