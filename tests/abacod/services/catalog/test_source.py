"""Files with records, in each of their forms."""

from __future__ import annotations

import pytest

from abacod.errors import InvalidRecord
from abacod.services.catalog.source import Item, items


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (b'[{"a": 1}, {"a": 2}]', ["record 1", "record 2"]),
        (b'{"records": [{"a": 1}, {"a": 2}]}', ["record 1", "record 2"]),
        (b'{"a": 1}\n\n{"a": 2}\n', ["line 1", "line 3"]),
        (b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}', ["line 1", "line 2"]),
        (b'{"a":\n1}\n{"a":\n2}', ["line 1", "line 3"]),
    ],
)
def test_every_form_gives_the_records_and_their_places(text: bytes, places: list[str]) -> None:
    assert list(items(text, "f")) == [Item(f"f, {place}", {"a": number}) for number, place in enumerate(places, 1)]


def test_a_single_object_is_a_record() -> None:
    assert list(items(b'{"records": 1}', "f")) == [Item("f, line 1", {"records": 1})]


@pytest.mark.parametrize("text", [b"", b" \n", b"[]"])
def test_nothing_is_no_records(text: bytes) -> None:
    assert list(items(text, "f")) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b'[{"a": 1},]', "f: It is not valid JSON"),
        (b"\xff", "f is not valid UTF-8"),
        (b"[" * 1_000_000, "f: The JSON is nested"),
        (b'{"a": "\\ud800"}', "f: The JSON holds half of a surrogate pair"),
    ],
)
def test_what_is_no_json_is_refused_with_the_name_of_the_file(text: bytes, says: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        list(items(text, "f"))
    assert caught.value.message.startswith(says)
