from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from abacod.config import RunSettings
from abacod.ids import ActorId, Username
from abacod.models.permission import Subject
from abacod.models.user import Level
from abacod.services.tokens import SigningKey
from abacod.store import permissions
from tests.abacod.api.serving import Client, Serving, multipart, serving
from tests.fakes import obey

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

# What an actor shows whose user gave nothing but an image (spec/actors-api 1.8), but for ids, times and links.
DEFAULTS: dict[str, Any] = {
    "name": None,
    "description": "",
    "image": "image",
    "owner": "alice",
    "stateless": True,
    "state": {},
    "type": "none",
    "link": "",
    "webhook": "",
    "hints": [],
    "token": False,
    "privileged": False,
    "use_container_uid": False,
    "run_as_executor": False,
    "default_environment": {},
    "mounts": [],
    "max_workers": None,
    "max_cpus": None,
    "mem_limit": None,
    "queue": "default",
    "revision": 1,
    "log_ex": None,
    "cron_schedule": None,
    "cron_on": False,
    "cron_next_ex": None,
    "uid": 1001,
    "gid": 1002,
    "tasdir": None,
}
# A value other than the default for every property that a form or query can carry, as text, and how it is shown.
ALL_FIELDS: list[tuple[str, str, Any]] = [
    ("name", "counter", "counter"),
    ("description", "It counts. Ünïcode, too.", "It counts. Ünïcode, too."),
    ("default_environment", '{"A": "1", "b": ""}', {"A": "1", "b": ""}),
    ("hints", "sync", ["sync"]),
    ("webhook", "https://example.org/hook?a=b", "https://example.org/hook?a=b"),
    ("stateless", "false", False),
    ("stateless", "0", False),
    ("stateless", "True", True),
    ("token", "TRUE", True),
    ("token", "1", True),
    ("privileged", "true", True),
    ("use_container_uid", "true", True),
    ("max_workers", "3", 3),
    ("max_cpus", "500000000", 500_000_000),
    ("max_cpus", "-1", -1),
    ("mem_limit", "512m", "512m"),
    ("queue", "special", "special"),
    ("log_ex", "60", 60),
    ("cron_schedule", "now + 1 hour", "now + 1 hour"),
    ("cron_on", "true", True),
    ("type", "json", "json"),
]
ELEVATED: list[tuple[str, Any]] = [
    ("privileged", True),
    ("use_container_uid", True),
    ("max_workers", 2),
    ("max_cpus", 1),
    ("mem_limit", "1g"),
    ("queue", "special"),
]


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


async def grant(served: Serving, actor_id: str, username: str, level: Level) -> None:
    await served.database.write(
        lambda tx: permissions.grant(tx, Subject.actor(ActorId(actor_id)), Username(username), level)
    )


# --- registration ----------------------------------------------------------------------------------------------------


async def test_a_new_actor_shows_every_default(alice: Client, served: Serving) -> None:
    created = await alice.post("/v3/actors", json={"image": "image"}, expect=201)
    shown = created.result
    link = f"{served.url}/v3/actors/{shown['id']}"
    assert created.message == "Actor created successfully."
    assert {name: shown[name] for name in DEFAULTS} == DEFAULTS
    assert set(shown) - set(DEFAULTS) == {
        "id",
        "status",
        "status_message",
        "create_time",
        "last_update_time",
        "_links",
    }
    assert shown["_links"] == {
        "self": link,
        "owner": f"{served.url}/v3/oauth2/profiles/alice",
        "executions": f"{link}/executions",
    }
    assert MOMENT.fullmatch(shown["create_time"])
    assert shown["create_time"] == shown["last_update_time"]
    assert shown["status"] == "SUBMITTED"


