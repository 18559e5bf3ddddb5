from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from abacod.ids import ActorId, TenantId, Username, new_actor_id
from abacod.models.alias import Alias
from abacod.models.permission import Subject
from abacod.models.user import Level
from abacod.services.configs import MOST_ROOM
from abacod.services.tokens import SigningKey
from abacod.store import aliases, permissions
from tests.abacod.api.serving import DEV, Client, Serving, serving

CONFIGS = "/v3/actors/configs"
SECRET = "correct-horse-battery-staple"
SHOWN = "<secret>"


def config(*actors: str, **changes: Any) -> dict[str, Any]:
    return {"name": "colour", "value": "blue", "is_secret": False, "actors": ",".join(actors), **changes}


async def alias(served: Serving, name: str, actor_id: str, *owners: str, tenant: TenantId = DEV) -> None:
    """A new alias, on which the owners have UPDATE."""
    new = Alias(tenant, name, ActorId(actor_id), Username(owners[0]))
    await served.database.write(lambda tx: aliases.insert(tx, new))
    for owner in owners[1:]:
        subject = Subject.alias(tenant, name)
        await served.database.write(lambda tx: permissions.grant(tx, subject, Username(owner), Level.UPDATE))  # noqa: B023


async def found_in_container(served: Serving, client: Client, actor_id: str) -> dict[str, str]:
    """What an execution finds in `_actor_configs`."""
    container = await served.run(client, actor_id, data={"message": "x"})
    return dict(json.loads(container.spec.environment["_actor_configs"]))


# --- making, showing, changing, removing -----------------------------------------------------------------------------


async def test_a_config_reaches_exactly_the_actors_it_names(served: Serving, alice: Client) -> None:
    named, other = await alice.register(), await alice.register()
    created = await alice.post(CONFIGS, json=config(named["id"]), expect=200)
    assert created.message == "Actor config created successfully."
    assert created.result == {"name": "colour", "value": "blue", "is_secret": False, "actors": named["id"]}
    assert await found_in_container(served, alice, named["id"]) == {"colour": "blue"}
    assert await found_in_container(served, alice, other["id"]) == {}


async def test_a_config_is_shown_changed_and_removed(served: Serving, alice: Client) -> None:
    first, second = await alice.register(), await alice.register()
    await alice.post(CONFIGS, json=config(first["id"]), expect=200)
    shown = await alice.get(f"{CONFIGS}/colour", expect=200)
    assert (shown.message, shown.result["value"]) == ("Config retrieved successfully.", "blue")
    changed = await alice.put(f"{CONFIGS}/colour", json=config(f" {second['id']}", value="red"), expect=200)
    assert changed.message == "Actor config updated successfully."
    assert changed.result == {"name": "colour", "value": "red", "is_secret": False, "actors": f" {second['id']}"}
    assert await found_in_container(served, alice, first["id"]) == {}
    assert await found_in_container(served, alice, second["id"]) == {"colour": "red"}
    listed = await alice.get(CONFIGS, expect=200)
    assert (listed.message, listed.result) == ("Actor Configs retrieved successfully.", [changed.result])
    deleted = await alice.delete(f"{CONFIGS}/colour", expect=200)
    assert (deleted.message, deleted.result) == ("Actor config colour deleted successfully.", None)
    assert (await alice.get(f"{CONFIGS}/colour", expect=404)).message == "No config found: colour."
    assert await found_in_container(served, alice, second["id"]) == {}
    # and nothing of it is inherited by a later one
    await alice.post(CONFIGS, json=config(first["id"]), expect=200)
    assert (await alice.get(f"{CONFIGS}/colour/permissions", expect=200)).result == {"alice": "UPDATE"}


async def test_both_spellings_and_forms_are_taken(alice: Client) -> None:
    actor = await alice.register()
    fields = {"name": "a", "value": "x", "isSecret": "false", "actors": actor["id"]}
    shown = (await alice.post("/actors/v2/configs", json=fields, expect=200)).result
    assert shown == {"name": "a", "value": "x", "isSecret": False, "actors": actor["id"]}
    await alice.post(CONFIGS, data={**fields, "name": "b", "value": ""}, expect=200)
    assert [each["name"] for each in (await alice.get(CONFIGS, expect=200)).result] == ["a", "b"]


async def test_names_are_taken_by_tenant(alice: Client, zoe: Client) -> None:
    actor, elsewhere = await alice.register(), await zoe.register()
    await alice.post(CONFIGS, json=config(actor["id"]), expect=200)
    again = await alice.post(CONFIGS, json=config(actor["id"]), expect=400)
    assert again.message == "Config colour already exists; please choose another name for your config"
    await zoe.post(CONFIGS, json=config(elsewhere["id"]), expect=200)
    assert [each["actors"] for each in (await zoe.get(CONFIGS, expect=200)).result] == [elsewhere["id"]]


