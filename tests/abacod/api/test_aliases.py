from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest

from abacod.api.calls import DIALECTS
from abacod.api.routes import actor_routes
from abacod.services.aliases import RESERVED
from tests.abacod.api.serving import Client, Serving

HASHID = "JWpkNmBwKewYo"


async def name(owner: Client, alias: str, actor: str | dict[str, Any]) -> dict[str, Any]:
    """Let the alias stand for the actor."""
    actor_id = actor if isinstance(actor, str) else actor["id"]
    made = await owner.post("/v3/actors/aliases", data={"alias": alias, "actor_id": actor_id}, expect=201)
    return dict(made.result)


# --- making, showing, changing, removing ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["json", "data"])
async def test_an_alias_is_made_and_shown(alice: Client, served: Serving, kind: str) -> None:
    actor = await alice.register()
    made = await alice.post(
        "/v3/actors/aliases", expect=201, **{kind: {"alias": "my.counter-1", "actor_id": actor["id"]}}
    )
    assert made.message == "Actor alias created successfully."
    base = f"{served.url}/v3"
    assert made.result == {
        "alias": "my.counter-1",
        "actor_id": actor["id"],
        "owner": "alice",
        "_links": {
            "self": f"{base}/actors/aliases/my.counter-1",
            "owner": f"{base}/oauth2/profiles/alice",
            "actor": f"{base}/actors/{actor['id']}",
        },
    }
    shown = await alice.get("/v3/actors/aliases/my.counter-1", expect=200)
    assert (shown.message, shown.result) == ("Alias retrieved successfully.", made.result)
    camel = (await alice.get("/actors/v2/aliases/my.counter-1", expect=200)).result
    assert (camel["actorId"], camel["_links"]["self"]) == (
        actor["id"],
        f"{served.url}/actors/v2/aliases/my.counter-1",
    )


async def test_everybody_in_the_tenant_sees_all_names(alice: Client, bob: Client, zoe: Client) -> None:
    actor = await alice.register()
    for alias in ("one", "two"):
        await name(alice, alias, actor)
    listed = await bob.get("/v3/actors/aliases", expect=200)
    assert listed.message == "Aliases retrieved successfully."
    assert [each["alias"] for each in listed.result] == ["one", "two"]
    assert (await zoe.get("/v3/actors/aliases", expect=200)).result == []
    await zoe.get("/v3/actors/aliases/one", expect=404)
    own = await zoe.register()
    await name(zoe, "one", own)


async def test_a_name_is_given_once(alice: Client, bob: Client, served: Serving) -> None:
    first, second = await alice.register(), await bob.register()
    await name(alice, "one", first)
    for client, actor in ((alice, first), (bob, second)):
        taken = await client.post("/v3/actors/aliases", json={"alias": "one", "actorId": actor["id"]}, expect=400)
        assert taken.message == "Alias one already exists."
    answers = await asyncio.gather(
        *(
            client.post("/v3/actors/aliases", json={"alias": "two", "actor_id": actor["id"]})
            for client, actor in ((alice, first), (bob, second)) * 5
        )
    )
    assert sorted(answer.status for answer in answers) == [201] + [400] * 9


async def test_an_alias_is_given_to_another_actor(alice: Client) -> None:
    first, second = await alice.register(), await alice.register()
    await name(alice, "one", first)
    changed = await alice.put("/v3/actors/aliases/one", json={"actor_id": second["id"]}, expect=200)
    assert changed.message == "Actor alias updated successfully."
    assert changed.result["actor_id"] == second["id"]
    assert (await alice.get("/v3/actors/one", expect=200)).result["id"] == second["id"]
    refused = await alice.put("/v3/actors/aliases/one", json={"alias": "one", "actor_id": first["id"]}, expect=400)
    assert refused.message.startswith("Invalid alias update description. The alias itself cannot be updated")
    missing = await alice.put("/v3/actors/aliases/one", json={}, expect=400)
    assert "actor_id" in missing.message


async def test_a_removed_alias_is_gone_with_its_permissions(alice: Client, bob: Client) -> None:
    actor = await alice.register()
    await name(alice, "one", actor)
    await alice.share("aliases/one", "bob", "UPDATE")
    removed = await bob.delete("/v3/actors/aliases/one", expect=200)
    assert (removed.message, removed.result) == ("Alias one deleted successfully.", None)
    gone = await alice.get("/v3/actors/aliases/one", expect=404)
    assert (gone.message, gone.result) == ("No alias found: one.", None)
    assert (await alice.get("/v3/actors/one", expect=404)).message == "Actor with identifier 'one' not found"
    await alice.get(f"/v3/actors/{actor['id']}", expect=200)
    await name(alice, "one", actor)
    await bob.get("/v3/actors/aliases/one", expect=403)


