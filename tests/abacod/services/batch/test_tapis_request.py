from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abacod.errors import BatchJobRefused
from abacod.services.batch.tapis_request import AppKey, app_key, request_of, tag_of
from tests.abacod.services.batch.tapis_bench import DEFINITION
from tests.abacod.services.batch.tapis_service import job_schema
from tests.factories import TENANT

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("name", "inputs", "parameters", "maxRunTime", "memoryPerNode", "nodeCount", "archivePath", "executionSystem")


def request(**changes: Any) -> dict[str, Any]:
    return request_of({**DEFINITION, **changes}, {}, "tag")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("wordcount-0.1.0", ("wordcount", "0.1.0")),
        ("tacobot9000-0.1.0u1", ("tacobot9000", "0.1.0u1")),
        ("my-2d-plot-1.0", ("my-2d-plot", "1.0")),
        ("app-1.0.0-beta", ("app", "1.0.0-beta")),
        ("app", None),
        ("app-beta", None),
        ("-1.0", None),
        ("a/b-1", None),
        ("a-1\n", None),
        (7, None),
    ],
)
def test_the_version_begins_at_the_last_hyphen_before_a_digit(text: Any, key: tuple[str, str] | None) -> None:
    assert app_key(text) == (AppKey(*key) if key else None)


def test_a_tag_is_that_of_one_tenant_and_key() -> None:
    assert tag_of(TENANT, "a") == tag_of(TENANT, "a") != tag_of(TENANT, "b")
    assert tag_of(TENANT, "\ud800")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_whatever_is_given_is_refused_or_fits_the_schema(changes: dict[str, Any]) -> None:
    try:
        made = request(**changes)
    except BatchJobRefused:
        return
    jsonschema.validate(made, job_schema())


def test_several_files_of_an_input_are_an_array() -> None:
    made = request(inputs={"one": "https://example.org/a", "two": ["agave://s/a", "s3://s/b"], "none": None, "no": []})
    assert made["fileInputs"] == [{"name": "one", "sourceUrl": "https://example.org/a"}]
    assert made["fileInputArrays"] == [{"name": "two", "sourceUrls": ["tapis://s/a", "s3://s/b"]}]


def test_parameters_are_variables_unless_the_app_has_such_an_argument() -> None:
    app = {"jobAttributes": {"parameterSet": {"appArgs": [{"name": "--x"}, {"name": 7}, None]}}}
    made = request_of({**DEFINITION, "parameters": {"--x": 1.5, "Y": ["a", 2], "Z": None}}, app, "tag")
    assert made["parameterSet"] == {
        "appArgs": [{"name": "--x", "arg": "1.5"}],
        "envVariables": [{"key": "Y", "value": "a 2"}],
    }


@pytest.mark.parametrize(
    "app", [{"jobAttributes": 1}, {"jobAttributes": {"parameterSet": []}}, {"jobAttributes": {"parameterSet": {}}}]
)
def test_an_app_without_arguments_has_none(app: dict[str, Any]) -> None:
    assert not request_of(DEFINITION, app, "tag")["parameterSet"]["appArgs"]


def test_the_needs_of_a_job_have_other_names_and_units() -> None:
    made = request(
        maxRunTime="48:00:01",
        memoryPerNode="1.5GB",
        nodeCount=2,
        processorsPerNode=16,
        batchQueue="q",
        executionSystem="e",
    )
    assert (made["maxMinutes"], made["memoryMB"], made["nodeCount"], made["coresPerNode"]) == (2881, 1536, 2, 16)
    assert (made["execSystemLogicalQueue"], made["execSystemId"]) == ("q", "e")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("appId", "app"),
        ("name", 7),
        ("name", "a\0"),
        ("inputs", []),
        ("inputs", {"x": "relative"}),
        ("inputs", {"x": 7}),
        ("inputs", {"x": ["agave://s/a", 7]}),
        ("inputs", {"x": "agave://s/\ud800"}),
        ("parameters", {"a b": 1}),
        ("parameters", {"_tapisX": 1}),
        ("parameters", {"x": float("nan")}),
        ("parameters", {"x": "a\0"}),
        ("maxRunTime", "1h"),
        ("maxRunTime", "00:00:00"),
        ("memoryPerNode", "4"),
        ("memoryPerNode", "0GB"),
        ("nodeCount", True),
        ("nodeCount", 0),
        ("nodeCount", 2**40),
        ("archivePath", 7),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(BatchJobRefused, match=f"^{field}"):
        request(**{field: value})