# --- secrets ---------------------------------------------------------------------------------------------------------


async def test_a_secret_is_in_the_container_and_nowhere_else(
    served: Serving, alice: Client, root: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    actor = await alice.register()
    wanted = config(actor["id"], value=SECRET, is_secret=True)
    shown = [
        await alice.post(CONFIGS, json=wanted, expect=200),
        await alice.put(f"{CONFIGS}/colour", json=wanted, expect=200),
        await alice.post(CONFIGS, json=wanted, expect=400),
        await alice.put(f"{CONFIGS}/colour", json={**wanted, "actors": "nope"}, expect=404),
        await alice.get(CONFIGS, expect=200),
        await root.get(f"{CONFIGS}/colour", expect=200),
    ]
    assert shown[0].result["value"] == SHOWN
    assert await found_in_container(served, alice, actor["id"]) == {"colour": SECRET}
    shown.append(await alice.get(f"/v3/actors/{actor['id']}/executions", expect=200))
    assert SECRET not in str(shown)
    output = capsys.readouterr()
    assert SECRET not in output.out + output.err
    files = [path for path in Path(served.settings.data_dir).rglob("*") if path.is_file()]
    assert any(path.name.endswith("-wal") for path in files)
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path


async def test_a_secret_given_back_as_it_is_shown_stays(served: Serving, alice: Client) -> None:
    first, second = await alice.register(), await alice.register()
    await alice.post(CONFIGS, json=config(first["id"], second["id"], value=SECRET, is_secret=True), expect=200)
    kept = config(first["id"], value=SHOWN, is_secret=True)
    await alice.put(f"{CONFIGS}/colour", json=kept, expect=200)
    assert await found_in_container(served, alice, first["id"]) == {"colour": SECRET}
    assert await found_in_container(served, alice, second["id"]) == {}
    # but it cannot be brought to light in that way
    await alice.put(f"{CONFIGS}/colour", json={**kept, "is_secret": False}, expect=400)
    refused = await alice.put(f"{CONFIGS}/colour", json={**kept, "actors": second["id"]}, expect=400)
    assert "further actor" in refused.message
    # and what is not secret may have that value
    await alice.put(f"{CONFIGS}/colour", json=config(second["id"], value="red"), expect=200)
    await alice.put(f"{CONFIGS}/colour", json=config(first["id"], value=SHOWN), expect=200)
    assert await found_in_container(served, alice, first["id"]) == {"colour": SHOWN}


async def test_a_secret_that_was_sealed_with_another_key_ends_the_execution_with_that_reason(
    tmp_path: Path, signing_key: SigningKey
) -> None:
    async with serving(tmp_path, signing_key) as served:
        alice = await served.user("alice")
        actor = await alice.register()
        await alice.post(CONFIGS, json=config(actor["id"], value=SECRET, is_secret=True), expect=200)
    served.settings.sealing_key_path.unlink()
    async with serving(tmp_path, signing_key) as again:
        alice = Client(again.session, again.url, alice.token)
        sent = await alice.post(f"/v3/actors/{actor['id']}/messages", data={"message": "x"}, expect=200)
        ended = await again.until_ended(alice, actor["id"], sent.result["execution_id"])
        assert ended["status"] == "ERROR"
        assert "sealing key" in ended["final_state"]["reason"]


# --- aliases and deletion --------------------------------------------------------------------------------------------


async def test_a_config_that_names_an_alias_follows_it(served: Serving, alice: Client) -> None:
    first, second = await alice.register(), await alice.register()
    await alias(served, "prod", first["id"], "alice")
    await alice.post(CONFIGS, json=config("prod", first["id"]), expect=200)
    await alice.post(CONFIGS, json=config("prod", name="size", value="9"), expect=200)
    assert await found_in_container(served, alice, first["id"]) == {"colour": "blue", "size": "9"}
    old = Alias(DEV, "prod", ActorId(first["id"]), Username("alice"))
    await served.database.write(lambda tx: aliases.repoint(tx, old, ActorId(second["id"])))
    assert await found_in_container(served, alice, first["id"]) == {"colour": "blue"}
    assert await found_in_container(served, alice, second["id"]) == {"colour": "blue", "size": "9"}


async def test_names_are_matched_whole(served: Serving, alice: Client) -> None:
    first, second = await alice.register(), await alice.register()
    await alias(served, "prod", first["id"], "alice")
    await alias(served, "production", second["id"], "alice")
    await alice.post(CONFIGS, json=config("production"), expect=200)
    assert await found_in_container(served, alice, first["id"]) == {}


async def test_what_is_deleted_is_named_no_more(served: Serving, alice: Client) -> None:
    gone, stays = await alice.register(), await alice.register()
    await alias(served, "prod", stays["id"], "alice")
    await alice.post(CONFIGS, json=config(gone["id"], "prod", stays["id"]), expect=200)
    await alice.delete(f"/v3/actors/{gone['id']}", expect=200)
    assert (await alice.get(f"{CONFIGS}/colour", expect=200)).result["actors"] == f"prod,{stays['id']}"
    old = Alias(DEV, "prod", ActorId(stays["id"]), Username("alice"))
    await served.database.write(lambda tx: aliases.delete(tx, old))
    assert (await alice.get(f"{CONFIGS}/colour", expect=200)).result["actors"] == stays["id"]
    # a later alias of that name gets nothing
    later = await alice.register()
    await alias(served, "prod", later["id"], "alice")
    assert await found_in_container(served, alice, later["id"]) == {}


# --- who may ---------------------------------------------------------------------------------------------------------


async def test_update_is_needed_on_every_actor(served: Serving, alice: Client, bob: Client, root: Client) -> None:
    own, foreign = await bob.register(), await alice.register()
    await alias(served, "hers", own["id"], "alice")
    for names in ((foreign["id"],), (own["id"], foreign["id"]), ("hers",)):
        refused = await bob.post(CONFIGS, json=config(*names), expect=403)
        assert refused.message == f"Not authorized -- you do not have access to {names[-1]}."
    await bob.post(CONFIGS, json=config(own["id"]), expect=200)
    await bob.put(f"{CONFIGS}/colour", json=config(foreign["id"]), expect=403)
    # EXECUTE does not do, UPDATE does
    for level, status in (("EXECUTE", 403), ("UPDATE", 200)):
        await alice.share(foreign["id"], "bob", level)
        await bob.put(f"{CONFIGS}/colour", json=config(foreign["id"]), expect=status)
    await root.post(CONFIGS, json=config("hers", name="roots"), expect=200)


async def test_a_config_has_permissions_of_its_own(alice: Client, bob: Client, root: Client, zoe: Client) -> None:
    actor = await alice.register()
    await alice.post(CONFIGS, json=config(actor["id"]), expect=200)
    path, pems = f"{CONFIGS}/colour", f"{CONFIGS}/colour/permissions"
    for method, address in (("GET", path), ("PUT", path), ("DELETE", path), ("GET", pems), ("POST", pems)):
        refused = await bob.send(method, address, json=config(actor["id"]), expect=403)
        assert refused.message == "You do not have sufficient access to this actor config."
        await zoe.send(method, address, json=config(actor["id"]), expect=404)
    assert (await bob.get(CONFIGS, expect=200)).result == []
    granted = await alice.post(pems, json={"user": "bob", "level": "READ"}, expect=200)
    assert granted.result == {"alice": "UPDATE", "bob": "READ"}
    assert len((await bob.get(CONFIGS, expect=200)).result) == 1
    await bob.get(path, expect=200)
    await bob.delete(path, expect=403)
    # an administrator may do everything, but lists only what is shared with them
    assert (await root.get(CONFIGS, expect=200)).result == []
    await root.delete(path, expect=200)


async def test_configs_need_a_login(served: Serving) -> None:
    for method, path in (("GET", CONFIGS), ("POST", CONFIGS), ("GET", f"{CONFIGS}/x"), ("PUT", f"{CONFIGS}/x")):
        await served.nobody.send(method, path, json={}, expect=401)


# --- bad input -------------------------------------------------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"name": None}, 400, "Missing required field: {'name'"),
    ({"value": None}, 400, "Missing required field: {'value'"),
    ({"is_secret": None}, 400, "Missing required field: {'is_secret'"),
    ({"actors": None}, 400, "Missing required field: {'actors'"),
    ({"name": ""}, 400, "name"),
    ({"name": 1}, 400, "name"),
    ({"name": ["a"]}, 400, "name"),
    ({"name": "x" * 256}, 400, "name"),
    ({"name": "a\0b"}, 400, "forbidden character"),
    ({"name": "a\nb"}, 400, "forbidden character"),
    ({"value": 1}, 400, "value"),
    ({"value": {"a": 1}}, 400, "value"),
    ({"value": "a\0b"}, 400, "value"),
    ({"value": "x" * (MOST_ROOM + 1)}, 413, "bytes"),
    ({"value": "x" * (MOST_ROOM + 1), "is_secret": True}, 413, "bytes"),
    ({"is_secret": "maybe"}, 400, "is_secret"),
    ({"is_secret": 1}, 400, "is_secret"),
    ({"actors": ""}, 400, "actors"),
    ({"actors": " , ,"}, 400, "actors"),
    ({"actors": ["a"]}, 400, "actors"),
    ({"actors": 7}, 400, "actors"),
    ({"actors": "nope"}, 404, "No actor or alias found with id: nope."),
    ({"actors": "a\0b"}, 404, "No actor or alias found"),
    ({"actors": ",".join(f"alias{n}" for n in range(10_000))}, 400, "at most"),
    *(({"name": word}, 400, "reserved word") for word in ("executions", "nonces", "logs", "messages", "adapters")),
    *(({"name": word}, 400, "reserved word") for word in ("admin", "utilization", ".", "..")),
    *(({"name": f"a{sign}b"}, 400, "forbidden character") for sign in ":/?#[]@!$&'()*+,;= "),
]


