from __future__ import annotations

import json
import uuid
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactors.pipelinejobs.identifiers import (
    PREFIXES,
    Identifiers,
    Kind,
    bare,
    canonical_json,
    is_typed,
    is_uuid,
    kind_of,
    normal_path,
    retyped,
    short_hash,
)
from tests.reactors.pipelinejobs.published import EXPERIMENT, JOBS_DEMO, NOVEL_CHASSIS, PROXY_DATA

IDS: Final = Identifiers()
TACOBOT_9000: Final = "10650844-1baa-55c5-a481-5e945b19c065"

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=4)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("experiment", "experiment.tacc.10001", EXPERIMENT),
        ("experiment", "experiment.ginkgo.10001", "102edd93-29d6-5483-b60b-8dfd4d094b9c"),
        ("sample", "sample.tacc.20001", "103246e1-bcdf-5b6e-a8dc-4c7e81b91141"),
        ("measurement", "measurement.tacc.0xDEADBEEF", "10483e8d-6602-532a-8941-176ce20dd05a"),
        ("measurement", "measurement.tacc.0xDEADBEF0", "104dae4d-a677-5991-ae1c-696d2ee9884e"),
        ("measurement", "measurement.tacc.0xDEADBEF1", "1041ab3f-5221-5c79-8781-8838dfb6eef9"),
        ("measurement", "measurement.tacc.0x00000000", "10452d7e-7f0a-59df-a1a3-c5bb44e07f2f"),
        ("measurement", "measurement.tacc.1234", "1040f711-9a56-58b4-aa57-4d0118f424e8"),
        ("measurement", "measurement.tacc.2345", "1048e4b1-94c8-50c9-8d62-fe762234e55f"),
        ("challenge_problem", "NOVEL_CHASSIS", "101ba626-e1c4-5beb-bf39-2ed91338379a"),
        ("experiment_design", "Pipeline-Automation", "1144f727-8827-5126-8e03-f35e8cb6f070"),
        ("file", "/uploads/tacc/example/345.txt", "105fb204-530b-5915-9fd6-caf88ca9ad8a"),
        ("generic", "{}", "10039c5a-f000-5c82-a032-0c5207b2ae19"),
        ("sample", "sample.tacc.abcde", "10395836-b9b5-5676-99e5-e6504f9078d4"),
        ("sample", "sample.transcriptic.aq1bsxp36447z6", "10340ded-b06e-5d91-95dd-8533755ed48c"),
    ],
)
def test_published_typed_uuids(kind: str, text: str, expected: str) -> None:
    assert IDS.typed(Kind(kind), text) == expected
    assert kind_of(expected) is Kind(kind)
    assert is_typed(expected, Kind(kind))


def test_each_kind_has_its_prefix() -> None:
    assert dict(PREFIXES) == {
        Kind.GENERIC: "100",
        Kind.CHALLENGE_PROBLEM: "101",
        Kind.EXPERIMENT: "102",
        Kind.SAMPLE: "103",
        Kind.MEASUREMENT: "104",
        Kind.FILE: "105",
        Kind.PIPELINE: "106",
        Kind.PIPELINEJOB: "107",
        Kind.PIPELINEJOB_EVENT: "108",
        Kind.REFERENCE: "109",
        Kind.PRODUCT: "110",
        Kind.UPLOAD: "111",
        Kind.EXPERIMENT_DESIGN: "114",
        Kind.INPUT_CLASSIFIER: "115",
        Kind.FIXITY: "116",
        Kind.PROCESS: "117",
        Kind.ANNOTATION: "118",
        Kind.INLINE_ANNOTATION: "119",
        Kind.QUERY: "120",
        Kind.DASHBOARD: "121",
        Kind.TAG_ANNOTATION: "122",
        Kind.TEXT_ANNOTATION: "123",
        Kind.ASSOCIATION: "124",
        Kind.STRUCTURED_REQUEST: "125",
    }


def test_an_untyped_uuid_keeps_all_but_three_digits() -> None:
    assert retyped("67a40ded-b06e-5d91-95dd-8533755ed48c", Kind.SAMPLE) == "10340ded-b06e-5d91-95dd-8533755ed48c"


@settings(deadline=None)
@given(st.sampled_from(Kind), st.text())
def test_kinds_differ_in_three_digits_only(kind: Kind, text: str) -> None:
    made = IDS.typed(kind, text)
    assert is_uuid(made)
    assert kind_of(made) is kind
    assert made[3:] == IDS.typed(Kind.GENERIC, text)[3:]
    assert uuid.UUID(made).version == 5


