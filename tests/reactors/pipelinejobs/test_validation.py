from __future__ import annotations

import json
import tomllib
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from reactors.pipelinejobs.states import JobEvent, JobState
from reactors.pipelinejobs.validation import FOLDER, SchemaMismatch, check, names, schema, text, violation

JOB: Final = "1073f4ff-c2b9-5190-bd9a-e6a406d9796a"
TOKEN: Final = "0dc73dc3ff39b49a"
EVENT: Final = {"uuid": JOB, "name": "finish", "token": TOKEN}

TACOBOT: Final[dict[str, Any]] = {
    "name": "Tacobot 9001",
    "description": "Creates even better breakfast tacos out of silicon, ozone, and shredded GPUs",
    "components": [
        {"id": "e1LqaqMyqq4xB", "opts": {"cheese": True, "salsa": True, "eggs": False}},
        {"id": "bbq-brisket-0.5.0", "parameters": {"smoke": True, "quantity": 4}},
    ],
    "processing_levels": ["1"],
    "accepts": ["CSV"],
    "produces": ["PNG"],
}
DEFINITION: Final[dict[str, Any]] = {
    "appId": "tacobot9000-0.1.0u1",
    "name": "TACObot job",
    "inputs": {"file1": "agave://data.tacc.cloud/examples/tacobot/test1.txt"},
    "parameters": {"salsa": True, "avocado": False, "cheese": True},
    "maxRunTime": "01:00:00",
}
LAUNCH: Final = {"job_definition": DEFINITION, "parameters": {"sample_id": "sample.tacc.abcde"}}
CALLBACK: Final[dict[str, Any]] = {
    "owner": "tacobot",
    "appId": "tacobot9000-0.1.0u1",
    "executionSystem": "hpc-tacc-stampede2",
    "archivePath": "/products/v2/103f877a",
    "archiveSystem": "data-tacc-cloud",
    "status": "RUNNING",
    "inputs": DEFINITION["inputs"],
    "parameters": DEFINITION["parameters"],
    "_links": {},
    "endTime": None,
}

# As the documentation prints them (seeds), and what else is allowed (spec/pipelinejobs, the REC columns).
ALLOWED: Final[list[tuple[str, Any]]] = [
    ("pipeline_manager_create", TACOBOT),
    (
        "pipeline_manager_create",
        {"name": "n", "components": [{"image": "a/b:c"}], "id": "a-1.0", "type": "data-transfer"},
    ),
    ("pipeline_manager_create", {"name": "n", "components": [{"uri": "https://a.b/c"}], "__options": {"settings": {}}}),
    ("pipeline_manager_create", {"name": "n", "components": [{"repo": "r"}], "processing_levels": ["Reference", "0"]}),
    ("pipeline_manager_update", {"uuid": "x", "action": "update", "body": {"name": "new"}, "token": TOKEN}),
    ("pipeline_manager_delete", {"uuid": "x", "action": "retire", "token": TOKEN}),
    ("pipeline_manager_delete", {"uuid": "x", "action": "disable", "token": TOKEN, "force": True}),
    ("pipeline_manager_delete", {"uuid": "x", "action": "delete", "token": TOKEN + "0"}),
    *[
        ("pipeline_manager_undelete", {"uuid": "x", "action": each, "token": TOKEN})
        for each in ("restore", "enable", "undelete")
    ],
    ("pipelinejob_manager_event", EVENT),
    ("pipelinejob_manager_event", {"uuid": "uri:urn:" + JOB, "name": "reset", "data": {"a": [1]}}),
    ("agave_job_callback", CALLBACK),
    ("agave_job_callback", {**CALLBACK, "tenantId": "sd2e", "tenantQueue": "aloe.jobq"}),
    ("agave_job_callback", {"status": "FINISHED"}),
    (
        "pipelinejob_index",
        {
            "uuid": "1079f67e-0ef6-52fe-b4e9-d77875573860",
            "name": "index",
            "filters": ["sample%5C.uw_biofab%5C.141715", "sample-uw_biofab-141715"],
            "level": "2",
            "token": TOKEN,
        },
    ),
    (
        "pipelinejob_index",
        {
            "uuid": JOB,
            "name": "index",
            "processing_level": "User",
            "filters": [
                "a",
                {"patterns": ["b"], "level": "2", "note": "n", "fixity": False},
                {"filters": [], "derived_from": ["./a.txt"], "derived_using": [], "generated_by": [JOB]},
            ],
        },
    ),
    ("pipelinejob_indexed", {"uuid": "1079f67e-0ef6-52fe-b4e9-d77875573860", "name": "indexed", "token": TOKEN}),
    ("agave_pipelinejob", LAUNCH),
    (
        "agave_pipelinejob",
        {
            "job_definition": DEFINITION,
            "parameters": {
                "sample_id": ["103246e1-bcdf-5b6e-a8dc-4c7e81b91141", "sample.uw_biofab.1"],
                "experiment_design_id": "Pipeline-Automation",
            },
            "archive_path": "agave://data-sd2e-community/products/v2/a",
            "instanced": False,
            "data": {},
            "index_patterns": [],
            "processing_level": "2",
        },
    ),
    ("experiment_design", {"experiment_design_id": "d", "uri": "https://a.b", "status": "ACTIVE", "child_of": []}),
    ("experiment", {"experiment_id": "experiment.tacc.10001", "child_of": ["d"]}),
    ("sample", {"sample_id": "sample.tacc.20001", "child_of": ["experiment.tacc.10001"], "temperature": 30}),
    (
        "measurement",
        {"measurement_id": "measurement.tacc.0xDEADBEEF", "measurement_type": "RNA_SEQ", "child_of": ["s"]},
    ),
    ("file", {"name": "/uploads/a.txt", "level": "0", "derived_from": []}),
    ("reference", {"reference_id": "novel-chassis", "name": "Genome", "uri": "agave://s/reference/g.fa"}),
    ("process", {"process_id": "p", "name": "P"}),
    ("fixity", {"name": "/uploads/a.txt", "checksum": "0" * 64, "size": 0}),
    ("challenge_problem", {"id": "NOVEL_CHASSIS", "title": "Novel Chassis"}),
]