async def test_bad_fields_are_told_and_change_nothing(served: Serving, alice: Client) -> None:
    actor = await alice.register()
    await served.recovered()
    await alice.post(CONFIGS, json=config(actor["id"], name="there"), expect=200)
    before = await served.contents()
    for changes, status, told in WRONG:
        wanted = config(actor["id"], **changes)
        assert told in (await alice.post(CONFIGS, json=wanted, expect=status)).message, changes
        if "name" not in changes:
            wanted["name"] = "there"
            assert told in (await alice.put(f"{CONFIGS}/there", json=wanted, expect=status)).message, changes
    unknown = new_actor_id()
    refused = await alice.post(CONFIGS, json=config(actor["id"], unknown), expect=404)
    assert refused.message == f"No actor or alias found with id: {unknown}."
    renamed = await alice.put(f"{CONFIGS}/there", json=config(actor["id"], name="elsewhere"), expect=400)
    assert "cannot be changed" in renamed.message
    headers = {"Content-Type": "application/json"}
    for body in (b"[]", b"{", b'{"name": "\\ud800", "value": "x", "is_secret": false, "actors": "a"}'):
        await alice.post(CONFIGS, data=body, headers=headers, expect=400)
    await alice.put(f"{CONFIGS}/unknown", json=config(actor["id"], name="unknown"), expect=404)
    assert await served.contents() == before


