"""Loading: all records or none, whatever their order, and the same again changes nothing."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from abacod.errors import InvalidRecord
from abacod.ids import TenantId
from abacod.models.catalog import Outcome, Record, RecordKind
from abacod.services.catalog.loading import Plan, carried_out, planned, prepared, stage
from abacod.services.catalog.source import items
from abacod.store import links, records
from abacod.store.database import in_one_write
from abacod.store.migrations import migrate
from reactors.pipelinejobs.identifiers import Identifiers, Kind
from tests.factories import OWNER, START, TENANT

NAMES = Identifiers()
TREE: list[dict[str, Any]] = [
    {"experiment_design_id": "Design", "uri": "https://example.org/d"},
    {"experiment_id": "experiment.lab.1", "child_of": ["Design"]},
    {"sample_id": "sample.lab.1", "child_of": ["experiment.lab.1"], "media": {"name": "M9", "ml": 5}},
    {"measurement_id": "measurement.lab.1", "measurement_type": "FLOW", "child_of": ["sample.lab.1"]},
    {"name": "/uploads/a.txt", "child_of": ["measurement.lab.1"]},
    {"reference_id": "genome", "name": "Genome", "uri": "https://example.org/g"},
    {"process_id": "p", "name": "A process"},
    {
        "name": "/products/b.txt",
        "derived_from": ["/uploads/a.txt"],
        "derived_using": ["https://example.org/g"],
        "generated_by": ["p"],
    },
]
SAMPLE = NAMES.typed(Kind.SAMPLE, "sample.lab.1")


@pytest.fixture
def tx() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        migrate(connection)
        yield connection


def quiet(what: str, done: int, total: int) -> None:
    assert what
    assert 0 <= done <= total


def plan(tx: sqlite3.Connection, given: Any, tenant: TenantId = TENANT) -> Plan:
    entries = prepared(items(json.dumps(given).encode(), "f"), NAMES, quiet)
    return planned(tx, tenant, entries, NAMES, by=OWNER, now=START, progress=quiet)


def write(tx: sqlite3.Connection, made: Plan) -> dict[str, tuple[int, ...]]:
    loaded = in_one_write(tx, lambda tx: carried_out(tx, TENANT, made, by=OWNER, now=START))
    return {str(kind): tuple(counts[outcome] for outcome in Outcome) for kind, counts in loaded.items()}


def load(tx: sqlite3.Connection, *given: Any) -> dict[str, tuple[int, ...]]:
    """How many records of each kind were created, updated, unchanged."""
    return write(tx, plan(tx, list(given)))


def refusal(tx: sqlite3.Connection, *given: Any) -> InvalidRecord:
    before = tx.total_changes
    with pytest.raises(InvalidRecord) as caught:
        load(tx, *given)
    assert tx.total_changes == before
    return caught.value


def test_records_are_linked_in_any_order(tx: sqlite3.Connection) -> None:
    shuffled = random.Random(5).sample(TREE, len(TREE))
    loaded = load(tx, *shuffled)
    assert loaded["file"] == (2, 0, 0)
    assert sum(counts[0] for counts in loaded.values()) == len(TREE)
    design, measurement = (
        NAMES.typed(Kind.EXPERIMENT_DESIGN, "Design"),
        NAMES.typed(Kind.MEASUREMENT, "measurement.lab.1"),
    )
    assert links.descendants(tx, TENANT, [design], RecordKind.MEASUREMENT) == (measurement,)
    assert links.parents(tx, TENANT, NAMES.file("/products/b.txt")) == {
        "derived_from": (NAMES.file("/uploads/a.txt"),),
        "derived_using": (NAMES.typed(Kind.REFERENCE, "genome"),),
        "generated_by": (NAMES.typed(Kind.PROCESS, "p"),),
    }


def test_the_same_again_changes_nothing(tx: sqlite3.Connection) -> None:
    load(tx, *TREE)
    before = tx.total_changes
    assert all(created == updated == 0 for created, updated, _ in load(tx, *reversed(TREE)).values())
    assert tx.total_changes == before


def test_parents_may_be_stored_already_and_named_by_uuid(tx: sqlite3.Connection) -> None:
    load(tx, *TREE)
    more = {"measurement_id": "measurement.lab.2", "measurement_type": "FLOW"}
    assert load(tx, {**more, "child_of": [SAMPLE]}) == {"measurement": (1, 0, 0)}
    assert load(tx, {**more, "child_of": ["sample.lab.1"]}) == {"measurement": (0, 0, 1)}
    file = {"name": "/products/c.txt", "derived_from": [NAMES.file_id("/uploads/a.txt")], "derived_using": ["genome"]}
    assert load(tx, file) == {"file": (1, 0, 0)}


def test_changed_content_is_merged(tx: sqlite3.Connection) -> None:
    load(tx, *TREE)
    assert load(tx, {**TREE[2], "media": {"ml": 7}, "strain": "x"}) == {"sample": (0, 1, 0)}
    stored = records.get(tx, TENANT, SAMPLE)
    assert stored.document == {"sample_id": "sample.lab.1", "media": {"name": "M9", "ml": 7}, "strain": "x"}
    assert stored.revision == 1


def test_missing_parents_are_named_with_their_places(tx: sqlite3.Connection) -> None:
    error = refusal(tx, *TREE[:2], TREE[3], {"name": "/x", "derived_from": ["/nothing"]})
    assert error.message == (
        "f, record 3: child_of: there is no sample sample.lab.1; load it as well. There are 1 more problems."
    )
    assert error.result["problems"][1] == "f, record 4: derived_from: there is no file /nothing; load it as well."


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"sample_id": "sample.lab.2", "child_of": ["Design"]}, "there is no experiment Design"),
        ({"sample_id": "sample.lab.2", "child_of": ["sample.lab.1"]}, "there is no experiment sample.lab.1"),
        ({"sample_id": "sample.lab.2", "child_of": [SAMPLE]}, f"there is no experiment {SAMPLE}"),
        ({"sample_id": "sample.lab.2", "child_of": ["sample.lab.2"]}, "there is no experiment sample.lab.2"),
        ({"name": "/c", "child_of": ["/uploads/a.txt"]}, "/uploads/a.txt; load it as well"),
        ({"name": "/c", "child_of": ["99946ea1-bcdf-5b6e-a8dc-4c7e81b91141"]}, "99946ea1"),
    ],
)
def test_parents_are_of_the_right_kind_so_that_nothing_goes_in_circles(
    tx: sqlite3.Connection, record: dict[str, Any], says: str
) -> None:
    load(tx, *TREE)
    assert says in refusal(tx, record).message


def test_a_record_given_twice_counts_once_and_has_the_links_of_both(tx: sqlite3.Connection) -> None:
    second = {"measurement_id": "measurement.lab.2", "measurement_type": "FLOW", "child_of": ["sample.lab.1"]}
    again = {"name": "/uploads/a.txt", "child_of": ["measurement.lab.2"]}
    assert load(tx, *TREE, second, again, TREE[2])["file"] == (2, 0, 0)
    measurements = tuple(sorted(NAMES.typed(Kind.MEASUREMENT, f"measurement.lab.{number}") for number in (1, 2)))
    assert links.parents(tx, TENANT, NAMES.file("/uploads/a.txt"))["child_of"] == measurements


def test_a_record_given_twice_with_other_fields_is_refused(tx: sqlite3.Connection) -> None:
    error = refusal(tx, *TREE, {**TREE[2], "media": {"ml": 6}})
    assert error.message == "f, record 9: this sample stands with other fields at f, record 3."


def test_an_id_is_that_of_one_record(tx: sqlite3.Connection) -> None:
    other = {"reference_id": "other", "name": "Other", "uri": "https://example.org/g"}
    assert "is that of another record (f, record 6)" in refusal(tx, *TREE, other).message
    load(tx, *TREE)
    assert "has the id 'https://example.org/g' already" in refusal(tx, other).message


def test_ids_may_change_hands_in_one_load(tx: sqlite3.Connection) -> None:
    load(tx, *TREE)
    moved = [
        {"reference_id": "other", "name": "Other", "uri": "https://example.org/g"},
        {"reference_id": "genome", "name": "Genome", "uri": "https://example.org/g2"},
    ]
    assert load(tx, *moved) == {"reference": (1, 1, 0)}


def test_one_wrong_record_keeps_all_others_out(tx: sqlite3.Connection) -> None:
    error = refusal(tx, *TREE, {"sample_id": "wrong"}, 5)
    assert error.message.startswith("f, record 9: The ")
    assert error.message.endswith("There are 1 more problems.")
    assert "f, record 10: a record is a JSON object" in str(error.hint)


def test_not_more_problems_are_told_than_anyone_reads(tx: sqlite3.Connection) -> None:
    error = refusal(tx, *[{"sample_id": f"wrong{number}"} for number in range(1000)])
    assert len(error.result["problems"]) == 100
    assert "There are 999 more problems." in error.message


def test_another_tenant_has_another_catalog(tx: sqlite3.Connection) -> None:
    load(tx, *TREE)
    with pytest.raises(InvalidRecord, match=r"there is no experiment experiment\.lab\.1"):
        plan(tx, [TREE[2]], TenantId("lab"))


def test_what_changes_between_plan_and_writing_is_merged_all_the_same(tx: sqlite3.Connection) -> None:
    load(tx, *TREE[:2])
    made = plan(tx, TREE)
    load(tx, *TREE[:2], {**TREE[2], "media": {"ml": 9, "ph": 7}})
    loaded = write(tx, made)
    assert loaded["sample"] == (0, 1, 0)
    assert loaded["measurement"] == (1, 0, 0)
    stored = records.get(tx, TENANT, SAMPLE)
    assert stored.document["media"] == {"name": "M9", "ml": 5, "ph": 7}
    assert stored.revision == 1


def test_what_was_staged_is_written_but_for_what_changed_meanwhile(tx: sqlite3.Connection) -> None:
    load(tx, *TREE[:2], {**TREE[5], "uri": "https://example.org/old"})
    made = plan(tx, TREE)
    told: list[tuple[str, int, int]] = []
    stage(tx, TENANT, made, by=OWNER, progress=lambda *how_far: told.append(how_far))
    total = len(TREE)
    assert told == sorted(told)
    assert (told[0], told[-1][1] < total) == (("Writing", 0, total), True)
    assert len(set(told)) > 2
    assert records.find(tx, TENANT, SAMPLE) is None
    load(tx, {**TREE[2], "media": {"ph": 7}})
    loaded = in_one_write(tx, lambda tx: carried_out(tx, TENANT, made, by=OWNER, now=START, staged=True))
    assert loaded[RecordKind.SAMPLE][Outcome.UPDATED] == loaded[RecordKind.MEASUREMENT][Outcome.CREATED] == 1
    assert loaded[RecordKind.REFERENCE][Outcome.UPDATED] == 1
    assert records.get(tx, TENANT, SAMPLE).document["media"] == {"name": "M9", "ml": 5, "ph": 7}
    again = plan(tx, TREE)
    assert not again.edits
    assert len(again.unchanged) == len(TREE)


def test_an_id_that_is_taken_between_plan_and_writing_is_refused(tx: sqlite3.Connection) -> None:
    made = plan(tx, TREE)
    uuid = NAMES.typed(Kind.REFERENCE, "other")
    document = {"reference_id": "other", "name": "Other", "uri": "https://example.org/g"}
    records.upsert(tx, TENANT, Record(uuid, RecordKind.REFERENCE, document), by=OWNER, now=START)
    with pytest.raises(InvalidRecord, match="already"):
        write(tx, made)
    assert records.find(tx, TENANT, SAMPLE) is None


def test_ten_megabytes_in_one_field_are_kept(tx: sqlite3.Connection) -> None:
    text = "é" * 5_000_000
    load(tx, *TREE[:2], {**TREE[2], "notes": text})
    assert records.get(tx, TENANT, SAMPLE).document["notes"] == text


def test_nul_and_odd_characters_in_fields_are_kept(tx: sqlite3.Connection) -> None:
    odd = {"a\0b": "\0", "\u2028": ["\x7f", "\U0001f600"]}
    load(tx, *TREE[:2], {**TREE[2], **odd})
    assert records.get(tx, TENANT, SAMPLE).document.items() >= odd.items()


def test_depth_within_reason_is_kept(tx: sqlite3.Connection) -> None:
    deep: Any = 1
    for _ in range(190):
        deep = [deep]
    load(tx, *TREE[:2], {**TREE[2], "deep": deep})
    assert load(tx, {**TREE[2], "deep": {"a": deep}}) == {"sample": (0, 1, 0)}
