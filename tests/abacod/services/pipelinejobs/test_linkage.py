"""Linkage: from ids to records (spec/pipelinejobs 5)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abacod.errors import InvalidField, RecordNotFound
from abacod.ids import TenantId
from abacod.models.catalog import Record, RecordKind
from abacod.services.pipelinejobs.linkage import Linkage, Used, find_used, lookup, resolve
from abacod.store import records
from abacod.store.migrations import migrate
from reactors.pipelinejobs.identifiers import Identifiers, Kind
from tests.factories import OWNER, START, TENANT

NAMES = Identifiers()
DESIGN = "Design-1"
EXPERIMENTS = [f"experiment.lab.{number}" for number in range(2)]
SAMPLES = [f"sample.lab.{number}" for number in range(4)]
MEASUREMENTS = [f"measurement.lab.{number}" for number in range(4)]
# The last sample has no measurements, the second experiment none but those of the third sample.
PARENTS = {
    **dict.fromkeys(EXPERIMENTS, DESIGN),
    **{name: EXPERIMENTS[number // 2] for number, name in enumerate(SAMPLES)},
    MEASUREMENTS[0]: SAMPLES[0],
    MEASUREMENTS[1]: SAMPLES[0],
    MEASUREMENTS[2]: SAMPLES[1],
    MEASUREMENTS[3]: SAMPLES[2],
}
MISSING = "sample.lab.missing"


def kind_of_id(name: str) -> RecordKind:
    prefix = name.partition(".")[0]
    return RecordKind(prefix) if prefix in ("experiment", "sample", "measurement") else RecordKind.EXPERIMENT_DESIGN


def uuid_of(name: str) -> str:
    return NAMES.typed(Kind(kind_of_id(name)), name)


def uuids(*names: str) -> tuple[str, ...]:
    return tuple(sorted(map(uuid_of, names)))


def put(tx: sqlite3.Connection, record: Record) -> str:
    records.upsert(tx, TENANT, record, by=OWNER, now=START)
    return record.uuid


def fill(tx: sqlite3.Connection) -> None:
    for name in (DESIGN, *PARENTS):
        kind = kind_of_id(name)
        links = {"child_of": (uuid_of(PARENTS[name]),)} if name in PARENTS else {}
        put(tx, Record(uuid_of(name), kind, {f"{kind}_id": name}, links))


@pytest.fixture(scope="module")
def tx() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        migrate(connection)
        fill(connection)
        yield connection


def linked(tx: sqlite3.Connection, **keys: Any) -> Linkage:
    return resolve(tx, TENANT, NAMES, keys)


def test_measurements_are_linked_themselves(tx: sqlite3.Connection) -> None:
    given_uuids = uuids(*MEASUREMENTS[:2])
    assert linked(tx, measurement_id=MEASUREMENTS[:2]) == Linkage(given_uuids, given_uuids, given_uuids)


def test_samples_are_linked_by_their_measurements(tx: sqlite3.Connection) -> None:
    samples = uuids(*SAMPLES[:2])
    assert linked(tx, sample_id=SAMPLES[:2]) == Linkage(uuids(*MEASUREMENTS[:3]), samples, samples)


def test_experiments_and_designs_are_linked_by_their_measurements(tx: sqlite3.Connection) -> None:
    experiment = uuids(EXPERIMENTS[0])
    assert linked(tx, experiment_id=[EXPERIMENTS[0]]) == Linkage(uuids(*MEASUREMENTS[:3]), experiment, experiment)
    assert linked(tx, experiment_design_id=[DESIGN]) == Linkage(uuids(*MEASUREMENTS), uuids(DESIGN), uuids(DESIGN))


def test_what_has_no_measurements_yet_is_linked_itself(tx: sqlite3.Connection) -> None:
    assert linked(tx, sample_id=[SAMPLES[3]]) == Linkage(*[uuids(SAMPLES[3])] * 3)
    both = linked(tx, sample_id=[SAMPLES[3], SAMPLES[2]])
    assert both.child_of == tuple(sorted([*uuids(MEASUREMENTS[3]), *uuids(SAMPLES[3])]))


def test_the_path_is_the_samples_and_the_identity_that_of_the_measurements(tx: sqlite3.Connection) -> None:
    found = linked(tx, measurement_id=[MEASUREMENTS[0]], sample_id=[SAMPLES[0]], experiment_id=[EXPERIMENTS[0]])
    assert found == Linkage(uuids(MEASUREMENTS[0]), uuids(SAMPLES[0]), uuids(MEASUREMENTS[0]))


def test_the_path_is_rather_the_experiments_than_the_designs_or_measurements(tx: sqlite3.Connection) -> None:
    found = linked(tx, measurement_id=[MEASUREMENTS[0]], experiment_id=[EXPERIMENTS[0]], experiment_design_id=[DESIGN])
    assert found.path == uuids(EXPERIMENTS[0])
    assert linked(tx, measurement_id=[MEASUREMENTS[0]], experiment_design_id=[DESIGN]).path == uuids(DESIGN)


def test_no_key_links_nothing(tx: sqlite3.Connection) -> None:
    assert linked(tx) == Linkage()


def test_one_text_is_one_id(tx: sqlite3.Connection) -> None:
    assert linked(tx, sample_id=SAMPLES[0]) == linked(tx, sample_id=[SAMPLES[0]])


def test_all_unknown_ids_are_named_at_once(tx: sqlite3.Connection) -> None:
    unknown_uuid = NAMES.typed(Kind.EXPERIMENT, "experiment.lab.unknown")
    with pytest.raises(RecordNotFound) as caught:
        linked(tx, sample_id=[SAMPLES[0], MISSING, "sample.lab.gone"], experiment_id=[unknown_uuid])
    assert f"{unknown_uuid}, sample.lab.gone, {MISSING}." in caught.value.message


def test_records_of_another_tenant_are_unknown(tx: sqlite3.Connection) -> None:
    with pytest.raises(RecordNotFound):
        resolve(tx, TenantId("lab"), NAMES, {"sample_id": [uuid_of(SAMPLES[0])]})


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"sample_id": [SAMPLES[0], EXPERIMENTS[0]]}, "sample_id: experiment.lab.0 is no id of this kind"),
        ({"sample_id": [uuid_of(EXPERIMENTS[0])]}, "those begin with 103"),
        ({"experiment_id": ["ThisCanNeverEverEverWork"]}, "those begin with `experiment.`"),
        ({"sample_id": []}, "sample_id: there is no id in it"),
        ({"sample_id": None}, "sample_id: there is no id in it"),
        ({"sample_id": {"a": 1}}, "sample_id: there is no id in it"),
        ({"sample_id": [""]}, "sample_id: '' is no id"),
        ({"sample_id": [7]}, "sample_id: 7 is no id"),
        ({"experiment_design_id": ["\ud800"]}, "is no id"),
        ({"sample_id": ["sample.lab.0\0"]}, "is no id"),
        ({"lab": ["x"]}, "lab is no linkage key; use one of measurement_id, sample_id"),
    ],
)
def test_what_is_no_id_is_refused(tx: sqlite3.Connection, keys: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidField) as caught:
        linked(tx, **keys)
    assert says in caught.value.message


# The finest first.
KEYS = {
    "measurement_id": RecordKind.MEASUREMENT,
    "sample_id": RecordKind.SAMPLE,
    "experiment_id": RecordKind.EXPERIMENT,
    "experiment_design_id": RecordKind.EXPERIMENT_DESIGN,
}
NAMES_BY_KEY = {key: [name for name in (DESIGN, *PARENTS) if kind_of_id(name) is kind] for key, kind in KEYS.items()}


@st.composite
def some_keys(draw: st.DrawFn) -> dict[str, list[str]]:
    keys = draw(st.lists(st.sampled_from(list(KEYS)), unique=True, min_size=1))
    return {key: draw(st.lists(st.sampled_from(NAMES_BY_KEY[key]), min_size=1, max_size=6)) for key in keys}


@settings(deadline=None)
@given(keys=some_keys(), data=st.data())
def test_ids_uuids_order_and_repetition_do_not_matter(
    tx: sqlite3.Connection, keys: dict[str, list[str]], data: st.DataObject
) -> None:
    spelled = {
        key: [uuid_of(name) if data.draw(st.booleans()) else name for name in data.draw(st.permutations(names))]
        for key, names in keys.items()
    }
    found = linked(tx, **keys)
    assert found == linked(tx, **spelled)
    finest = next(key for key in KEYS if key in keys)
    assert found.identity == tuple(sorted(set(map(uuid_of, keys[finest]))))
    assert all(list(each) == sorted(set(each)) for each in (found.child_of, found.path, found.identity))
    # Every stored link is one of the records, or a measurement below one.
    ancestors = {uuid_of(name) for name in keys[finest]}

    def is_below(name: str) -> bool:
        return uuid_of(name) in ancestors or (name in PARENTS and is_below(PARENTS[name]))

    assert {uuid_of(name) for name in MEASUREMENTS if is_below(name)} <= set(found.child_of)
    assert all(is_below(name) for name in (DESIGN, *PARENTS) if uuid_of(name) in found.child_of)


# --- files and references -------------------------------------------------------------------------------------------


@pytest.fixture
def stocked() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        migrate(connection)
        fill(connection)
        yield connection


def put_file(tx: sqlite3.Connection, path: str, system: str | None = None) -> str:
    document = {"name": path, "file_id": NAMES.file_id(path, system)}
    return put(tx, Record(NAMES.file(path, system), RecordKind.FILE, document))


def put_reference(tx: sqlite3.Connection, name: str, uri: str) -> str:
    document = {"reference_id": name, "name": name, "uri": uri}
    return put(tx, Record(NAMES.typed(Kind.REFERENCE, name), RecordKind.REFERENCE, document))


def test_files_and_references_that_are_used_are_told_apart(stocked: sqlite3.Connection) -> None:
    here = put_file(stocked, "/uploads/a.txt")
    there = put_file(stocked, "/uploads/a.txt", "other")
    genome = put_reference(stocked, "genome", "agave://data-sd2e-community/reference/genome.fa")
    paper = put_reference(stocked, "paper", "https://example.org/paper")
    used = find_used(
        stocked,
        TENANT,
        NAMES,
        [
            "agave://data-sd2e-community/uploads/a.txt",
            "agave://other//uploads/./a.txt",
            "/uploads/a.txt",
            "/reference/genome.fa",
            "https://example.org/paper",
            "paper",
            "nothing",
            "agave://",
            "agave://other",
            "\ud800",
            "",
        ],
    )
    assert used == Used(tuple(sorted((here, there))), tuple(sorted((genome, paper))))


def test_files_are_found_by_their_ids(stocked: sqlite3.Connection) -> None:
    uuid = put_file(stocked, "/uploads/a.txt")
    assert find_used(stocked, TENANT, NAMES, [NAMES.file_id("/uploads/a.txt"), uuid]) == Used((uuid,))


def test_samples_are_nothing_that_is_used(stocked: sqlite3.Connection) -> None:
    assert find_used(stocked, TENANT, NAMES, [SAMPLES[0], uuid_of(SAMPLES[0])]) == Used()


def test_a_readable_id_is_sought_where_it_begins(stocked: sqlite3.Connection) -> None:
    put_reference(stocked, "sample.lab.0", "https://example.org/odd")
    put_reference(stocked, DESIGN, "https://example.org/design")

    def found(text: str, *kinds: RecordKind) -> str | None:
        return lookup(stocked, TENANT, NAMES, text, kinds or None)

    assert found("sample.lab.0") == uuid_of("sample.lab.0")
    assert found(DESIGN) == NAMES.typed(Kind.REFERENCE, DESIGN)
    assert found(DESIGN, RecordKind.EXPERIMENT_DESIGN) == uuid_of(DESIGN)
    assert found(uuid_of(DESIGN)) == uuid_of(DESIGN)
    assert found(uuid_of(DESIGN), RecordKind.SAMPLE) is None
    assert found(MISSING) is None
    assert found(NAMES.typed(Kind.SAMPLE, MISSING)) is None


def test_pipelines_are_found_by_uuid_and_by_id(stocked: sqlite3.Connection) -> None:
    uuid = NAMES.typed(Kind.PIPELINE, "p")
    stocked.execute(
        "INSERT INTO pipelines (tenant, uuid, id, document, owner, salt, created_ms, modified_ms) "
        "VALUES (?, ?, 'word-count-0.1', '{}', 'ada', '', 0, 0)",
        (TENANT, uuid),
    )
    assert lookup(stocked, TENANT, NAMES, uuid) == lookup(stocked, TENANT, NAMES, "word-count-0.1") == uuid
    assert lookup(stocked, TENANT, NAMES, "word-count-0.1", (RecordKind.FILE,)) is None
