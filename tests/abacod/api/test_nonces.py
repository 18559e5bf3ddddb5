from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from abacod.ids import TenantId, Username
from abacod.services.tokens import SigningKey
from abacod.store import users
from tests.abacod.api.serving import Client, Serving, serving

MISSING = "Nonce does not exist."
TOO_WEAK = "Nonce does not have sufficient permissions level."
USED_UP = "No remaining uses left for this nonce."


async def nonce(client: Client, of: str, **fields: Any) -> dict[str, Any]:
    """A new nonce of what `of` is the path of, as shown."""
    return dict((await client.post(f"/v3/actors/{of}/nonces", json=fields, expect=201)).result)


async def named(client: Client, alias: str) -> dict[str, Any]:
    """A new actor with an alias."""
    actor = await client.register()
    await client.post("/v3/actors/aliases", json={"alias": alias, "actor_id": actor["id"]}, expect=201)
    return actor


def by(key: dict[str, Any] | str) -> str:
    """The query that stands for a token."""
    return f"?x-nonce={key if isinstance(key, str) else key['id']}"


# --- making and showing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{"data": "maxUses=5&level=READ"}, {"json": {"max_uses": "5", "level": "READ"}}])
async def test_a_nonce_is_made_and_shown(alice: Client, served: Serving, body: dict[str, Any]) -> None:
    actor = await alice.register()
    made = await alice.post(f"/v3/actors/{actor['id']}/nonces", expect=201, **body)
    assert made.message == "Actor nonce created successfully."
    shown = dict(made.result)
    assert re.fullmatch(r"dev_[A-Za-z0-9]{20,}", shown["id"])
    assert shown.pop("create_time").endswith("Z")
    own = f"{served.url}/v3/actors/{actor['id']}"
    assert shown == {
        "id": made.result["id"],
        "actor_id": actor["id"],
        "api_server": served.url,
        "owner": "alice",
        "level": "READ",
        "max_uses": 5,
        "current_uses": 0,
        "remaining_uses": 5,
        "last_use_time": "None",
        "description": "",
        "roles": ["Internal/everyone"],
        "_links": {
            "self": f"{own}/nonces/{made.result['id']}",
            "owner": f"{served.url}/v3/oauth2/profiles/alice",
            "actor": own,
        },
    }
    one = await alice.get(f"/v3/actors/{actor['id']}/nonces/{made.result['id']}", expect=200)
    assert (one.message, one.result) == ("Actor nonce retrieved successfully.", made.result)
    listed = await alice.get(f"/v3/actors/{actor['id']}/nonces", expect=200)
    assert (listed.message, listed.result) == ("Actor nonces retrieved successfully.", [made.result])
    camel = (await alice.get(f"/actors/v2/{actor['id']}/nonces", expect=200)).result[0]
    assert {"maxUses", "currentUses", "remainingUses", "lastUseTime", "createTime", "actorId"} <= set(camel)


async def test_an_empty_request_makes_an_unlimited_nonce_for_messages(alice: Client) -> None:
    actor = await alice.register()
    made = (await alice.post(f"/v3/actors/{actor['id']}/nonces", data=b"", expect=201)).result
    assert (made["level"], made["max_uses"], made["remaining_uses"]) == ("EXECUTE", -1, -1)


async def test_an_alias_has_nonces_of_its_own(alice: Client, served: Serving) -> None:
    actor = await named(alice, "one")
    made = await alice.post("/v3/actors/aliases/one/nonces", data={"maxUses": "3"}, expect=201)
    assert made.message == "Alias nonce created successfully."
    assert (made.result["actor_id"], made.result["alias"], made.result["max_uses"]) == (None, "one", 3)
    assert made.result["_links"] == {
        "self": f"{served.url}/v3/actors/aliases/one/nonces/{made.result['id']}",
        "owner": f"{served.url}/v3/oauth2/profiles/alice",
        "actor": f"{served.url}/v3/actors/{actor['id']}",
    }
    listed = await alice.get("/v3/actors/aliases/one/nonces", expect=200)
    assert (listed.message, listed.result) == ("Alias nonces retrieved successfully.", [made.result])
    path = f"/v3/actors/aliases/one/nonces/{made.result['id']}"
    shown = await alice.get(path, expect=200)
    assert (shown.message, shown.result) == ("Alias nonce retrieved successfully.", made.result)
    assert (await alice.get(f"/v3/actors/{actor['id']}/nonces", expect=200)).result == []
    assert (await alice.delete(path, expect=200)).message == "Alias nonce deleted successfully."
    await alice.get(path, expect=404)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"level": "ALL"}, "The level attribute must be one of: NONE, READ, EXECUTE, UPDATE."),
        ({"level": "read"}, "Invalid nonce description. The level attribute must be one of"),
        ({"level": 2}, "'level'"),
        ({"max_uses": 0}, "The max uses parameter must be a positive integer or -1 (to denote unlimited uses)."),
        ({"max_uses": -2}, "The max uses parameter must be a positive integer or -1"),
        ({"max_uses": "many"}, "'max_uses'"),
        ({"max_uses": 2.5}, "'max_uses'"),
        ({"max_uses": True}, "'max_uses'"),
        ({"max_uses": 10**30}, "'max_uses'"),
        ({"description": ["x"]}, "'description'"),
    ],
)
async def test_a_bad_field_is_named(alice: Client, fields: dict[str, Any], problem: str) -> None:
    actor = await alice.register()
    refused = await alice.post(f"/v3/actors/{actor['id']}/nonces", json=fields, expect=400)
    assert problem in refused.message
    assert (await alice.get(f"/v3/actors/{actor['id']}/nonces", expect=200)).result == []


