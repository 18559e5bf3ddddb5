from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abacod.client.errors import Usage
from abacod.client.sending import message, pairs


def sent(text: str | None = None, file: str | None = None, **how: bool) -> object:
    """The body that a message becomes."""
    built = message(text, file, None, as_json=how.get("as_json", False), as_text=how.get("as_text", False))
    assert isinstance(built.content, bytes)
    assert built.content_type == "application/json"
    return json.loads(built.content)


@pytest.mark.parametrize("text", ["hello", "Actor, count!", "{'a': 1}", "NaN", "ä\n名", "{", " x "])
def test_text_goes_as_the_field_message(text: str) -> None:
    assert sent(text) == {"message": text}


@pytest.mark.parametrize("text", ['{"data": {"key1": "value 1"}}', "42", "[1]", "true", '"x"'])
def test_json_goes_as_it_is_unless_it_is_said_to_be_text(text: str) -> None:
    assert sent(text) == json.loads(text)
    assert sent(text, as_json=True) == json.loads(text)
    assert sent(text, as_text=True) == {"message": text}


@given(st.text(min_size=1).filter(lambda text: text != "-" and text.isprintable()))
def test_text_is_never_changed(text: str) -> None:
    assert sent(text, as_text=True) == {"message": text}


def test_a_message_may_come_from_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "message").write_text("häm\n\n")
    assert sent(file=str(tmp_path / "message")) == {"message": "häm\n"}
    for text, file in (("-", None), (None, "-")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}\n')))
        assert sent(text, file) == {"a": 1}


def test_bytes_come_from_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "message").write_bytes(b"\xff\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xfe")))
    for source, data in ((str(tmp_path / "message"), b"\xff\n"), ("-", b"\xfe")):
        with message(None, None, source, as_json=False, as_text=False) as built:
            assert not isinstance(built.content, bytes)
            assert b"".join(built.content) == data
            assert built.content_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("arguments", "how", "problem"),
    [
        ((None, None, None), {}, "Give one message"),
        (("a", "b", None), {}, "Give one message"),
        (("a", None, "b"), {}, "Give one message"),
        (("", None, None), {}, "empty"),
        (("a", None, None), {"as_json": True}, "not JSON"),
        (("NaN", None, None), {"as_json": True}, "not JSON"),
        (("[" * 100_000, None, None), {"as_json": True}, "not JSON"),
        (("1", None, None), {"as_json": True, "as_text": True}, "not both"),
        ((None, None, "x"), {"as_text": True}, "--binary goes with neither"),
        ((None, "/no/such/file", None), {}, "Cannot read /no/such/file"),
        ((None, None, "/no/such/file"), {}, "Cannot read /no/such/file"),
        ((None, None, "/"), {}, "Cannot read /"),
        (("\udcff", None, None), {}, "not UTF-8"),
    ],
)
def test_what_is_no_message_is_refused(
    arguments: tuple[str | None, str | None, str | None], how: dict[str, bool], problem: str
) -> None:
    with pytest.raises(Usage, match=problem):
        message(*arguments, as_json=how.get("as_json", False), as_text=how.get("as_text", False))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(Usage, match="use --binary"):
        sent(file=str(tmp_path / "bytes"))


def test_parameters() -> None:
    assert pairs(["token=0df45d5e9e0f31e2"]) == [("token", "0df45d5e9e0f31e2")]
    assert pairs(["a=1&b=x=y", "c="]) == [("a", "1"), ("b", "x=y"), ("c", "")]
    assert pairs(["a=1%262+3&&"]) == [("a", "1&2+3")]
    for wrong in ("a", "=1", "a=1&b"):
        with pytest.raises(Usage, match="not KEY=VALUE"):
            pairs([wrong])