async def test_aliases_go_with_their_actor(alice: Client) -> None:
    gone, stays = await alice.register(), await alice.register()
    for alias, actor in (("one", gone), ("two", gone), ("three", stays)):
        await name(alice, alias, actor)
    await alice.delete("/v3/actors/two", expect=200)
    assert [each["alias"] for each in (await alice.get("/v3/actors/aliases", expect=200)).result] == ["three"]
    await alice.get("/v3/actors/one", expect=404)


@pytest.mark.parametrize(
    ("alias", "named"),
    [
        (HASHID, "Invalid alias description. Alias cannot be an Abaco hash id."),
        ("nonces", "nonces is a reserved word."),
        ("search", "search is a reserved word."),
        ("..", ".. is a reserved word."),
        ("a:b", "':' is a forbidden character."),
        ("a b", "' ' is a forbidden character."),
        ("a/b", "'/' is a forbidden character."),
        ("a\\b", "is a forbidden character."),
        ("a\0b", "is a forbidden character."),
        ("a\u2028b", "is a forbidden character."),
        ("a" * 256, "longer than 255"),
        ("", "'alias'"),
        (None, "'alias'"),
        (7, "'alias'"),
        (["a"], "'alias'"),
    ],
)
async def test_what_no_alias_may_be_called(alice: Client, alias: Any, named: str) -> None:
    actor = await alice.register()
    refused = await alice.post("/v3/actors/aliases", json={"alias": alias, "actor_id": actor["id"]}, expect=400)
    assert named in refused.message
    assert (await alice.get("/v3/actors/aliases", expect=200)).result == []


@pytest.mark.parametrize("alias", ["naïve", "日本", "100%", "a{b}", "-", "a" * 255])
async def test_unusual_names_work(alice: Client, alias: str) -> None:
    actor = await alice.register()
    made = await name(alice, alias, actor)
    own = "/v3/" + made["_links"]["self"].partition("/v3/")[2]
    assert (await alice.get(own, expect=200)).result["alias"] == alias
    shown = await alice.get(own.replace("/aliases/", "/"), expect=200)
    assert shown.result["id"] == actor["id"]


def test_every_word_of_an_address_is_reserved() -> None:
    words = {
        part
        for path in (*(route.path for route in actor_routes(Mock())), *(dialect.prefix for dialect in DIALECTS))
        for part in path.split("/")
        if part and not part.startswith("{")
    }
    assert words - {"actors"} <= RESERVED


@pytest.mark.parametrize("actor_id", [HASHID, "nobody", "a b", None, ""])
async def test_an_alias_needs_an_actor(alice: Client, actor_id: str | None) -> None:
    refused = await alice.post("/v3/actors/aliases", json={"alias": "one", "actor_id": actor_id})
    assert refused.status == (404 if actor_id else 400)
    assert (actor_id or "actor_id") in refused.message


# --- who may ----------------------------------------------------------------------------------------------------------


async def test_an_alias_needs_update_on_the_actor(alice: Client, bob: Client, root: Client, zoe: Client) -> None:
    actor = await alice.register()
    await alice.share(actor["id"], "bob", "EXECUTE")
    body = {"alias": "one", "actor_id": actor["id"]}
    refused = await bob.post("/v3/actors/aliases", json=body, expect=403)
    assert refused.message == f"Not authorized -- you do not have access to {actor['id']}."
    await zoe.post("/v3/actors/aliases", json=body, expect=404)
    assert (await root.post("/v3/actors/aliases", json=body, expect=201)).result["owner"] == "root"


async def test_levels_on_an_alias_open_the_alias_only(alice: Client, bob: Client) -> None:
    actor, own = await alice.register(), await bob.register()
    await name(alice, "one", actor)
    denied = "Not authorized -- you do not have access to this alias."
    assert (await bob.get("/v3/actors/aliases/one", expect=403)).message == denied
    for level, reading, changing in (("READ", 200, 403), ("EXECUTE", 200, 403), ("UPDATE", 200, 200)):
        await alice.share("aliases/one", "bob", level)
        await bob.get("/v3/actors/aliases/one", expect=reading)
        await bob.get("/v3/actors/aliases/one/permissions", expect=reading)
        grant = {"user": "eve", "level": "READ"}
        await bob.post("/v3/actors/aliases/one/permissions", data=grant, expect=changing)
        assert (await bob.get("/v3/actors/one", expect=403)).message.endswith("you do not have access to this actor.")
    refused = await bob.put("/v3/actors/aliases/one", json={"actor_id": actor["id"]}, expect=403)
    assert "you do not have UPDATE access to the actor you want to associate with this alias" in refused.message
    await bob.put("/v3/actors/aliases/one", json={"actor_id": own["id"]}, expect=200)
    # Alice keeps the alias, and has no access to what it stands for now.
    await alice.get("/v3/actors/aliases/one", expect=200)
    await alice.get("/v3/actors/one", expect=403)