async def test_no_nonce_of_an_alias_may_update(alice: Client) -> None:
    await named(alice, "one")
    for level in ("UPDATE", "WRITE"):
        refused = await alice.post("/v3/actors/aliases/one/nonces", json={"level": level}, expect=400)
        assert refused.message.endswith("must be one of: NONE, READ, EXECUTE.")
    for level in ("NONE", "READ", "EXECUTE"):
        assert (await nonce(alice, "aliases/one", level=level))["level"] == level


async def test_an_unknown_nonce(alice: Client) -> None:
    actor, other = await alice.register(), await alice.register()
    made = await nonce(alice, other["id"])
    for nonce_id in ("dev_nothing", made["id"]):
        for method in ("GET", "DELETE"):
            refused = await alice.send(method, f"/v3/actors/{actor['id']}/nonces/{nonce_id}", expect=404)
            assert refused.message == "Nonce not found."
    await alice.get(f"/v3/actors/{other['id']}/nonces/{made['id']}", expect=200)


async def test_nonces_of_an_alias_need_update_on_alias_and_actor(alice: Client, bob: Client) -> None:
    actor = await named(alice, "one")
    for path, other in ((actor["id"], "aliases/one"), ("aliases/one", actor["id"])):
        await alice.share(path, "bob", "UPDATE")
        await alice.share(other, "bob", "EXECUTE")
        for method in ("GET", "POST"):
            refused = await bob.send(method, "/v3/actors/aliases/one/nonces", expect=403)
            assert "you do not have access to this alias and actor" in refused.message
    await alice.share(actor["id"], "bob", "UPDATE")
    assert (await nonce(bob, "aliases/one"))["owner"] == "bob"


async def test_a_nonce_with_more_roles_is_not_shown(alice: Client, pam: Client, root: Client) -> None:
    actor = await alice.register()
    await alice.share(actor["id"], "pam", "UPDATE")
    made = {client: await nonce(client, actor["id"], level="UPDATE") for client in (alice, pam, root)}
    assert made[pam]["roles"] == ["Internal/everyone", "abaco_privileged"]
    for client, seen in ((alice, [alice]), (pam, [alice, pam]), (root, [alice, pam, root])):
        listed = (await client.get(f"/v3/actors/{actor['id']}/nonces", expect=200)).result
        assert [each["id"] for each in listed] == [made[each]["id"] for each in seen]
    await alice.get(f"/v3/actors/{actor['id']}/nonces/{made[root]['id']}", expect=404)


# --- using ------------------------------------------------------------------------------------------------------------