@pytest.mark.parametrize(
    "text", ["", "x", "112" + EXPERIMENT[3:], "113" + EXPERIMENT[3:], "67a40ded-b06e-5d91-95dd-8533755ed48c"]
)
def test_what_has_no_kind(text: str) -> None:
    with pytest.raises(ValueError, match="is not a typed UUID"):
        kind_of(text)


@pytest.mark.parametrize(
    "text",
    ["", EXPERIMENT.upper(), EXPERIMENT.replace("-", ""), EXPERIMENT + "\n", " " + EXPERIMENT, "uri:urn:" + EXPERIMENT],
)
def test_what_is_no_uuid(text: str) -> None:
    assert not is_uuid(text)
    assert not is_typed(text, Kind.EXPERIMENT)


def test_uuids_may_come_as_urns() -> None:
    assert bare("uri:urn:" + EXPERIMENT) == EXPERIMENT
    assert bare(EXPERIMENT) == EXPERIMENT


WORD_COUNT: Final = {"id": "word-count-0.1u1", "inputs": {}, "parameters": {"CONTAINER_IMAGE": "sd2e/word-count:0.1"}}
BRISKET: Final = {"id": "bbq-brisket-0.5.0", "inputs": {}, "parameters": {"smoke": True}}
SHELL: Final = {"id": "e1LqaqMyqq4xB", "opts": {"cheese": True, "salsa": True, "eggs": False}}
BRISKET_9001: Final = {"id": "bbq-brisket-0.5.0", "parameters": {"smoke": True, "quantity": 4}}
TACBOT: Final = "index.docker.io/tacc/tacbobot:latest"


@pytest.mark.parametrize(
    ("name", "components", "expected"),
    [
        (
            "tacc/tacobot:9000",
            [{"repo": TACBOT, "options": {}, "id": "eqMyqq4xB1Lqa"}, BRISKET],
            "1064aaf1-459c-5e42-820d-b822aa4b3990",
        ),
        ("tacc/tacobot:9000", [{"options": {}, "id": "eqMyqq4xB1Lqa", "image": TACBOT}, BRISKET], TACOBOT_9000),
        (
            "sd2e/managedpipelinejob:101",
            [{"id": "D0ZxR0wPLpoJA", "image": "index.docker.io/sd2e/jobs-demo-1:latest", "options": {}}],
            JOBS_DEMO,
        ),
        ("word-count-0.1u1", [WORD_COUNT], "1064810f-cced-595f-847a-2963772dd705"),
        (None, [SHELL, BRISKET_9001], "106a7c8e-8adb-5acd-b3d8-53634ba36cc5"),
        (None, [BRISKET_9001, SHELL], "1066b569-0ed9-53f9-b0f4-4413b6fd44b3"),
    ],
)
def test_published_pipelines(name: str | None, components: list[Any], expected: str) -> None:
    document = {"name": "any", "components": components} | ({} if name is None else {"id": name})
    assert IDS.pipeline(document) == expected
    assert IDS.pipeline({**document, "name": "other", "description": "d", "processing_levels": ["2"]}) == expected
    assert IDS.pipeline({**document, "id": "another"}) != expected
    assert IDS.pipeline({**document, "components": [*components, {"id": "more"}]}) != expected


@pytest.mark.parametrize(
    ("pipeline", "linkage", "data", "expected"),
    [
        (JOBS_DEMO, ["1041ab3f-5221-5c79-8781-8838dfb6eef9"], {}, "107596b8-25b2-557d-9702-853f0690c576"),
        (
            JOBS_DEMO,
            ["10483e8d-6602-532a-8941-176ce20dd05a", "104dae4d-a677-5991-ae1c-696d2ee9884e"],
            {},
            "10704831-8017-5e39-a4d7-dd73a08b4a4b",
        ),
        (JOBS_DEMO, ["103246e1-bcdf-5b6e-a8dc-4c7e81b91141"], {}, "107fd3cf-23c6-522f-9270-19932d06def4"),
        (JOBS_DEMO, [EXPERIMENT], {}, "107a90b7-f083-5167-a63d-41a3bf278bf8"),
        (JOBS_DEMO, [EXPERIMENT], {"alpha": 0.5}, "1077a959-7163-516a-8fc1-dd11bd958190"),
        (JOBS_DEMO, [EXPERIMENT], {"alpha": 0.6}, "107e7a19-6d8a-540d-954c-09836d67de49"),
        (
            TACOBOT_9000,
            ["102edd93-29d6-5483-b60b-8dfd4d094b9c"],
            {"example_data": "datadata"},
            "107653ca-020f-5f03-9663-41cff415b087",
        ),
        (
            NOVEL_CHASSIS,
            ["10395836-b9b5-5676-99e5-e6504f9078d4"],
            PROXY_DATA,
            "10782da9-2c38-510a-993a-b33f9b43a752",
        ),
    ],
)
def test_published_jobs(pipeline: str, linkage: list[str], data: dict[str, Any], expected: str) -> None:
    assert IDS.job(pipeline, linkage, data) == expected