# What is refused, and what the sentence says.
REFUSED: Final[list[tuple[str, Any, str]]] = [
    ("pipelinejob_manager_event", {"uuid": JOB}, "The message lacks the field name."),
    ("pipelinejob_manager_event", [], "The message must be an object, not an array."),
    ("pipelinejob_manager_event", None, "The message must be an object, not null."),
    ("pipelinejob_manager_event", "text", "The message must be an object, not 'text'."),
    ("pipelinejob_manager_event", {**EVENT, "uuid": JOB + "\n"}, "The field uuid must be the UUID of a PipelineJob"),
    (
        "pipelinejob_manager_event",
        {**EVENT, "uuid": "106" + JOB[3:]},
        "The field uuid must be the UUID of a PipelineJob",
    ),
    ("pipelinejob_manager_event", {**EVENT, "uuid": 1}, "The field uuid must be a string, not 1."),
    ("pipelinejob_manager_event", {**EVENT, "name": "finsh"}, "The field name must be create or fail"),
    ("pipelinejob_manager_event", {**EVENT, "token": "short"}, "The field token has fewer characters than 16."),
    ("pipelinejob_manager_event", {**EVENT, "token": "0" * 18}, "The field token has more characters than 17."),
    ("pipelinejob_manager_event", {**EVENT, "data": []}, "The field data must be an object, not an array."),
    ("pipelinejob_manager_event", {**EVENT, "x\ud800": 1}, r"The message has the unknown field 'x\ud800'."),
    ("pipeline_manager_create", {**TACOBOT, "components": []}, "The field components has fewer items than 1."),
    (
        "pipeline_manager_create",
        {**TACOBOT, "components": [{"opts": {}}]},
        "at least one of the fields id, uri, repo, image",
    ),
    (
        "pipeline_manager_create",
        {**TACOBOT, "components": [{"uri": "a b"}]},
        "The field components[0].uri must be the canonical",
    ),
    (
        "pipeline_manager_create",
        {**TACOBOT, "components": [{"id": "a", "port": 79}]},
        "components[0].port is less than 80",
    ),
    (
        "pipeline_manager_create",
        {**TACOBOT, "pipeline_type": "x"},
        "The field pipeline_type must be generic-process or",
    ),
    ("pipeline_manager_create", {**TACOBOT, "uuid": "x"}, "The message has the unknown field 'uuid'."),
    (
        "pipeline_manager_delete",
        {"uuid": "x", "action": "update", "token": TOKEN},
        "The field action must be retire or",
    ),
    ("agave_job_callback", {**CALLBACK, "status": None}, "The field status must be a string, not null."),
    ("pipelinejob_index", {"uuid": JOB, "name": "indexed"}, "The field name must be index, not 'indexed'."),
    (
        "pipelinejob_index",
        {"uuid": JOB, "name": "index", "filters": [3]},
        "filters[0] must be a string or an object, not 3",
    ),
    (
        "pipelinejob_index",
        {"uuid": JOB, "name": "index", "filters": [{"level": "1"}]},
        "one of the fields patterns, filters",
    ),
    (
        "pipelinejob_index",
        {"uuid": JOB, "name": "index", "filters": [{"patterns": [1]}]},
        "filters[0].patterns[0] must be a str",
    ),
    ("pipelinejob_index", {"uuid": JOB, "name": "index", "level": 2}, "The field level must be a string, not 2."),
    (
        "agave_pipelinejob",
        {**LAUNCH, "parameters": {}},
        "at least one of the fields experiment_design_id, experiment_id",
    ),
    ("agave_pipelinejob", {**LAUNCH, "parameters": {"sample_id": []}}, "parameters.sample_id has fewer items than 1"),
    (
        "agave_pipelinejob",
        {**LAUNCH, "parameters": {"sample_id": "experiment.a.b"}},
        "parameters.sample_id must be an id or",
    ),
    (
        "agave_pipelinejob",
        {**LAUNCH, "parameters": {"sample_id": ["1041ab3f-5221-5c79-8781-8838dfb6eef9"]}},
        "sample_id[0]",
    ),
    ("agave_pipelinejob", {**LAUNCH, "job_definition": {}}, "The field job_definition lacks the field appId."),
    (
        "agave_pipelinejob",
        {**LAUNCH, "archive_path": "/products/a"},
        "The field archive_path must be a file or directory",
    ),
    ("sample", {"sample_id": "sample.tacc.1", "child_of": []}, "The field child_of has fewer items than 1."),
    ("experiment", {"experiment_id": "10001"}, "The field experiment_id must be experiment.LAB.NAME, not '10001'"),
    ("fixity", {"name": "/a", "size": 1.5}, "The field size must be a whole number, not 1.5."),
    ("file", {"name": "relative"}, "The field name must be its absolute path"),
]


