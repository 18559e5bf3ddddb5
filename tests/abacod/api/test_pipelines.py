"""Pipelines, by messages to the Pipelines Manager and over HTTP (seeds: Pipelines Manager; spec/pipelinejobs 2.1, 11)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from abacod.clock import SystemClock
from abacod.config import ServerSettings
from abacod.config_pipelines import PipelineSettings
from abacod.services.pipelinejobs.document_tokens import DocumentTokens
from abacod.services.tokens import SigningKey
from tests.abacod.api.reactors import TACOBOT, UUID, Manager
from tests.abacod.api.serving import Client, Serving, serving

NO_SCHEMA: Final = "CRITICAL Failed to process message : Message did not match any known schema"


@pytest.fixture
async def served(tmp_path: Path, signing_key: SigningKey) -> AsyncIterator[Serving]:
    server = ServerSettings(port=0, drain_seconds=0, max_body_bytes=20_000_000)
    async with serving(tmp_path, signing_key, server=server, pipelines=PipelineSettings()) as running:
        yield running


@pytest.fixture
def manager(served: Serving, alice: Client) -> Manager:
    return Manager(served, alice)


def admin_token(served: Serving) -> str:
    return DocumentTokens(served.daemon.core.seal, SystemClock()).administrative()


async def updates_of(served: Serving, uuid: str) -> list[str]:
    """What has been done to a pipeline."""
    rows = await served.database.read(
        lambda tx: tx.execute("SELECT action FROM updates WHERE uuid = ? ORDER BY seq", (uuid,)).fetchall()
    )
    return [row["action"] for row in rows]


# --- creating ---------------------------------------------------------------------------------------------------


async def test_creating_and_updating_print_the_lines_of_the_documentation(manager: Manager) -> None:
    told = await manager(TACOBOT)
    token = told.last.split()[-1]
    assert told.lines == [
        "DEBUG Action selected: create",
        f"INFO Created pipeline {UUID} with update token {token}",
    ]
    assert len(token) == 16
    told = await manager({**TACOBOT, "name": "Tacobot 9001"}, token=token)
    assert told.lines == [
        "DEBUG Action selected: update",
        f"INFO Updated pipeline {UUID} with update token {token}",
    ]
    assert (await manager.record(UUID))["name"] == "Tacobot 9001"


async def test_the_same_document_again_changes_nothing_and_says_the_same(served: Serving, manager: Manager) -> None:
    first = await manager(TACOBOT)
    again = await manager({**TACOBOT, "__options": {"settings": {}}, "collections_levels": []})
    assert again.lines == first.lines
    assert await updates_of(served, UUID) == ["create"]


async def test_nobody_learns_the_token_of_anothers_pipeline(served: Serving, manager: Manager, bob: Client) -> None:
    _, token = await manager.create()
    told = await Manager(served, bob)(TACOBOT)
    assert told.code == 0
    assert told.last == f"INFO Pipeline {UUID} exists already; whoever created it has its update token"
    assert token not in "".join(told.lines)


async def test_other_content_needs_the_token(manager: Manager) -> None:
    await manager.create()
    told = await manager({**TACOBOT, "name": "another"})
    assert told.code == 1
    assert told.last == f"CRITICAL Create failed : pipeline {UUID} already exists; send its update token"
    assert (await manager.record(UUID))["name"] == "Tacobot 9000"


async def test_an_id_belongs_to_one_pipeline(manager: Manager) -> None:
    await manager.create()
    told = await manager({**TACOBOT, "components": [{"id": "another"}]})
    assert told.last == (
        "CRITICAL Create failed : id: another pipeline is called tacc/tacobot:9000 already; choose another id."
    )


async def test_private_options_are_dropped_and_what_is_not_said_is_the_default(manager: Manager) -> None:
    uuid, _ = await manager.create({"name": "n", "components": [{"id": "a"}], "__options": {"settings": {"a": 1}}})
    assert await manager.record(uuid) == {
        "accepts": ["*"],
        "collections_levels": [],
        "components": [{"id": "a"}],
        "name": "n",
        "pipeline_type": "primary-etl",
        "processing_levels": [],
        "produces": ["*"],
        "retired": False,
        "uuid": uuid,
    }


async def test_type_is_another_name_for_pipeline_type(manager: Manager) -> None:
    document = {"name": "n", "components": [{"id": "a"}], "type": "data-transfer"}
    uuid, token = await manager.create(document)
    record = await manager.record(uuid)
    assert record["pipeline_type"] == "data-transfer"
    assert "type" not in record
    told = await manager({**document, "pipeline_type": "secondary-etl"}, token=token)
    assert told.last.startswith("CRITICAL Update failed : type: it is another name for pipeline_type")


async def test_pythons_way_of_writing_is_understood(manager: Manager) -> None:
    told = await manager(str(TACOBOT))
    assert told.lines[-1].startswith(f"INFO Created pipeline {UUID} ")


# --- changing ---------------------------------------------------------------------------------------------------


async def test_the_token_may_stand_in_the_document_with_the_uuid_that_was_shown(manager: Manager) -> None:
    _, token = await manager.create()
    shown = await manager.record(UUID)
    del shown["retired"]
    told = await manager({**shown, "name": "new", "token": token})
    assert told.lines[0] == "DEBUG Action selected: update"
    assert told.code == 0
    assert (await manager.record(UUID))["name"] == "new"


async def test_a_whole_document_replaces_all_that_was_there(manager: Manager) -> None:
    _, token = await manager.create()
    told = await manager({name: TACOBOT[name] for name in ("id", "name", "components")}, token=token)
    assert told.code == 0
    record = await manager.record(UUID)
    assert record["accepts"] == ["*"]
    assert "description" not in record


async def test_components_cannot_be_changed(served: Serving, manager: Manager) -> None:
    _, token = await manager.create()
    changed = {**TACOBOT, "components": [{"id": "another"}]}
    told = await manager(changed, token=token, uuid=UUID)
    assert told.code == 1
    assert told.last.startswith("CRITICAL Update failed : components: with them and its id the pipeline would be ")
    told = await manager(changed, token=token)
    assert told.last.startswith("CRITICAL Update failed : No such pipeline ")
    assert "without a token to create" in told.last
    for body in ({"components": [{"id": "another"}]}, {"id": "another"}):
        told = await manager({"uuid": UUID, "action": "update", "body": body, "token": token})
        assert told.last.startswith("CRITICAL Update failed : components: a pipeline's id and components cannot be ch")
    assert await updates_of(served, UUID) == ["create"]


async def test_an_update_message_changes_what_its_body_names(served: Serving, manager: Manager) -> None:
    _, token = await manager.create()
    body = {"description": "new", "produces": [], "type": "data-transfer", "components": TACOBOT["components"]}
    told = await manager({"uuid": UUID, "action": "update", "body": body, "token": token})
    assert told.lines[-2:] == [
        "DEBUG Action selected: update",
        f"INFO Updated pipeline {UUID} with update token {token}",
    ]
    record = await manager.record(UUID)
    assert (record["description"], record["produces"], record["pipeline_type"]) == ("new", [], "data-transfer")
    assert (record["name"], record["accepts"]) == ("Tacobot 9000", ["CSV"])
    assert await updates_of(served, UUID) == ["create", "update"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"name": 5}, "The field name must be a string, not 5."),
        ({"components": []}, "The field components has fewer items than 1."),
        ({"colour": "red"}, "The message has the unknown field 'colour'."),
        ({"id": None}, "The field id must be a string, not null."),
    ],
)
async def test_an_update_leaves_a_document_that_fits_its_schema(manager: Manager, body: Any, why: str) -> None:
    _, token = await manager.create()
    told = await manager({"uuid": UUID, "action": "update", "body": body, "token": token})
    assert told.last == f"CRITICAL Update failed : {why}"


async def test_numbers_and_truth_are_not_the_same_in_components(manager: Manager) -> None:
    document = {"name": "n", "components": [{"id": "a", "n": 1}]}
    uuid, token = await manager.create(document)
    body = {"components": [{"id": "a", "n": True}]}
    told = await manager({"uuid": uuid, "action": "update", "body": body, "token": token})
    assert told.last.startswith("CRITICAL Update failed : components: ")


@pytest.mark.parametrize("token", ["0123456789abcdef", "short", "ÿ" * 16])
async def test_a_wrong_token_changes_nothing(served: Serving, manager: Manager, token: str) -> None:
    await manager.create()
    told = await manager({**TACOBOT, "name": "mine"}, token=token)
    assert told.code == 1
    assert told.last.startswith("CRITICAL Update failed : token: it is not the update token of ")
    assert await updates_of(served, UUID) == ["create"]


async def test_an_administrative_token_is_as_good(served: Serving, manager: Manager) -> None:
    _, token = await manager.create()
    told = await manager({**TACOBOT, "name": "new"}, token=admin_token(served))
    assert told.last == f"INFO Updated pipeline {UUID} with update token {token}"


async def test_an_update_that_changes_nothing_is_none(served: Serving, manager: Manager) -> None:
    _, token = await manager.create()
    assert (await manager(TACOBOT, token=token)).code == 0
    assert await updates_of(served, UUID) == ["create"]


# --- out of service, and back -----------------------------------------------------------------------------------


@pytest.mark.parametrize("away", ["retire", "disable", "delete"])
@pytest.mark.parametrize("back", ["restore", "enable", "undelete"])
async def test_a_pipeline_is_retired_and_restored_by_message(
    served: Serving, manager: Manager, away: str, back: str
) -> None:
    _, token = await manager.create()
    told = await manager({"uuid": UUID, "action": away, "token": token})
    assert told.lines[-3:] == ["DEBUG Action selected: retire", f"INFO Disabling pipeline {UUID}", "INFO Success"]
    assert (await manager.record(UUID))["retired"] is True
    assert (await manager.client.get("/v3/pipelines")).result == []
    told = await manager({"uuid": UUID, "action": back, "token": token})
    assert told.lines[-3:] == ["DEBUG Action selected: restore", f"INFO Enabling pipeline {UUID}", "INFO Success"]
    assert (await manager.record(UUID))["retired"] is False
    assert await updates_of(served, UUID) == ["create", "update", "update"]


@pytest.mark.parametrize("message", ["", "{}"])
async def test_an_empty_message_takes_all_from_the_query(manager: Manager, message: str) -> None:
    _, token = await manager.create()
    told = await manager(message, uuid=UUID, action="retire", token=token)
    assert told.last == "INFO Success", told
    told = await manager(message, uuid=UUID, action="update", token=token)
    assert told.last == f"INFO Updated pipeline {UUID} with update token {token}"
    told = await manager(message, uuid=UUID, action="enable", token=token)
    assert told.last == "INFO Success", told
    assert (await manager.record(UUID))["retired"] is False


async def test_a_message_without_a_token_takes_that_of_the_query(manager: Manager) -> None:
    _, token = await manager.create()
    assert (await manager({"uuid": UUID, "action": "retire"}, token=token)).last == "INFO Success"
    told = await manager({"uuid": UUID, "action": "restore", "token": "f" * 16}, token=token)
    assert told.last.startswith("CRITICAL Enable failed : token: ")


async def test_only_an_administrator_deletes_and_only_what_nothing_refers_to(served: Serving, manager: Manager) -> None:
    _, token = await manager.create()
    asked = {"uuid": UUID, "action": "delete", "force": True}
    told = await manager({**asked, "token": token})
    assert told.last.startswith("CRITICAL Disable failed : a pipeline cannot be deleted; token: ")
    link = ("dev", "107" + "0" * 29, "generated_by", UUID)
    await served.database.write(lambda tx: tx.execute("INSERT INTO links VALUES (?, ?, ?, ?)", link))
    told = await manager({**asked, "token": admin_token(served)})
    assert told.last.startswith("CRITICAL Disable failed : a pipeline cannot be deleted once there are jobs for it")
    await served.database.write(lambda tx: tx.execute("DELETE FROM links"))
    told = await manager("", uuid=UUID, action="delete", force="true", token=admin_token(served))
    assert told.lines[-2:] == [f"INFO Deleting pipeline {UUID}", "INFO Success"]
    await manager.client.get(f"/v3/pipelines/{UUID}", expect=404)
    assert await updates_of(served, UUID) == ["create", "delete"]


async def test_a_job_keeps_its_pipeline(served: Serving, manager: Manager) -> None:
    await manager.create()
    job = ("dev", "107", UUID, "CREATED", "create", "{}", "alice", "salt", 0, 0)
    columns = "tenant, uuid, pipeline_uuid, state, last_event, document, owner, salt, created_ms, updated_ms"
    await served.database.write(
        lambda tx: tx.execute(f"INSERT INTO jobs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", job)  # noqa: S608
    )
    asked = {"uuid": UUID, "action": "delete", "force": True, "token": admin_token(served)}
    assert "once there are jobs for it" in (await manager(asked)).last


# --- showing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["show", "get"])
async def test_a_pipeline_is_printed(manager: Manager, action: str) -> None:
    uuid, token = await manager.create()
    for told in (await manager("", uuid=uuid, action=action), await manager({"uuid": uuid, "action": action})):
        assert told.lines[-1] == "INFO Exists and was printed to execution log"
        record = json.loads(told.lines[-2].removeprefix("INFO "))
        assert record == {**TACOBOT, "uuid": uuid, "collections_levels": [], "pipeline_type": "primary-etl"}
        assert token not in "".join(told.lines)


@pytest.mark.parametrize(
    ("action", "line"),
    [
        ("get", "No such pipeline 106"),
        ("update", "Update failed : No such pipeline 106"),
        ("retire", "Disable failed : No such pipeline 106"),
        ("restore", "Enable failed : No such pipeline 106"),
    ],
)
async def test_an_unknown_pipeline(manager: Manager, action: str, line: str) -> None:
    told = await manager("", uuid="106", action=action, token="f" * 16)
    assert (told.code, told.last) == (1, f"CRITICAL {line}")


# --- what no message is -----------------------------------------------------------------------------------------

_WRONG: Final[tuple[Any, ...]] = (None, 5, True, "text", [5], [[]], [{}], {"a": 1}, "x" * 30_000)


@pytest.mark.parametrize("field", ["id", "name", "description", "components", "accepts", "pipeline_type", "token"])
async def test_wrong_types_in_every_field_fit_no_schema(manager: Manager, field: str) -> None:
    fine = {"id": str, "name": str, "description": str, "token": str}.get(field, list if field == "accepts" else None)
    for value in _WRONG:
        if fine is not None and isinstance(value, fine) and value not in ([5], [[]], [{}]):
            continue
        told = await manager({**TACOBOT, field: value})
        assert (told.code, told.last) == (1, NO_SCHEMA), value
        assert told.lines[0].startswith('DEBUG Validation to "pipeline_manager_create" failed: The ')
        assert len("".join(told.lines)) < 5000


@pytest.mark.parametrize(
    "message",
    [
        "[]",
        "null",
        "5",
        "{}",
        "",
        '{"components": []}',
        '{"name": "no components"}',
        '{"uuid": "106", "action": "explode", "token": "0123456789abcdef"}',
        '{"uuid": 5, "action": "retire", "token": "0123456789abcdef"}',
        '{"uuid": "106", "action": "retire", "token": "0123456789abcdef", "force": "yes"}',
        '{"uuid": "106", "action": "update", "token": "0123456789abcdef", "body": []}',
        '{"name": "n", "components": [{"id": "a"}], "extra": 1}',
    ],
)
async def test_what_fits_no_schema_is_refused(manager: Manager, message: str) -> None:
    told = await manager(message)
    assert (told.code, told.last) == (1, NO_SCHEMA)


@pytest.mark.parametrize(
    "message",
    [
        b"{",
        b"[" * 1_000_000,
        b'{"name": "n", "components": [{"id": "a", "x": ' + b"[" * 500 + b"]" * 500 + b"}]}",
        b'{"name": "\\ud800", "components": [{"id": "a"}]}',
        b'{"name": "n", "components": [{"id": "a", "x": NaN}]}',
        b"\xff\x00",
    ],
    ids=["broken", "1 MB of nesting", "deep", "surrogate", "NaN", "bytes"],
)
async def test_what_is_no_value_is_refused(manager: Manager, message: bytes) -> None:
    told = await manager(message)
    assert told.code == 1
    assert told.last.startswith("CRITICAL Failed to process message : The message ")


async def test_thousands_of_components_and_a_very_long_name_are_kept(manager: Manager) -> None:
    document = {
        "id": "../\x00\n'\"; DROP TABLE pipelines; é%2F…",
        "name": "n" * 100_000,
        "components": [{"id": f"c{number}"} for number in range(5000)],
    }
    told = await manager(json.dumps(document).encode())
    assert told.code == 0, told.last
    record = await manager.record(told.last.split()[3])
    assert record["name"] == document["name"]
    assert record["id"] == document["id"]
    assert len(record["components"]) == 5000


async def test_a_name_of_many_lines_forges_no_line_of_the_log(manager: Manager) -> None:
    # Every line of the log begins with the actor's id, which `tell` checks.
    document = {"id": "a\nfake INFO Success", "name": "n", "components": [{"id": "a"}]}
    await manager.create(document)
    told = await manager({**document, "components": [{"id": "b"}]})
    assert "already; choose another id." in told.last
