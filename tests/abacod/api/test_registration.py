"""What a registration may say, and what the new actor shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from abacod.config import RunSettings
from abacod.services.tokens import SigningKey
from tests.abacod.api.registrations import ALL_FIELDS, DEFAULTS
from tests.abacod.api.serving import Client, Serving, multipart, serving

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

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