async def test_an_actor_becomes_ready_once_its_image_is_there(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    ready = await served.until_status(alice, f"/v3/actors/{actor['id']}", "READY", "ERROR")
    assert (ready["status"], ready["status_message"]) == ("READY", " ")


async def test_an_actor_without_an_image_to_get_ends_in_error(alice: Client, served: Serving) -> None:
    actor = await alice.register(image="nowhere/to/be:found")
    failed = await served.until_status(alice, f"/v3/actors/{actor['id']}", "READY", "ERROR")
    assert failed["status"] == "ERROR"
    assert "nowhere/to/be:found" in failed["status_message"]


@pytest.mark.parametrize("how", ["query", "camel query", "form", "multipart", "json", "camel json"])
async def test_every_field_may_be_given_as_text(pam: Client, how: str) -> None:
    for name, text, expected in ALL_FIELDS:
        spelled = camel(name) if how.startswith("camel") else name
        body: dict[str, Any] = {
            "form": {"data": {"image": "image", spelled: text}},
            "multipart": multipart({"image": "image", spelled: text}),
        }.get(how, {"json": {"image": "image", spelled: text}})
        query = f"image=image&{urlencode({spelled: text})}"
        if how.endswith("query"):
            created = await pam.post(f"/v3/actors?{query}", expect=201)
        else:
            created = await pam.post("/v3/actors", **body, expect=201)
        assert created.result[name] == expected


async def test_fields_may_have_their_own_types_in_json(pam: Client) -> None:
    fields = {
        "default_environment": {"A": "1"},
        "hints": ["a", 1, 2.5],
        "stateless": True,
        "max_workers": 3,
        "log_ex": 0,
    }
    created = await pam.post("/v3/actors", json={"image": "image"} | fields, expect=201)
    assert {name: created.result[name] for name in fields} == fields | {"hints": ["a", "1", "2.5"]}


async def test_a_list_in_a_form_is_a_repeated_name(alice: Client) -> None:
    created = await alice.post("/v3/actors", data=[("image", "image"), ("hints", "a"), ("hints", "b")], expect=201)
    assert created.result["hints"] == ["a", "b"]


async def test_json_wins_over_the_query_and_the_query_over_a_form(alice: Client) -> None:
    path = "/v3/actors?name=query&description=query"
    by_json = await alice.post(path, json={"image": "image", "name": "json", "description": None}, expect=201)
    by_form = await alice.post(path, data={"image": "image", "name": "form"}, expect=201)
    assert (by_json.result["name"], by_json.result["description"]) == ("json", "query")
    assert (by_form.result["name"], by_form.result["description"]) == ("query", "query")


@pytest.mark.parametrize("label", [None, "application/x-www-form-urlencoded", "text/plain", "application/vnd.x+json"])
async def test_a_json_object_is_read_however_it_is_labelled(alice: Client, label: str | None) -> None:
    created = await alice.post(
        "/v3/actors?name=query",
        data=b'{"image": "image", "name": "json", "hints": ["a"]}',
        headers={"Content-Type": label} if label else {},
        expect=201,
    )
    assert (created.result["name"], created.result["hints"]) == ("json", ["a"])


async def test_null_is_not_given_and_unknown_fields_are_ignored(alice: Client) -> None:
    nulls: dict[str, Any] = dict.fromkeys(DEFAULTS) | {"image": "image", "force": True, "nonsense": [1]}
    created = await alice.post("/v3/actors", json=nulls, expect=201)
    assert {name: created.result[name] for name in DEFAULTS} == DEFAULTS


async def test_a_registration_cannot_set_what_the_server_keeps(alice: Client) -> None:
    fields = {
        "id": "x",
        "owner": "root",
        "status": "READY",
        "state": {"a": 1},
        "revision": 9,
        "uid": 0,
        "gid": 0,
        "tasdir": "/",
        "mounts": [{"host_path": "/"}],
        "tenant": "lab",
    }
    shown = (await alice.post("/v3/actors", json={"image": "image"} | fields, expect=201)).result
    assert {name: shown[name] for name in DEFAULTS} == DEFAULTS
    assert shown["id"] != "x"
    assert "tenant" not in shown


async def test_an_actor_needs_an_image(alice: Client) -> None:
    without: list[dict[str, Any]] = [{}, {"image": None}, {"image": ""}, {"image": " "}, {"name": "a"}]
    for fields in without:
        refused = await alice.post("/v3/actors", json=fields, expect=400)
        assert "image" in refused.message
        await alice.post("/v3/actors", data={name: text or "" for name, text in fields.items()}, expect=400)


async def test_what_needs_trust_is_refused_to_others_wherever_it_is_written(
    alice: Client, pam: Client, root: Client
) -> None:
    for name, value in ELEVATED:
        requests: list[tuple[str, dict[str, Any]]] = [
            ("/v3/actors", {"json": {"image": "image", name: value}}),
            ("/v3/actors", {"data": {"image": "image", name: str(value)}}),
            (f"/v3/actors?{urlencode({name: str(value)})}", {"json": {"image": "image"}}),
            (f"/actors/v2?{camel(name)}={value}", {"json": {"image": "image"}}),
        ]
        for path, body in requests:
            refused = await alice.post(path, **body, expect=403)
            assert "only admins and privileged users" in refused.message
        for trusted in (pam, root):
            await trusted.post("/v3/actors", json={"image": "image", name: value}, expect=201)


async def test_what_needs_trust_is_allowed_to_everyone_at_its_default(alice: Client) -> None:
    fields = {"privileged": "false", "use_container_uid": "false", "queue": "default"}
    await alice.post("/v3/actors", data={"image": "image"} | fields, expect=201)


async def test_a_stateful_actor_has_no_more_than_one_worker(pam: Client) -> None:
    refused = await pam.post("/v3/actors", json={"image": "image", "stateless": False, "max_workers": 2}, expect=400)
    assert "stateful actors can only have 1 worker" in refused.message


async def test_a_schedule_is_on_unless_it_is_told_off(alice: Client) -> None:
    schedule = {"image": "image", "cron_schedule": "now + 1 day"}
    on = (await alice.post("/v3/actors", json=schedule, expect=201)).result
    off = (await alice.post("/v3/actors", json=schedule | {"cron_on": False}, expect=201)).result
    assert (on["cron_on"], off["cron_on"]) == (True, False)
    assert on["cron_next_ex"]


async def test_the_default_token_is_a_text_for_old_clients(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key, compat="abaco") as served:
        alice = await served.user("alice")
        defaulted = await alice.post("/v3/actors", json={"image": "image"}, expect=200)
        given = await alice.post("/v3/actors", json={"image": "image", "token": False}, expect=200)
        assert defaulted.result["token"] == "false"
        assert given.result["token"] is False


async def test_the_default_token_follows_the_setting(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key, runs=RunSettings(default_token=True)) as served:
        alice = await served.user("alice")
        assert (await alice.register())["token"] is True


async def test_the_second_version_answers_in_camel_case(alice: Client, served: Serving) -> None:
    environment = {"snake_case": "1"}
    created = await alice.post("/actors/v2", json={"image": "image", "defaultEnvironment": environment}, expect=201)
    link = f"{served.url}/actors/v2/{created.result['id']}"
    assert set(created.result) >= {"createTime", "lastUpdateTime", "statusMessage", "useContainerUid", "cronNextEx"}
    assert not [name for name in created.result if "_" in name[1:]]
    assert created.result["defaultEnvironment"] == environment
    assert created.result["_links"]["self"] == link
    assert created.result["_links"]["owner"] == f"{served.url}/profiles/v2/alice"
    listed = await alice.get("/actors/v2", expect=200)
    assert listed.result[0]["createTime"] == created.result["createTime"]
    assert "create_time" in (await alice.get("/actors", expect=200)).result[0]


# --- lists -----------------------------------------------------------------------------------------------------------


async def test_a_list_has_what_the_caller_may_read_oldest_first(
    alice: Client, bob: Client, root: Client, zoe: Client, served: Serving
) -> None:
    assert (await alice.get("/v3/actors", expect=200)).result == []
    ids = [(await alice.register(name="same"))["id"] for _ in range(3)]
    theirs = (await bob.register())["id"]
    await grant(served, ids[1], "bob", Level.READ)
    assert [actor["id"] for actor in (await alice.get("/v3/actors")).result] == ids
    assert [actor["id"] for actor in (await bob.get("/v3/actors")).result] == [ids[1], theirs]
    assert (await root.get("/v3/actors")).result == []
    assert (await zoe.get("/v3/actors")).result == []


# --- permissions -----------------------------------------------------------------------------------------------------


async def test_each_level_opens_its_requests_and_no_more(alice: Client, bob: Client, served: Serving) -> None:
    actor = await alice.register(stateless=False)
    path = f"/v3/actors/{actor['id']}"
    needs: list[tuple[Level, str, str, dict[str, Any]]] = [
        (Level.READ, "GET", path, {}),
        (Level.READ, "GET", f"{path}/state", {}),
        (Level.READ, "GET", f"{path}/messages", {}),
        (Level.READ, "GET", f"{path}/executions", {}),
        (Level.READ, "GET", f"{path}/workers", {}),
        (Level.EXECUTE, "POST", f"{path}/messages", {"json": 1}),
        (Level.UPDATE, "POST", f"{path}/state", {"json": 1}),
        (Level.UPDATE, "DELETE", f"{path}/messages", {}),
        (Level.UPDATE, "PUT", path, {"json": {"image": "image"}}),
        (Level.UPDATE, "DELETE", path, {}),
    ]
    for level in Level:
        await grant(served, actor["id"], "bob", level)
        for needed, method, address, body in needs:
            answer = await bob.send(method, address, **body)
            assert answer.status == (200 if level >= needed else 403), (level, method, address)


async def test_an_administrator_may_do_everything_within_the_tenant(alice: Client, root: Client, zoe: Client) -> None:
    actor = await alice.register()
    await root.put(f"/v3/actors/{actor['id']}", json={"image": "image"}, expect=200)
    await zoe.get(f"/v3/actors/{actor['id']}", expect=404)
    await zoe.delete(f"/v3/actors/{actor['id']}", expect=404)
    await root.delete(f"/v3/actors/{actor['id']}", expect=200)


# --- update ----------------------------------------------------------------------------------------------------------


async def test_what_an_update_omits_returns_to_its_default_but_for_four_fields(pam: Client) -> None:
    given: dict[str, Any] = {name: text for name, text, _ in ALL_FIELDS if name not in ("max_workers", "stateless")}
    actor = await pam.register(**given, stateless=False)
    path = f"/v3/actors/{actor['id']}"
    await pam.post(f"{path}/state", json={"kept": 1}, expect=200)
    updated = (await pam.put(path, json={"image": "image"}, expect=200)).result
    kept = {"name": "counter", "state": {"kept": 1}, "stateless": False, "cron_on": True}
    expected = DEFAULTS | kept | {"owner": "pam", "uid": None, "gid": None}
    assert {name: updated[name] for name in DEFAULTS} == expected
    assert updated["create_time"] == actor["create_time"]
    assert (await pam.get(path, expect=200)).result | {"status": "", "status_message": ""} == updated | {
        "status": "",
        "status_message": "",
    }


async def test_an_update_changes_everything_that_is_given(pam: Client) -> None:
    actor = await pam.register()
    for name, text, expected in ALL_FIELDS:
        # The order of the list: what is stateless may become stateful, but not the reverse, so each gets its own.
        target = actor if name != "stateless" else await pam.register()
        updated = await pam.put(f"/v3/actors/{target['id']}", json={"image": "image", name: text}, expect=200)
        assert updated.result[name] == expected


async def test_only_another_image_or_force_makes_a_new_revision(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    path = f"/v3/actors/{actor['id']}"
    await served.until_status(alice, path, "READY")
    served.engine.images.add("image:2")
    same = (await alice.put(path, json={"image": "image", "description": "new"}, expect=200)).result
    other = (await alice.put(path, json={"image": "image:2"}, expect=200)).result
    forced = (await alice.put(f"{path}?force=true", json={"image": "image:2"}, expect=200)).result
    unforced = (await alice.put(path, json={"image": "image:2", "force": "false"}, expect=200)).result
    assert (same["revision"], same["status"]) == (1, "READY")
    assert (other["revision"], other["status"]) == (2, "SUBMITTED")
    assert forced["revision"] == 3
    assert unforced["revision"] == 3


async def test_an_actor_leaves_error_by_an_update(alice: Client, served: Serving) -> None:
    actor = await alice.register(image="missing")
    path = f"/v3/actors/{actor['id']}"
    await served.until_status(alice, path, "ERROR")
    await alice.put(path, json={"image": "image"}, expect=200)
    ready = await served.until_status(alice, path, "READY", "ERROR")
    assert (ready["status"], ready["status_message"]) == ("READY", " ")


async def test_a_stateful_actor_stays_stateful(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register(stateless=False))['id']}"
    refused = await alice.put(path, json={"image": "image", "stateless": True}, expect=400)
    assert "cannot be updated to be stateless" in refused.message
    assert (await alice.get(path)).result["stateless"] is False


async def test_an_update_needs_an_image_and_changes_nothing_without(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register(description='old'))['id']}"
    refused = await alice.put(path, json={"description": "new"}, expect=400)
    assert "image" in refused.message
    assert (await alice.get(path)).result["description"] == "old"


