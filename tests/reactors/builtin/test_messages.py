from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactors.builtin.messages import DEEPEST, decoded

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_json_and_what_python_prints_of_the_same_mean_the_same(value: Any) -> None:
    assert decoded(json.dumps(value)) == value
    assert decoded(repr(value)) == value


@pytest.mark.parametrize("text", ["", " \n", '{"message": ""}', '{"message": null}'])
def test_no_message_is_an_empty_object(text: str) -> None:
    assert decoded(text) == {}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "words",
        "__import__('os')",
        "NaN",
        "[Infinity]",
        "1e999",
        "{'a': 1e999}",
        "{1, 2}",
        "b'bytes'",
        "2j",
        '"\\ud800"',
        '{"\\udfff": 1}',
        "'\\ud800'",
        "9" * 5000,
        "[" * 1_000_000,
        "{'a':" * 100_000,
        "(" * 10_000 + ")" * 10_000,
        "-" * 100_000 + "1",
        "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
        "\x00",
        "{[]: 1}",
        "(" + "1," * 5_000_000 + ")",
    ],
    ids=lambda text: text[:20],
)
def test_what_json_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^The message "):
        decoded(text)


def test_what_is_just_not_too_deep_is_taken() -> None:
    assert decoded("[" * DEEPEST + "]" * DEEPEST)


def test_keys_that_are_no_texts_become_some() -> None:
    assert decoded("{1: (2, None)}") == {"1": [2, None]}