@pytest.mark.parametrize(("name", "message"), ALLOWED)
def test_what_the_documentation_shows_is_allowed(name: str, message: Any) -> None:
    assert violation(name, message) is None
    check(name, message)


@pytest.mark.parametrize(("name", "message", "why"), REFUSED)
def test_the_sentence_names_the_field_and_the_problem(name: str, message: Any, why: str) -> None:
    sentence = violation(name, message)
    assert sentence is not None
    assert why in sentence
    assert sentence.isprintable()
    with pytest.raises(SchemaMismatch) as caught:
        check(name, message)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", names())
def test_schemas_are_schemas_and_refer_to_each_other_only(name: str) -> None:
    document = schema(name)
    Draft7Validator.check_schema(document)
    assert document["$id"] == f"https://schema.catalog.sd2e.org/schemas/{name}.json"
    assert {"title", "description", "$schema"} <= document.keys()
    assert isinstance(violation(name, 1), str)
    for reference in references(document):
        assert (FOLDER / reference).is_file()


def references(node: Any) -> set[str]:
    if isinstance(node, list):
        return {found for each in node for found in references(each)}
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own | {found for each in node.values() for found in references(each)}
    return set()


def test_schemas_name_the_states_and_events_there_are() -> None:
    assert set(schema("pipelinejob_statename")["enum"]) == set(JobState)
    assert set(schema("pipelinejob_eventname")["enum"]) == set(JobEvent)


def test_an_unknown_schema_is_a_key_error() -> None:
    for name in ("nope", "../pyproject", "", "a\0b", "pipelinejob_index.json"):
        with pytest.raises(KeyError):
            text(name)
        with pytest.raises(KeyError):
            violation(name, {})


def test_a_message_nested_too_deeply_is_refused() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert violation("pipelinejob_manager_event", {**EVENT, "uuid": deep}) == "The message is nested too deeply."
    assert violation("pipelinejob_manager_event", {**EVENT, "data": {"a": deep}}) is None


def test_huge_values_are_not_repeated() -> None:
    sentence = violation("pipelinejob_manager_event", {**EVENT, "name": "x" * 10_000_000})
    assert sentence is not None
    assert len(sentence) < 500
    sentence = violation("pipelinejob_index", {"uuid": JOB, "name": "index", "filters": [1] * 1_000_000})
    assert sentence == "The field filters[0] must be a string or an object, not 1."


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["uuid", "name", "filters", "sample_id", "id"]), inner)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.sampled_from(names()), JSON)
def test_nothing_makes_it_fail(name: str, message: Any) -> None:
    sentence = violation(name, message)
    assert sentence is None or sentence.isprintable()


def test_what_is_published_is_the_file() -> None:
    assert json.loads(text("pipelinejob_index")) == schema("pipelinejob_index")


def test_the_wheel_has_the_schemas() -> None:
    built = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert FOLDER.name in built["packages"]