async def test_an_update_by_another_user_keeps_the_owner(alice: Client, bob: Client, served: Serving) -> None:
    actor = await alice.register()
    await grant(served, actor["id"], "bob", Level.UPDATE)
    updated = (await bob.put(f"/v3/actors/{actor['id']}", json={"image": "image"}, expect=200)).result
    assert (updated["owner"], updated["uid"], updated["gid"]) == ("alice", 1001, 1002)


async def test_an_update_cannot_smuggle_in_what_needs_trust(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register())['id']}"
    await alice.put(f"{path}?privileged=true", json={"image": "image"}, expect=403)
    assert (await alice.get(path)).result["privileged"] is False


async def test_a_schedule_given_later_is_on_and_stays_as_the_user_left_it(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register())['id']}"
    schedule = {"image": "image", "cron_schedule": "now + 1 day"}
    assert (await alice.put(path, json=schedule, expect=200)).result["cron_on"] is True
    assert (await alice.put(path, json=schedule | {"cron_on": False}, expect=200)).result["cron_on"] is False
    assert (await alice.put(path, json=schedule, expect=200)).result["cron_on"] is False


# --- delete ----------------------------------------------------------------------------------------------------------


async def test_a_deleted_actor_is_gone(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register())['id']}"
    deleted = await alice.delete(path, expect=200)
    assert (deleted.message, deleted.result) == ("Actor deleted successfully.", None)
    for method in ("GET", "PUT", "DELETE"):
        await alice.send(method, path, json={"image": "image"}, expect=404)
    assert (await alice.get("/v3/actors")).result == []