async def test_each_level_opens_what_it_says(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    path, reach = f"/v3/actors/{actor['id']}", {"NONE": 0, "READ": 1, "EXECUTE": 2, "UPDATE": 3}
    for level, height in reach.items():
        key = by(await nonce(alice, actor["id"], level=level))
        for tail in ("", "/messages", "/executions", "/permissions", "/state", "/workers"):
            await served.nobody.get(path + tail + key, expect=200 if height >= 1 else 403)
        sent = await served.nobody.post(f"{path}/messages{key}", data={"message": "1"})
        assert sent.status == (200 if height >= 2 else 403)
        changed = await served.nobody.put(path + key, json={"image": "image"})
        assert changed.status == (200 if height >= 3 else 403)
        listed = await served.nobody.get(f"{path}/nonces{key}")
        assert listed.status == (200 if height >= 3 else 403)
        if height < 3:
            assert {changed.message, listed.message} == {TOO_WEAK}


async def test_uses_are_counted(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    limited, unlimited = [await nonce(alice, actor["id"], level="READ", max_uses=uses) for uses in (3, -1)]
    for key in (limited, unlimited):
        for _ in range(3):
            await served.nobody.get(f"/v3/actors/{actor['id']}{by(key)}", expect=200)
        # A level that is too low, and an address that takes no nonces, cost nothing.
        await served.nobody.delete(f"/v3/actors/{actor['id']}{by(key)}", expect=403)
        await served.nobody.get(f"/v3/actors{by(key)}", expect=401)
    refused = await served.nobody.get(f"/v3/actors/{actor['id']}{by(limited)}", expect=401)
    assert refused.message == USED_UP
    shown = (await alice.get(f"/v3/actors/{actor['id']}/nonces", expect=200)).result
    assert [(each["current_uses"], each["remaining_uses"]) for each in shown] == [(3, 0), (3, -1)]
    assert all(each["last_use_time"].endswith("Z") for each in shown)


async def test_a_use_counts_even_if_the_request_fails_then(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    key = await nonce(alice, actor["id"], max_uses=2)
    await served.nobody.post(f"/v3/actors/{actor['id']}/messages{by(key)}", data=b"", expect=400)
    await served.nobody.get(f"/v3/actors/{actor['id']}/executions/nothing{by(key)}", expect=404)
    await served.nobody.get(f"/v3/actors/{actor['id']}{by(key)}", expect=401)


@pytest.mark.parametrize("uses", [5, -1])
async def test_many_at_once_use_exactly_what_there_is(alice: Client, served: Serving, uses: int) -> None:
    actor = await alice.register()
    key = await nonce(alice, actor["id"], level="READ", max_uses=uses)
    answers = await asyncio.gather(
        *(served.nobody.get(f"/v3/actors/{actor['id']}/messages{by(key)}") for _ in range(200))
    )
    opened = [answer for answer in answers if answer.status == 200]
    assert len(opened) == (uses if uses > 0 else 200)
    assert {answer.message for answer in answers if answer.status != 200} <= {USED_UP}
    shown = (await alice.get(f"/v3/actors/{actor['id']}/nonces/{key['id']}", expect=200)).result
    assert shown["current_uses"] == len(opened)


async def test_exactly_as_many_messages_get_in_as_there_are_uses(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    key = await nonce(alice, actor["id"], max_uses=5)
    path = f"/v3/actors/{actor['id']}/messages{by(key)}"
    answers = await asyncio.gather(*(served.nobody.post(path, data={"message": "1"}) for _ in range(200)))
    assert sorted(answer.status for answer in answers) == [200] * 5 + [401] * 195
    total = (await alice.get(f"/v3/actors/{actor['id']}/executions", expect=200)).result["total_executions"]
    assert total == 5


async def test_a_message_by_nonce_runs_as_who_made_it_and_never_carries_it(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    key = await nonce(alice, actor["id"])
    for prefix in ("/v3/actors", "/actors", "/actors/v2"):
        path = f"{prefix}/{actor['id']}/messages{by(key)}&colour=red"
        container = await served.run(alice, actor["id"], path, sender=served.nobody, data={"message": "1"})
        variables = container.spec.environment
        assert (variables["_abaco_username"], variables["colour"], variables["MSG"]) == ("alice", "red", "1")
        assert not [name for name, value in variables.items() if key["id"] in value or name == "x-nonce"]


async def test_a_nonce_counts_only_without_a_token(alice: Client, bob: Client, served: Serving) -> None:
    actor = await alice.register()
    key = await nonce(alice, actor["id"], max_uses=1)
    path = f"/v3/actors/{actor['id']}{by(key)}"
    for headers in ({"X-Tapis-Token": "bad"}, {"X-Tapis-Token": ""}, {"Authorization": "Bearer bad"}):
        await served.nobody.get(path, headers=headers, expect=401)
    await bob.get(path, expect=403)
    await alice.get(path, expect=200)
    await served.nobody.get(path, headers={"Authorization": "Basic YTpi"}, expect=200)
    await served.nobody.get(path, expect=401)


async def test_an_actors_nonce_needs_its_id_and_an_aliass_nonce_the_alias(alice: Client, served: Serving) -> None:
    actor, other = await named(alice, "one"), await named(alice, "two")
    of_actor, of_alias = await nonce(alice, actor["id"]), await nonce(alice, "aliases/one")
    get = served.nobody.get
    await get(f"/v3/actors/{actor['id']}{by(of_actor)}", expect=200)
    shown = await get(f"/v3/actors/one{by(of_alias)}", expect=200)
    assert shown.result["id"] == actor["id"]
    elsewhere = [
        f"one{by(of_actor)}",
        f"{actor['id']}{by(of_alias)}",
        f"two{by(of_alias)}",
        f"{other['id']}{by(of_actor)}",
        f"{other['id']}{by('dev_JWpkNmBwKewYo')}",
        f"JWpkNmBwKewYo{by(of_actor)}",
        f"nobody{by(of_alias)}",
        f"one{by('')}",
        f"one{by('%F0%9F%92%A5')}",
    ]
    for path in elsewhere:
        assert (await get(f"/v3/actors/{path}", expect=401)).message == MISSING
    for path in ("", "aliases", "aliases/one", "aliases/one/nonces", "aliases/one/permissions", "utilization", "admin"):
        for key in (of_actor, of_alias):
            refused = await get(f"/v3/actors/{path}{by(key)}", expect=401)
            assert refused.message == "A nonce opens only the addresses of its actor; send a token here."
    await get(f"/v3/oauth2/userinfo{by(of_actor)}", expect=401)


async def test_a_nonce_of_another_tenant_is_none(alice: Client, zoe: Client, served: Serving) -> None:
    for client in (alice, zoe):
        await named(client, "one")
    key = await nonce(alice, "aliases/one")
    owners = (await served.nobody.get(f"/v3/actors/one{by(key)}", expect=200)).result["owner"]
    assert owners == "alice"


async def test_the_maker_must_still_hold_the_permission(alice: Client, bob: Client, served: Serving) -> None:
    actor = await alice.register()
    await alice.share(actor["id"], "bob", "UPDATE")
    key = await nonce(bob, actor["id"], max_uses=1)
    await alice.share(actor["id"], "bob", "READ")
    path = f"/v3/actors/{actor['id']}/messages{by(key)}"
    refused = await served.nobody.post(path, data={"message": "1"}, expect=403)
    assert refused.message.endswith("you do not have access to this actor.")
    await alice.share(actor["id"], "bob", "EXECUTE")
    await served.nobody.post(path, data={"message": "1"}, expect=200)


async def test_a_nonce_of_an_alias_follows_it_as_far_as_its_maker_may(
    alice: Client, bob: Client, served: Serving
) -> None:
    await named(alice, "one")
    second, foreign = await alice.register(), await bob.register()
    key = await nonce(alice, "aliases/one", level="READ")
    await alice.put("/v3/actors/aliases/one", json={"actor_id": second["id"]}, expect=200)
    assert (await served.nobody.get(f"/v3/actors/one{by(key)}", expect=200)).result["id"] == second["id"]
    await alice.share("aliases/one", "bob", "UPDATE")
    await bob.put("/v3/actors/aliases/one", json={"actor_id": foreign["id"]}, expect=200)
    await served.nobody.get(f"/v3/actors/one{by(key)}", expect=403)


async def test_the_roles_of_the_maker_apply(alice: Client, root: Client, pam: Client, served: Serving) -> None:
    actor = await alice.register()
    admins = await nonce(root, actor["id"], level="UPDATE")
    await served.nobody.post(f"/v3/actors/{actor['id']}/workers{by(admins)}", data={"num": "1"}, expect=200)
    plain = await nonce(alice, actor["id"], level="UPDATE")
    refused = await served.nobody.post(f"/v3/actors/{actor['id']}/workers{by(plain)}", data={"num": "1"}, expect=403)
    assert "only admins are authorized to update workers" in refused.message
    own = await pam.register()
    trusted = await nonce(pam, own["id"], level="UPDATE")
    body = {"image": "image", "mem_limit": "1g"}
    await served.nobody.put(f"/v3/actors/{own['id']}{by(trusted)}", json=body, expect=200)
    await served.nobody.put(f"/v3/actors/{actor['id']}{by(plain)}", json=body, expect=403)


async def test_a_role_that_was_taken_away_applies_no_more(alice: Client, root: Client, served: Serving) -> None:
    actor = await alice.register()
    key = await nonce(root, actor["id"], level="UPDATE", max_uses=2)
    path = f"/v3/actors/{actor['id']}"
    await served.nobody.get(path + by(key), expect=200)
    await served.database.write(lambda tx: users.set_roles(tx, TenantId("dev"), Username("root"), []))
    await served.nobody.get(path + by(key), expect=403)
    refused = await served.nobody.post(f"{path}/workers{by(key)}", data={"num": "1"}, expect=403)
    assert "only admins are authorized to update workers" in refused.message
    await alice.share(actor["id"], "root", "READ")
    await served.nobody.get(path + by(key), expect=200)


# --- going ------------------------------------------------------------------------------------------------------------


async def test_a_removed_nonce_opens_nothing(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    key, stays = await nonce(alice, actor["id"]), await nonce(alice, actor["id"])
    removed = await alice.delete(f"/v3/actors/{actor['id']}/nonces/{key['id']}", expect=200)
    assert (removed.message, removed.result) == ("Actor nonce deleted successfully.", None)
    assert (await served.nobody.get(f"/v3/actors/{actor['id']}{by(key)}", expect=401)).message == MISSING
    await served.nobody.get(f"/v3/actors/{actor['id']}{by(stays)}", expect=200)


async def test_nonces_go_with_what_they_open(alice: Client, served: Serving) -> None:
    actor = await named(alice, "one")
    await nonce(alice, actor["id"])
    of_alias = await nonce(alice, "aliases/one")
    await alice.delete("/v3/actors/aliases/one", expect=200)
    await alice.post("/v3/actors/aliases", json={"alias": "one", "actor_id": actor["id"]}, expect=201)
    await served.nobody.get(f"/v3/actors/one{by(of_alias)}", expect=401)
    await nonce(alice, "aliases/one")
    assert (await served.contents())["nonces"] == 2
    await alice.delete("/v3/actors/one", expect=200)
    left = await served.contents()
    assert (left["nonces"], left["aliases"], left["permissions"]) == (0, 0, 0)


async def test_nonces_go_with_the_account_of_their_maker(alice: Client, bob: Client, served: Serving) -> None:
    actor = await alice.register()
    await alice.share(actor["id"], "bob", "UPDATE")
    key, stays = await nonce(bob, actor["id"]), await nonce(alice, actor["id"])
    await served.database.write(lambda tx: users.delete(tx, TenantId("dev"), Username("bob")))
    await served.nobody.get(f"/v3/actors/{actor['id']}{by(key)}", expect=401)
    await served.nobody.get(f"/v3/actors/{actor['id']}{by(stays)}", expect=200)


async def test_the_database_holds_no_nonce_that_can_be_used(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    key = (await nonce(alice, actor["id"]))["id"]
    for path in served.settings.data_dir.glob("abacod.db*"):
        content = path.read_bytes()
        assert key.encode() not in content
        assert key.removeprefix("dev_").encode() not in content


async def test_a_nonce_works_after_a_restart(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key) as served:
        alice = await served.user("alice")
        actor = await alice.register()
        key = await nonce(alice, actor["id"], max_uses=2)
        await served.nobody.get(f"/v3/actors/{actor['id']}{by(key)}", expect=200)
    async with serving(tmp_path, signing_key) as served:
        again = Client(served.session, served.url, alice.token)
        shown = (await again.get(f"/v3/actors/{actor['id']}/nonces", expect=200)).result
        assert [(each["id"], each["remaining_uses"]) for each in shown] == [(key["id"], 1)]
        await served.nobody.get(f"/v3/actors/{actor['id']}{by(key)}", expect=200)
        await served.nobody.get(f"/v3/actors/{actor['id']}{by(key)}", expect=401)


async def test_old_clients_get_400(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key, compat="abaco") as served:
        alice = await served.user("alice")
        actor = await alice.register()
        path = f"/v3/actors/{actor['id']}"
        key = (await alice.post(f"{path}/nonces", json={"max_uses": 1}, expect=200)).result
        assert (await served.nobody.put(path + by(key), json={"image": "image"}, expect=400)).message == TOO_WEAK
        await served.nobody.get(path + by(key), expect=200)
        assert (await served.nobody.get(path + by(key), expect=400)).message == USED_UP
        assert (await served.nobody.get(path + by("dev_x"), expect=400)).message == MISSING
        assert (await alice.get(f"{path}/nonces/dev_x", expect=400)).message == "Nonce not found."
        await served.nobody.get(path, expect=401)


async def test_the_log_holds_no_nonce_that_can_be_used(
    alice: Client, served: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    actor = await alice.register()
    made = await nonce(alice, actor["id"])
    await served.nobody.get(f"/v3/actors/{actor['id']}/nonces/{made['id']}", expect=401)
    await served.nobody.get(f"/v3/actors/{actor['id']}/nonces//{made['id']}{by(made)}", expect=403)
    written = capsys.readouterr()
    assert written.out.count("request_refused") == 2
    assert made["id"] not in written.out + written.err
