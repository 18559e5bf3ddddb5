"""What single records say, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest

from abacod.errors import InvalidRecord
from abacod.models.catalog import RecordKind
from abacod.services.catalog.entry import Entry, entries
from abacod.services.catalog.source import Item
from reactors.pipelinejobs.identifiers import Identifiers, Kind

NAMES = Identifiers()
MINIMAL: dict[RecordKind, dict[str, Any]] = {
    RecordKind.EXPERIMENT_DESIGN: {"experiment_design_id": "Pipeline-Automation", "uri": "https://example.org/d"},
    RecordKind.EXPERIMENT: {"experiment_id": "experiment.tacc.10001"},
    RecordKind.SAMPLE: {"sample_id": "sample.tacc.20001", "child_of": ["experiment.tacc.10001"]},
    RecordKind.MEASUREMENT: {
        "measurement_id": "measurement.tacc.0xDEADBEEF",
        "measurement_type": "FLOW",
        "child_of": ["sample.tacc.20001"],
    },
    RecordKind.FILE: {"name": "/uploads/tacc/example/345.txt"},
    RecordKind.REFERENCE: {"reference_id": "genome", "name": "A genome", "uri": "https://example.org/genome"},
    RecordKind.PROCESS: {"process_id": "p", "name": "A process"},
    RecordKind.CHALLENGE_PROBLEM: {"id": "NOVEL_CHASSIS", "title": "A problem"},
}
# Published UUIDs (spec/pipelinejobs 11.1).
PUBLISHED = {
    RecordKind.EXPERIMENT_DESIGN: "1144f727-8827-5126-8e03-f35e8cb6f070",
    RecordKind.EXPERIMENT: "102e95e6-67a8-5a06-9484-3131c6907890",
    RecordKind.SAMPLE: "103246e1-bcdf-5b6e-a8dc-4c7e81b91141",
    RecordKind.MEASUREMENT: "10483e8d-6602-532a-8941-176ce20dd05a",
    RecordKind.FILE: "105fb204-530b-5915-9fd6-caf88ca9ad8a",
    RecordKind.CHALLENGE_PROBLEM: "101ba626-e1c4-5beb-bf39-2ed91338379a",
}


def read(value: Any) -> list[Entry]:
    return list(entries(Item("here", value), NAMES))


def refusal(value: Any) -> str:
    with pytest.raises(InvalidRecord) as caught:
        read(value)
    assert caught.value.message.startswith("here")
    return caught.value.message


@pytest.mark.parametrize("kind", MINIMAL)
def test_the_fields_tell_the_kind(kind: RecordKind) -> None:
    (entry,) = read(MINIMAL[kind])
    assert entry.record.kind is kind
    assert entry.record.uuid == PUBLISHED.get(kind, entry.record.uuid)


@pytest.mark.parametrize("kind", MINIMAL)
def test_the_kind_may_be_said(kind: RecordKind) -> None:
    assert read({**MINIMAL[kind], "kind": str(kind)}) == read(MINIMAL[kind])


@pytest.mark.parametrize("kind", MINIMAL)
def test_each_required_field_is_required(kind: RecordKind) -> None:
    for name in MINIMAL[kind]:
        value = {field: given for field, given in MINIMAL[kind].items() if field != name}
        assert name in refusal({**value, "kind": kind}), name


def test_a_measurement_may_mention_its_sample() -> None:
    (entry,) = read({**MINIMAL[RecordKind.MEASUREMENT], "sample_id": "sample.tacc.20001"})
    assert entry.record.kind is RecordKind.MEASUREMENT
    assert entry.record.document["sample_id"] == "sample.tacc.20001"


def test_private_fields_are_dropped() -> None:
    private = {"_admin": {"owner": "x"}, "_properties": {}, "_salt": "x", "_visible": True, "_anything": 1}
    assert read({**MINIMAL[RecordKind.SAMPLE], **private}) == read(MINIMAL[RecordKind.SAMPLE])


def test_the_uuid_may_be_given_if_it_is_right() -> None:
    sample, uuid = MINIMAL[RecordKind.SAMPLE], PUBLISHED[RecordKind.SAMPLE]
    assert read({**sample, "uuid": uuid}) == read({**sample, "uuid": f"uri:urn:{uuid}"}) == read(sample)
    other = NAMES.typed(Kind.SAMPLE, "sample.tacc.other")
    assert refusal({**sample, "uuid": other}) == (
        f"here: uuid: {other} is not that of this record, {uuid}; leave it out."
    )
    assert "uuid" in refusal({**sample, "uuid": PUBLISHED[RecordKind.EXPERIMENT]})


def test_what_is_written_inside_a_record_becomes_records_of_their_own() -> None:
    measurement = {
        "measurement_id": "measurement.tacc.1",
        "measurement_type": "FLOW",
        "files": ["/a//b/../c", {"name": "/d"}],
    }
    found = read({**MINIMAL[RecordKind.SAMPLE], "measurements": [measurement]})
    assert [entry.record.kind for entry in found] == [
        RecordKind.SAMPLE,
        RecordKind.MEASUREMENT,
        RecordKind.FILE,
        RecordKind.FILE,
    ]
    sample, measured, first, second = found
    assert measured.names == {"child_of": (sample.record.uuid,)}
    assert first.names == second.names == {"child_of": (measured.record.uuid,)}
    assert first.record.document == {
        "name": "/a/c",
        "storage_system": NAMES.default_system,
        "file_id": NAMES.file_id("/a/c"),
    }
    assert second.place == "here, measurements[0], files[1]"
    assert "measurements" not in sample.record.document
    assert "files" not in measured.record.document


def test_files_on_another_system_are_other_files() -> None:
    (here,), (there,) = read({"name": "/a"}), read({"name": "/a", "storage_system": "other"})
    assert here.record.uuid != there.record.uuid == NAMES.file("/a", "other")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sample_id": "20001"}, "The field sample_id must be"),
        ({"sample_id": "sample.tacc.a\nb"}, "The field sample_id must be"),
        ({"sample_id": "sample.tacc.a\0"}, "The field sample_id must be"),
        ({"sample_id": "sample.tacc.a\x7f"}, "has a control character"),
        ({"sample_id": "sample.tacc.a "}, "begins or ends with a blank"),
        ({"sample_id": "sample.tacc." + "a" * 1000}, "has more than 1000 characters"),
        ({"sample_id": 5}, "The field sample_id must be a string"),
        ({"child_of": "experiment.tacc.1"}, "The field child_of must be an array"),
        ({"child_of": []}, "child_of"),
        ({"child_of": [1]}, "child_of[0]"),
        ({"child_of": [None]}, "child_of[0]"),
        ({"derived_from": ["x"]}, "derived_from: a record of the kind sample has no such link"),
        ({"acted_on": "x"}, "acted_on: a record of the kind sample has no such link"),
        ({"measurements": {}}, "The field measurements must be an array"),
        ({"measurements": ["measurement.tacc.1"]}, "measurements[0]: a record is a JSON object, not str"),
        ({"measurements": [{"measurement_id": "measurement.tacc.1"}]}, "measurements[0]: The measurement lacks"),
        (
            {"measurements": [{"kind": "sample", "sample_id": "x"}]},
            "stands in a list of records of the kind measurement",
        ),
        ({"measurements": [{"measurement_id": "measurement.a.b", "child_of": 5}]}, "measurements[0]"),
        ({"kind": "fixity"}, "kind: give one of"),
        ({"kind": ["sample"]}, "kind: give one of"),
        ({"kind": "file"}, "The file lacks the field name"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], says: str) -> None:
    assert says in refusal({**MINIMAL[RecordKind.SAMPLE], **changes})


@pytest.mark.parametrize("value", [None, 5, "sample", [], [[]], True])
def test_only_objects_are_records(value: Any) -> None:
    assert "a record is a JSON object" in refusal(value)


@pytest.mark.parametrize("value", [{}, {"title": "x"}, {"_sample_id": "sample.a.b"}])
def test_what_has_no_id_is_nothing(value: Any) -> None:
    assert "it cannot be told what this is" in refusal(value)


@pytest.mark.parametrize("name", ["relative", "", 5, "/a\0b", "agave://system/a"])
def test_a_file_has_an_absolute_path(name: Any) -> None:
    assert "name" in refusal({"name": name})


def test_a_file_id_must_be_that_of_its_path() -> None:
    assert "file_id: file.tacc.x is not that of this record" in refusal({"name": "/a", "file_id": "file.tacc.x"})
    assert read({"name": "/a", "file_id": NAMES.file_id("/a")}) == read({"name": "/a"})


def test_an_id_may_not_look_like_a_uuid() -> None:
    design = {**MINIMAL[RecordKind.EXPERIMENT_DESIGN], "experiment_design_id": PUBLISHED[RecordKind.SAMPLE]}
    assert "looks like a UUID" in refusal(design)
