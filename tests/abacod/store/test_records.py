"""Records of the data catalog: written, found, merged."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from typing import Any

import pytest

from abacod.errors import InvalidRecord, RecordNotFound
from abacod.ids import TenantId
from abacod.models.catalog import Change, Outcome, Record, RecordKind
from abacod.store import links, records, updates
from reactors.pipelinejobs.identifiers import Identifiers, Kind
from tests.factories import OWNER, START, TENANT

LATER = START + timedelta(hours=1)
NAMES = Identifiers()


def sample(name: str, child_of: str | None = None, **given: Any) -> Record:
    uuid = NAMES.typed(Kind.SAMPLE, name)
    parents = {"child_of": (NAMES.typed(Kind.EXPERIMENT, child_of),)} if child_of else {}
    return Record(uuid, RecordKind.SAMPLE, {"sample_id": name, **given}, parents)


def reference(name: str, uri: str) -> Record:
    uuid = NAMES.typed(Kind.REFERENCE, name)
    return Record(uuid, RecordKind.REFERENCE, {"reference_id": name, "name": name, "uri": uri})


def put(tx: sqlite3.Connection, record: Record, *, now: Any = START) -> Change:
    return records.upsert(tx, TENANT, record, by=OWNER, now=now)


def log(tx: sqlite3.Connection, uuid: str) -> list[tuple[str, Any]]:
    rows = tx.execute("SELECT action, changes FROM updates WHERE uuid = ? ORDER BY seq", (uuid,))
    return [(row["action"], json.loads(row["changes"])) for row in rows]


def test_a_record_is_found_as_it_was_written(tx: sqlite3.Connection) -> None:
    given = sample("sample.lab.1", "experiment.lab.1", strain="é", deep={"a": [1, None]})
    assert put(tx, given).outcome is Outcome.CREATED
    stored = records.get(tx, TENANT, given.uuid)
    assert (stored.document, stored.links, stored.kind) == (given.document, given.links, given.kind)
    assert (stored.owner, stored.created, stored.modified, stored.revision) == (OWNER, START, START, 0)
    assert records.by_identifier(tx, TENANT, RecordKind.SAMPLE, "sample.lab.1") == stored
    assert records.by_identifier(tx, TENANT, RecordKind.MEASUREMENT, "sample.lab.1") is None
    assert log(tx, given.uuid) == [("create", {**given.document, "child_of": [*given.links["child_of"]]})]


def test_a_record_is_of_one_tenant(tx: sqlite3.Connection) -> None:
    given = sample("sample.lab.1")
    put(tx, given)
    other = TenantId("lab")
    assert records.find(tx, other, given.uuid) is None
    assert records.by_identifier(tx, other, RecordKind.SAMPLE, "sample.lab.1") is None
    with pytest.raises(RecordNotFound, match=given.uuid):
        records.get(tx, other, given.uuid)


def test_the_same_again_changes_nothing(tx: sqlite3.Connection) -> None:
    given = sample("sample.lab.1", "experiment.lab.1", strain="x")
    put(tx, given)
    before = records.get(tx, TENANT, given.uuid)
    assert put(tx, given, now=LATER) == Change(given.uuid, RecordKind.SAMPLE, Outcome.UNCHANGED, 0)
    assert records.get(tx, TENANT, given.uuid) == before
    assert len(log(tx, given.uuid)) == 1


def test_a_change_merges_objects_replaces_all_else_and_unites_links(tx: sqlite3.Connection) -> None:
    put(tx, sample("sample.lab.1", "experiment.lab.2", media={"name": "M9", "ml": 5}, tags=["a", "b"], kept=True))
    given = sample("sample.lab.1", "experiment.lab.1", media={"ml": 7}, tags=["c"])
    assert put(tx, given, now=LATER).outcome is Outcome.UPDATED
    stored = records.get(tx, TENANT, given.uuid)
    assert stored.document == {
        "sample_id": "sample.lab.1",
        "media": {"name": "M9", "ml": 7},
        "tags": ["c"],
        "kept": True,
    }
    parents = sorted(NAMES.typed(Kind.EXPERIMENT, f"experiment.lab.{number}") for number in (1, 2))
    assert stored.links == {"child_of": tuple(parents)}
    assert (stored.created, stored.modified, stored.revision) == (START, LATER, 1)
    changes = {"media": {"name": "M9", "ml": 7}, "tags": ["c"], "child_of": parents}
    assert log(tx, given.uuid)[1:] == [("update", changes)]


def test_true_in_place_of_1_is_a_change(tx: sqlite3.Connection) -> None:
    put(tx, sample("sample.lab.1", control=1))
    assert put(tx, sample("sample.lab.1", control=True)).outcome is Outcome.UPDATED


def test_an_id_that_a_record_gave_up_is_free(tx: sqlite3.Connection) -> None:
    put(tx, reference("one", "https://example.org/a"))
    put(tx, reference("one", "https://example.org/b"))
    assert records.by_identifier(tx, TENANT, RecordKind.REFERENCE, "https://example.org/a") is None
    second = reference("two", "https://example.org/a")
    put(tx, second)
    found = records.by_identifier(tx, TENANT, RecordKind.REFERENCE, "https://example.org/a")
    assert found is not None
    assert found.uuid == second.uuid


def test_two_records_of_a_kind_share_no_id(tx: sqlite3.Connection) -> None:
    first = reference("one", "https://example.org/a")
    put(tx, first)
    with pytest.raises(InvalidRecord, match=f"{first.uuid} has the id 'https://example.org/a' already"):
        put(tx, reference("two", "https://example.org/a"))


def test_a_page_goes_on_after_a_record(tx: sqlite3.Connection) -> None:
    names = [f"sample.lab.{number}" for number in range(5)]
    for number, name in enumerate(names):
        put(tx, sample(name, f"experiment.lab.{number % 2}"))

    def page(after: str | None, limit: int, child_of: str | None = None) -> list[str]:
        found = records.listed(tx, TENANT, RecordKind.SAMPLE, after=after, limit=limit, child_of=child_of)
        return [record.document["sample_id"] for record in found]

    assert page(None, 2) == names[:2]
    assert page(sample(names[1]).uuid, 2) == names[2:4]
    assert page(sample(names[4]).uuid, 2) == []
    assert page(None, 9, NAMES.typed(Kind.EXPERIMENT, "experiment.lab.1")) == [names[1], names[3]]
    with pytest.raises(RecordNotFound):
        page("103246e1-bcdf-5b6e-a8dc-4c7e81b91141", 2)


def test_known_are_records_jobs_and_pipelines(tx: sqlite3.Connection) -> None:
    given = sample("sample.lab.1")
    put(tx, given)
    tx.execute(
        "INSERT INTO pipelines (tenant, uuid, document, owner, salt, created_ms, modified_ms) "
        "VALUES (?, 'p', '{}', 'ada', '', 0, 0)",
        (TENANT,),
    )
    assert records.known(tx, TENANT, [given.uuid, "p", "nothing"]) == {given.uuid, "p"}


def test_what_changed_since_is_told(tx: sqlite3.Connection) -> None:
    put(tx, sample("sample.lab.1"))
    mark = updates.last(tx)
    assert updates.since(tx, TENANT, mark) == set()
    put(tx, sample("sample.lab.2"))
    assert updates.since(tx, TENANT, mark) == {sample("sample.lab.2").uuid}


def test_links_of_a_record_are_read_with_it(tx: sqlite3.Connection) -> None:
    given = sample("sample.lab.1")
    put(tx, given)
    parent = NAMES.typed(Kind.EXPERIMENT, "experiment.lab.1")
    links.add(tx, TENANT, given.uuid, "child_of", [parent])
    stored = records.find(tx, TENANT, given.uuid)
    assert stored is not None
    assert stored.links == {"child_of": (parent,)}


def test_a_change_of_something_else_is_noted_as_well(tx: sqlite3.Connection) -> None:
    updates.append(tx, TENANT, "pipeline", "replace", by=OWNER, now=START, changes={"name": "é"})
    assert log(tx, "pipeline") == [("replace", {"name": "é"})]
    assert updates.since(tx, TENANT, 0) == {"pipeline"}