async def test_deleting_an_actor_stops_what_it_runs(alice: Client, served: Serving) -> None:
    served.engine.programs["image"] = obey
    path = f"/v3/actors/{(await alice.register())['id']}"
    sent = [(await alice.post(f"{path}/messages", json=1, expect=200)).result["execution_id"] for _ in range(2)]
    await served.until_status(alice, f"{path}/executions/{sent[0]}", "RUNNING")
    await alice.delete(path, expect=200)
    assert not served.engine.containers
    await alice.get(f"{path}/executions/{sent[0]}", expect=404)


async def test_deleting_while_the_engine_is_silent_goes_on_by_itself(alice: Client, served: Serving) -> None:
    served.engine.programs["image"] = obey
    path = f"/v3/actors/{(await alice.register())['id']}"
    sent = (await alice.post(f"{path}/messages", json=1, expect=200)).result["execution_id"]
    await served.until_status(alice, f"{path}/executions/{sent}", "RUNNING")
    served.engine.up = False
    deleted = await alice.delete(path, expect=200)
    assert "still cleaning up" in deleted.message
    assert (await alice.get(path, expect=200)).result["status"] == "SHUTTING_DOWN"
    await alice.post(f"{path}/messages", json=2, expect=409)


# --- state -----------------------------------------------------------------------------------------------------------


