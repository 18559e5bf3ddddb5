"""Reading JSON texts that follow each other; a single one is tested with the bodies of requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abacod.errors import BadRequest
from abacod.json_text import parse_all

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(values, max_size=4), st.sampled_from(["\n", "\r\n", "\n\n", " \t\n "]))
def test_lines_are_read_back(written: list[Any], between: str) -> None:
    text = between.join(json.dumps(value) for value in written)
    assert [value for _, value in parse_all(text, "It")] == written


def test_each_value_is_told_with_its_line() -> None:
    text = '\n{"a": 1}\n\n{\n "b": 2\n}\n3 4\n'
    assert list(parse_all(text, "It")) == [(2, {"a": 1}), (4, {"b": 2}), (7, 3), (7, 4)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1}\n{"a": }\n', "It is not valid JSON: Expecting value: line 2 column 7"),
        ('{"a": 1}\n{"a": NaN}\n', "NaN is not JSON (in what begins on line 2)"),
        ('1\n\n{"a": 1, "a": 2}\n', "stands twice in one object (in what begins on line 3)"),
        ("1\n" + "9" * 5000, "more than 4000 digits (in what begins on line 2)"),
        ('1\n"\\ud800"', "half of a surrogate pair"),
        ("1\n" + "[" * 300 + "]" * 300, "nested more than 200 levels deep"),
        ("1\n" + "[" * 1_000_000, "nested more than 200 levels deep"),
        ('{"a": 1}\n{"a": 1', "line 2"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        list(parse_all(text, "It"))
    assert says in caught.value.message
