from __future__ import annotations

from itertools import combinations
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactors.pipelinejobs.linkage import KEYS, given_linkage, identity_key, path_key, used_files
from reactors.pipelinejobs.validation import violation

SAMPLE: Final = "103246e1-bcdf-5b6e-a8dc-4c7e81b91141"
MEASUREMENT: Final = "1041ab3f-5221-5c79-8781-8838dfb6eef9"
SYSTEM: Final = "data-sd2e-community"


def test_one_text_or_a_list_of_ids_and_uuids() -> None:
    message: dict[str, Any] = {
        "sample_id": ["sample.tacc.20001", "uri:urn:" + SAMPLE, "sample.tacc.20001"],
        "measurement_id": "measurement.tacc.0xDEADBEEF",
        "experiment_design_id": "Pipeline-Automation",
        "experiment_id": None,
        "data": {},
    }
    assert given_linkage(message) == {
        "experiment_design_id": ("Pipeline-Automation",),
        "sample_id": ("sample.tacc.20001", SAMPLE),
        "measurement_id": ("measurement.tacc.0xDEADBEEF",),
    }
    assert given_linkage({}) == {}


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("sample_id", [], "a list of them that is not empty"),
        ("sample_id", 1, "a list of them that is not empty"),
        ("sample_id", {"a": 1}, "a list of them that is not empty"),
        ("sample_id", ["sample.a.b", 1], "each id or UUID must be a text"),
        ("sample_id", [["sample.a.b"]], "each id or UUID must be a text"),
        ("sample_id", "", "is no id of this kind; those are of the form sample.LAB.NAME"),
        ("sample_id", "measurement.tacc.1", "is no id of this kind"),
        ("sample_id", ["sample.a.b", MEASUREMENT], "is no UUID of this kind; those begin with 103"),
        ("experiment_design_id", SAMPLE, "those begin with 114"),
        ("experiment_design_id", "", "is no id of this kind; those are of the form a text"),
        ("experiment_id", "ThisCanNeverEverEverWork", "experiment.LAB.NAME"),
        ("experiment_id", "experiment..1", "experiment.LAB.NAME"),
        ("measurement_id", "measurement.tacc.", "measurement.LAB.NAME"),
        ("measurement_id", "measurement.tacc.1\n", "measurement.LAB.NAME"),
        ("measurement_id", "measurement.tacc.\0", "measurement.LAB.NAME"),
        ("measurement_id", "measurement.tacc.\ud800", "measurement.LAB.NAME"),
        ("measurement_id", "x" * 1_000_000, "measurement.LAB.NAME"),
    ],
)
def test_what_names_nothing_is_refused(key: str, value: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        given_linkage({key: value})
    assert str(caught.value).startswith(f"{key}: ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@settings(deadline=None)
@given(
    st.sampled_from(list(KEYS)),
    st.text(max_size=3),
    st.sampled_from(["", "sample.a.", "experiment.a.", "103", "uri:urn:"]),
)
def test_what_is_taken_fits_the_schema(key: str, text: str, begin: str) -> None:
    message = {key: begin + text}
    try:
        given_linkage(message)
    except ValueError:
        return
    assert violation("datacatalog_field", message) is None


@pytest.mark.parametrize("keys", [keys for size in range(5) for keys in combinations(KEYS, size)])
def test_which_key_decides(keys: tuple[str, ...]) -> None:
    message = dict.fromkeys(keys)
    if not keys:
        assert path_key(message) is identity_key(message) is None
        return
    assert identity_key(message) == keys[-1]  # they stand from coarse to fine
    for better, worse in [
        ("sample_id", "experiment_id"),
        ("experiment_id", "experiment_design_id"),
        ("experiment_design_id", "measurement_id"),
    ]:
        if better in keys:
            assert path_key(message) != worse
    if "sample_id" in keys:
        assert path_key(message) == "sample_id"
    if keys == ("measurement_id",):
        assert path_key(message) == "measurement_id"


def test_inputs_by_name_are_all_taken() -> None:
    inputs = {
        "file1": "agave://data.tacc.cloud/examples/tacobot/test1.txt",
        "path": "/uploads/a.txt",
        "relative": "a/b.txt",
        "several": ["/reference/g.fa", "https://a.b/c", 1, None, ["deep"]],
        "id": "file.tacc.abc",
        "number": 5,
        "flag": True,
        "object": {"x": "/uploads/no.txt"},
        "empty": " ",
        "bad": "\ud800",
    }
    assert used_files({"inputs": inputs}, SYSTEM) == (
        "agave://data-sd2e-community/a/b.txt",
        "agave://data-sd2e-community/reference/g.fa",
        "agave://data-sd2e-community/uploads/a.txt",
        "agave://data.tacc.cloud/examples/tacobot/test1.txt",
        "file.tacc.abc",
        "https://a.b/c",
    )


def test_inputs_in_a_list_must_look_like_files_or_references() -> None:
    inputs = [
        *(
            "/uploads/a",
            "agave://s/products/b",
            "/reference/c",
            "http://a.b/c",
            "/home/x",
            "agave://s/home/y",
            "uploads/z",
        ),
        *(1, None, {"a": "/uploads/d"}),
    ]
    assert used_files({"inputs": inputs}, SYSTEM) == (
        f"agave://{SYSTEM}/reference/c",
        f"agave://{SYSTEM}/uploads/a",
        "agave://s/products/b",
        "http://a.b/c",
    )


def test_parameters_must_name_a_file() -> None:
    parameters = {
        "salsa": True,
        "avocado": False,
        "n": 1.5,
        "text": "some text",
        "path": "/home/x",
        "none": None,
        "uri": "agave://s/any/where",
        "up": "/work/uploads/a",
        "web": "https://a.b/c",
        "several": ["/products/b", "plain", 7],
    }
    assert used_files({"parameters": parameters}, SYSTEM) == (
        f"agave://{SYSTEM}/products/b",
        f"agave://{SYSTEM}/work/uploads/a",
        "agave://s/any/where",
        "https://a.b/c",
    )


@pytest.mark.parametrize("value", [None, 1, "text", True, [], {}, [[]], {"a": {"b": ["/uploads/x"]}}])
def test_other_shapes_name_nothing(value: Any) -> None:
    assert used_files({"inputs": value, "parameters": value}, SYSTEM) == ()
    assert used_files({"anything": "/uploads/x"}, SYSTEM) == ()