async def test_a_state_is_any_json_value(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register(stateless=False))['id']}"
    states: list[Any] = [{"a": [1, None, {"b_c": "ü"}]}, {}, [], "", "text", 0, 17, 1.5, True, False, None, [[1], [2]]]
    for state in states:
        changed = await alice.post(f"{path}/state", data=json.dumps(state).encode(), expect=200)
        assert changed.message == "State updated successfully."
        assert changed.result["state"] == state
        assert (await alice.get(f"{path}/state", expect=200)).result == {"state": state}
        assert (await alice.get(f"/actors/v2{path[10:]}", expect=200)).result["state"] == state


async def test_containers_see_the_state(alice: Client, served: Serving) -> None:
    actor = await alice.register(stateless=False)
    await alice.post(f"/v3/actors/{actor['id']}/state", json={"a": "ü"}, expect=200)
    container = await served.run(alice, actor["id"], json=1)
    assert container.spec.environment["_abaco_actor_state"] == '{"a": "ü"}'


async def test_a_stateless_actor_has_no_state_to_set(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register())['id']}/state"
    assert (await alice.post(path, json={"a": 1}, expect=404)).message == "actor is stateless."
    assert (await alice.get(path, expect=200)).result == {"state": {}}


async def test_what_is_no_json_is_no_state(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register(stateless=False))['id']}/state"
    for body in (b"", b"{", b"a=1", b"NaN", b"\xff", rb'"\ud800"'):
        refused = await alice.post(path, data=body, expect=400)
        assert "state must be JSON serializable" in refused.message
    assert (await alice.get(path)).result == {"state": {}}