async def test_the_configs_of_an_actor_fit_into_its_environment_together(served: Serving, alice: Client) -> None:
    actor, other = await alice.register(), await alice.register()
    half = "x" * (MOST_ROOM // 2)
    await alice.post(CONFIGS, json=config(actor["id"], name="a", value=half), expect=200)
    refused = await alice.post(CONFIGS, json=config(actor["id"], name="b", value=half), expect=413)
    assert actor["id"] in refused.message
    # room is that of the text, not that of the sealed value, and is free again after a change
    await alice.put(f"{CONFIGS}/a", json=config(actor["id"], name="a", value="x", is_secret=True), expect=200)
    longest = "é" * ((MOST_ROOM - 40) // 2)
    await alice.post(CONFIGS, json=config(actor["id"], name="b", value=longest, is_secret=True), expect=200)
    assert await found_in_container(served, alice, actor["id"]) == {"a": "x", "b": longest}
    # when an alias brings more than fits, the execution says so
    await alice.post(CONFIGS, json=config(other["id"], name="c", value=half), expect=200)
    await alias(served, "more", other["id"], "alice")
    await alice.post(CONFIGS, json=config("more", name="d", value=half[:-100]), expect=200)
    old = Alias(DEV, "more", ActorId(other["id"]), Username("alice"))
    await served.database.write(lambda tx: aliases.repoint(tx, old, ActorId(actor["id"])))
    sent = await alice.post(f"/v3/actors/{actor['id']}/messages", data={"message": "x"}, expect=200)
    ended = await served.until_ended(alice, actor["id"], sent.result["execution_id"])
    assert (ended["status"], "configs are larger" in ended["final_state"]["reason"]) == ("ERROR", True)


async def test_under_compat_configs_are_a_python_literal(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key, compat="abaco") as served:
        alice = await served.user("alice")
        actor = await alice.register()
        await alice.post(CONFIGS, json=config(actor["id"]), expect=200)
        container = await served.run(alice, actor["id"], data={"message": "x"})
        assert container.spec.environment["_actor_configs"] == "{'colour': 'blue'}"
        bob = await served.user("bob")
        await bob.get(f"{CONFIGS}/colour", expect=400)