async def test_an_aliass_permissions_are_listed_and_granted(alice: Client) -> None:
    actor = await alice.register()
    await name(alice, "one", actor)
    listed = await alice.get("/v3/actors/aliases/one/permissions", expect=200)
    assert (listed.message, listed.result) == ("Permissions retrieved successfully.", {"alice": "UPDATE"})
    granted = await alice.post(
        "/v3/actors/aliases/one/permissions", data={"user": "ABACO_WORLD", "level": "READ"}, expect=200
    )
    assert granted.result == {"ABACO_WORLD": "READ", "alice": "UPDATE"}
    assert (await alice.get(f"/v3/actors/{actor['id']}/permissions", expect=200)).result == {"alice": "UPDATE"}


async def test_an_administrator_needs_no_level(alice: Client, root: Client) -> None:
    first, second = await alice.register(), await alice.register()
    await name(alice, "one", first)
    await root.get("/v3/actors/aliases/one", expect=200)
    await root.put("/v3/actors/aliases/one", json={"actor_id": second["id"]}, expect=200)
    await root.delete("/v3/actors/aliases/one", expect=200)


# --- in place of the id -----------------------------------------------------------------------------------------------


async def test_an_alias_stands_for_the_id_in_every_address(alice: Client, served: Serving) -> None:
    actor = await alice.register(stateless=False)
    await name(alice, "one", actor)
    container = await served.run(alice, actor["id"], "/v3/actors/one//messages", data={"message": "1"})
    assert container.spec.environment["_abaco_actor_id"] == actor["id"]
    for tail in ("", "/messages", "/executions", "/permissions", "/state"):
        by_name, by_id = [
            (await alice.get(f"/v3/actors/{each}{tail}", expect=200)).result for each in ("one", actor["id"])
        ]
        assert by_name == by_id
    worker = (await alice.get("/v3/actors/one/workers", expect=200)).result[0]["id"]
    await alice.get(f"/v3/actors/{actor['id']}/workers/{worker}", expect=200)
    changed = await alice.put("/v3/actors/one", json={"image": "image", "description": "new"}, expect=200)
    assert changed.result["_links"]["self"].endswith(actor["id"])
    await alice.post("/v3/actors/one/state", json={"n": 1}, expect=200)
    execution = (await alice.get("/v3/actors/one/executions", expect=200)).result["executions"][0]["id"]
    log = (await alice.get(f"/v3/actors/one/executions/{execution}/logs", expect=200)).result
    assert log["_links"]["execution"].endswith(f"/v3/actors/{actor['id']}/executions/{execution}")


# --- links ------------------------------------------------------------------------------------------------------------


async def test_a_link_may_be_an_alias(alice: Client, bob: Client) -> None:
    actor = await alice.register()
    await name(alice, "one", actor)
    assert (await alice.register(link="one"))["link"] == "one"
    unknown = await alice.post("/v3/actors", json={"image": "image", "link": "two"}, expect=400)
    assert unknown.message.startswith("Invalid link parameter; unable to retrieve linked actor data.")
    denied = await bob.post("/v3/actors", json={"image": "image", "link": "one"}, expect=400)
    assert "for which you have EXECUTE permission" in denied.message


async def test_no_circle_is_closed_through_aliases(alice: Client) -> None:
    last = await alice.register()
    await name(alice, "last", last)
    middle = await alice.register(link="last")
    await name(alice, "middle", middle)
    first = await alice.register(link="middle")
    await name(alice, "first", first)
    for link in ("first", first["id"], "middle", "last"):
        refused = await alice.put("/v3/actors/last", json={"image": "image", "link": link}, expect=400)
        assert ("cycle of linked actors" in refused.message) != (link == "last")
    other = await alice.register()
    await alice.put("/v3/actors/last", json={"image": "image", "link": other["id"]}, expect=200)
    for target in ("middle", "first"):
        refused = await alice.put("/v3/actors/aliases/last", json={"actor_id": target}, expect=400)
        assert "this update would result in a cycle of linked actors" in refused.message
    assert (await alice.get("/v3/actors/aliases/last", expect=200)).result["actor_id"] == last["id"]
    await alice.put("/v3/actors/aliases/last", json={"actor_id": other["id"]}, expect=200)


async def test_a_new_alias_closes_no_circle_of_links_that_led_nowhere(alice: Client) -> None:
    target = await alice.register()
    await name(alice, "one", target)
    linking = await alice.register(link="one")
    await alice.delete("/v3/actors/aliases/one", expect=200)
    refused = await alice.post("/v3/actors/aliases", json={"alias": "one", "actor_id": linking["id"]}, expect=400)
    assert "cycle of linked actors" in refused.message
    await name(alice, "one", target)