async def test_a_state_that_no_container_could_be_given_is_refused(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register(stateless=False))['id']}/state"
    states: list[tuple[Any, int]] = [("a\0b", 400), ("x" * 131_072, 413), (["x" * 131_072], 413)]
    for state, status in states:
        assert "state" in (await alice.post(path, json=state, expect=status)).message
    assert (await alice.get(path)).result == {"state": {}}


# --- a silent engine -------------------------------------------------------------------------------------------------


async def test_actors_tell_that_the_engine_is_silent_but_keep_their_own_errors(alice: Client, served: Serving) -> None:
    fine, broken = await alice.register(), await alice.register(image="missing")
    await served.until_status(alice, f"/v3/actors/{fine['id']}", "READY")
    failed = await served.until_status(alice, f"/v3/actors/{broken['id']}", "ERROR")
    served.engine.up = False
    await served.nobody.get("/readyz", expect=503, may_fail=True)
    shown = {actor["id"]: actor for actor in (await alice.get("/v3/actors", expect=200)).result}
    assert "Messages are kept" in shown[fine["id"]]["status_message"]
    assert shown[fine["id"]]["status"] == "READY"
    assert shown[broken["id"]]["status_message"] == failed["status_message"]
    served.engine.up = True
    await served.nobody.get("/readyz", expect=200)
    assert (await alice.get(f"/v3/actors/{fine['id']}")).result["status_message"] == " "


async def test_actors_can_be_registered_while_the_engine_is_silent(alice: Client, served: Serving) -> None:
    served.engine.up = False
    actor = await alice.register()
    assert actor["status"] == "SUBMITTED"
    served.engine.up = True
    await served.nobody.get("/readyz", expect=200)
    await served.until_status(alice, f"/v3/actors/{actor['id']}", "READY")


# --- many at once ----------------------------------------------------------------------------------------------------


async def test_updates_at_once_leave_one_of_them_whole(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register())['id']}"
    pairs = [{"image": "image", "name": str(number), "description": str(number)} for number in range(10)]
    await asyncio.gather(*(alice.put(path, json=pair, expect=200) for pair in pairs))
    shown = (await alice.get(path)).result
    assert shown["name"] == shown["description"]
