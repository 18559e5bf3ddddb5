from __future__ import annotations

import pytest

from tests.abacod.api.serving import Client, Serving

READING = ["", "/messages", "/executions", "/permissions", "/state", "/workers"]


async def test_an_actor_begins_with_its_owner(alice: Client) -> None:
    actor = await alice.register()
    answer = await alice.get(f"/v3/actors/{actor['id']}/permissions", expect=200)
    assert answer.message == "Permissions retrieved successfully."
    assert answer.result == {"alice": "UPDATE"}


@pytest.mark.parametrize("kind", ["json", "data"])
async def test_a_grant_shows_everybodys_level(alice: Client, kind: str) -> None:
    actor = await alice.register()
    path = f"/actors/v2/{actor['id']}/permissions"
    granted = await alice.post(path, expect=200, **{kind: {"user": "j.doe_2@lab", "level": "READ"}})
    assert granted.message == "Permission added successfully."
    assert granted.result == {"alice": "UPDATE", "j.doe_2@lab": "READ"}


@pytest.mark.parametrize("world", [False, True])
async def test_each_level_opens_what_it_says(alice: Client, bob: Client, *, world: bool) -> None:
    actor = await alice.register()
    path, user = f"/v3/actors/{actor['id']}", "ABACO_WORLD" if world else "bob"
    opened = {"NONE": 0, "READ": 1, "EXECUTE": 2, "UPDATE": 3, "WRITE": 3}
    for level, reach in opened.items():
        await alice.share(actor["id"], user, level)
        for tail in READING:
            await bob.get(f"{path}{tail}", expect=200 if reach >= 1 else 403)
        await bob.post(f"{path}/messages", data={"message": "1"}, expect=200 if reach >= 2 else 403)
        await bob.put(path, json={"image": "image"}, expect=200 if reach >= 3 else 403)
        await bob.post(f"{path}/permissions", data={"user": "eve", "level": "READ"}, expect=200 if reach >= 3 else 403)


async def test_a_shared_actor_is_listed_and_a_revoked_one_is_not(alice: Client, bob: Client) -> None:
    actor = await alice.register()
    assert (await bob.get("/v3/actors", expect=200)).result == []
    for user in ("bob", "ABACO_WORLD"):
        await alice.share(actor["id"], user, "READ")
        assert [each["id"] for each in (await bob.get("/v3/actors", expect=200)).result] == [actor["id"]]
        assert (await alice.share(actor["id"], user, "NONE"))[user] == "NONE"
        assert (await bob.get("/v3/actors", expect=200)).result == []


async def test_the_higher_of_ones_own_and_everyones_level_counts(alice: Client, bob: Client) -> None:
    actor = await alice.register()
    await alice.share(actor["id"], "bob", "EXECUTE")
    await alice.share(actor["id"], "ABACO_WORLD", "READ")
    await bob.post(f"/v3/actors/{actor['id']}/messages", data={"message": "1"}, expect=200)
    await alice.share(actor["id"], "bob", "NONE")
    await bob.get(f"/v3/actors/{actor['id']}", expect=200)
    await bob.post(f"/v3/actors/{actor['id']}/messages", data={"message": "1"}, expect=403)


async def test_everyone_is_everyone_of_the_tenant(alice: Client, zoe: Client) -> None:
    actor = await alice.register()
    await alice.share(actor["id"], "ABACO_WORLD", "UPDATE")
    await zoe.get(f"/v3/actors/{actor['id']}", expect=404)
    assert (await zoe.get("/v3/actors", expect=200)).result == []


async def test_the_executor_is_who_sent_and_the_owner_stays(alice: Client, bob: Client, served: Serving) -> None:
    actor = await alice.register()
    await alice.share(actor["id"], "bob", "UPDATE")
    container = await served.run(bob, actor["id"], data={"message": "1"})
    assert container.spec.environment["_abaco_username"] == "bob"
    updated = await bob.put(f"/v3/actors/{actor['id']}", json={"image": "image", "description": "bob's"}, expect=200)
    assert (updated.result["owner"], updated.result["description"]) == ("alice", "bob's")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "user"),
        ({"user": "bob"}, "level"),
        ({"level": "READ"}, "user"),
        ({"user": "", "level": "READ"}, "user"),
        ({"user": ["bob"], "level": "READ"}, "user"),
        ({"user": "bob", "level": 1}, "level"),
        ({"user": "bob", "level": "read"}, "valid values are ('NONE', 'READ', 'EXECUTE', 'UPDATE')"),
        ({"user": "bob", "level": "ADMIN"}, "Invalid permission level: ADMIN."),
        ({"user": "../bob", "level": "READ"}, "no user name"),
        ({"user": "b\0b", "level": "READ"}, "no user name"),
    ],
)
async def test_a_bad_grant_names_its_field_and_changes_nothing(
    alice: Client, body: dict[str, object], named: str
) -> None:
    actor = await alice.register()
    refused = await alice.post(f"/v3/actors/{actor['id']}/permissions", json=body, expect=400)
    assert named in refused.message
    assert (await alice.get(f"/v3/actors/{actor['id']}/permissions", expect=200)).result == {"alice": "UPDATE"}