def test_the_text_of_a_job_of_an_old_record() -> None:
    # Jobs once had no linkage in their text; such UUIDs are stored, and made no longer.
    text = '1064aaf1-459c-5e42-820d-b822aa4b3990:{"param1":"value1"}'
    assert IDS.typed(Kind.PIPELINEJOB, text) == "10766b61-49f0-524d-a17f-f4bd42bdfce7"
    assert IDS.job("1064aaf1-459c-5e42-820d-b822aa4b3990", [], {"param1": "value1"}) == IDS.typed(
        Kind.PIPELINEJOB, '1064aaf1-459c-5e42-820d-b822aa4b3990:[]:{"param1":"value1"}'
    )


def shuffled(value: Any) -> Any:
    """The same with the keys of all objects the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(each) for each in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(OBJECTS)
def test_the_order_of_keys_never_counts(data: dict[str, Any]) -> None:
    assert canonical_json(shuffled(data)) == canonical_json(data)
    assert IDS.job(JOBS_DEMO, [EXPERIMENT], shuffled(data)) == IDS.job(JOBS_DEMO, [EXPERIMENT], data)
    document = {"components": [data]}
    assert IDS.pipeline({"components": [shuffled(data)]}) == IDS.pipeline(document)


@settings(deadline=None)
@given(OBJECTS, OBJECTS)
def test_other_data_make_another_job(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (IDS.job(JOBS_DEMO, [], one) == IDS.job(JOBS_DEMO, [], other)) is same


def test_canonical_json_is_ascii_without_spaces() -> None:
    assert (
        canonical_json({"ü": [1, {"b": None, "a": True}], "a": "\ud800"})
        == r'{"a":"\ud800","\u00fc":[1,{"a":true,"b":null}]}'
    )


def test_data_nested_too_deeply_are_a_recursion_error() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        IDS.job(JOBS_DEMO, [], {"a": deep})


def test_short_hashes() -> None:
    assert short_hash("10039c5a-f000-5c82-a032-0c5207b2ae19") == IDS.hashed("{}") == "PAVpwrObxp5YjYRvrJOd5yVp"
    assert IDS.hashed("") == "BAkwe8wKZY2NgXyBpX8K5R1D"
    assert IDS.hashed("10452d7e-7f0a-59df-a1a3-c5bb44e07f2f") == "5pQxBkRrRe2GEPOWWZBq4LNQ"


def test_files_are_named_by_path_and_on_other_systems_by_both() -> None:
    file = "105fb204-530b-5915-9fd6-caf88ca9ad8a"
    assert IDS.file("/uploads/tacc/example/345.txt") == file
    assert IDS.file(" //uploads/tacc/./x/../example/345.txt", "data-sd2e-community") == file
    assert IDS.file("/uploads/tacc/example/345.txt", "other") == IDS.typed(
        Kind.FILE, "agave://other/uploads/tacc/example/345.txt"
    )
    assert IDS.fixity("/uploads/tacc/example/345.txt") == "116" + file[3:]
    assert IDS.file_id("/a").startswith("file.tacc.")
    assert IDS.file_id("/a") != IDS.file_id("/a", "other")
    assert IDS.file_id("/a") == IDS.file_id("a", "data-sd2e-community")


def test_another_domain_has_other_uuids() -> None:
    other = Identifiers("tacc.cloud.dev")
    assert other.typed(Kind.SAMPLE, "x") != IDS.typed(Kind.SAMPLE, "x")
    assert str(uuid.uuid3(uuid.NAMESPACE_DNS, "sd2e.org")) == "54765aeb-44ca-374a-9a9f-eb4658383ee4"


def test_events_have_random_uuids() -> None:
    made = {IDS.event() for _ in range(100)}
    assert len(made) == 100
    assert all(is_typed(each, Kind.PIPELINEJOB_EVENT) for each in made)


@settings(deadline=None)
@given(st.text())
def test_a_normal_path_stays_as_it_is(path: str) -> None:
    normal = normal_path(path)
    assert normal.startswith("/")
    assert not normal.startswith("//")
    assert not {".", ".."} & set(normal.split("/"))
    if normal == normal.strip():
        assert normal_path(normal) == normal
