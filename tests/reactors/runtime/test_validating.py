"""Checking messages against schemas (spec/pipelinejobs 8.4)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reactors.runtime import Reactor

Make = Callable[..., Reactor]
SCHEMA = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
REFERRING = {
    "$id": "https://schema.catalog.sd2e.org/schemas/x.json",
    "properties": {"uuid": {"$ref": "pipelinejob_uuid.json"}, "own": {"$ref": "own.json"}},
}
JOB = "1073f4ff-c2b9-5190-bd9a-e6a406d9796a"


def test_the_own_message_fits_the_own_schema_or_not(reactor: Make, capsys: pytest.CaptureFixture[str]) -> None:
    Path("message.jsonschema").write_text(json.dumps(SCHEMA))
    assert reactor().validate_message()
    assert not reactor(MSG='{"b": 1}').validate_message()
    assert "'a' is a required property" in capsys.readouterr().err
    with pytest.raises(jsonschema.ValidationError):
        reactor(MSG='{"b": 1}').validate_message(permissive=False)


def test_a_message_that_could_not_be_read_is_said_to_be_so(reactor: Make, capsys: pytest.CaptureFixture[str]) -> None:
    Path("message.jsonschema").write_text(json.dumps(SCHEMA))
    rx = reactor(MSG='{"a": true, "b": "2}')
    assert not rx.validate_message()
    assert "(message is not JSON: JSONDecodeError; message is not a Python literal:" in capsys.readouterr().err
    # of another message nothing is said about the own one's
    assert not rx.validate_message({"b": 1})
    assert "is not JSON" not in capsys.readouterr().err


def test_both_signatures(reactor: Make, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(SCHEMA))
    rx = reactor()
    assert rx.validate_message({"a": True}, "mine.json", True)
    assert not rx.validate_message({}, str(tmp_path / "mine.json"))
    assert rx.validate_message(messagedict={"a": True}, messageschema="mine.json")
    assert not rx.validate_message(message={}, schema=SCHEMA)


def test_without_a_schema_of_messages_any_schema_of_the_directory_will_do(reactor: Make) -> None:
    Path("schemas").mkdir()
    Path("schemas/a.json").write_text(json.dumps({**SCHEMA, "required": ["b"]}))
    Path("schemas/b.jsonschema").write_text(json.dumps(SCHEMA))
    assert reactor().validate_message()
    assert not reactor(MSG="[]").validate_message()


def test_formats_are_checked(reactor: Make) -> None:
    schema = {"properties": {"day": {"type": "string", "format": "date"}}}
    assert reactor().validate_message({"day": "2019-02-01"}, schema)
    assert not reactor().validate_message({"day": "2019-02-31"}, schema)


@pytest.mark.parametrize("with_id", [True, False])
@pytest.mark.parametrize("as_file", [True, False])
def test_references_lead_to_files_and_to_the_shared_schemas(reactor: Make, with_id: bool, as_file: bool) -> None:
    Path("own.json").write_text('{"type": "number"}')
    schema: Any = REFERRING if with_id else {key: value for key, value in REFERRING.items() if key != "$id"}
    if as_file:
        Path("x.json").write_text(json.dumps(schema))
        schema = "x.json"
    rx = reactor()
    assert rx.validate_message({"uuid": JOB, "own": 1}, schema, permissive=False)
    assert not rx.validate_message({"uuid": JOB, "own": "1"}, schema)
    assert not rx.validate_message({"uuid": JOB.replace("107", "106", 1)}, schema)


def test_a_reference_to_nowhere_is_no_request(reactor: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert not reactor().validate_message({"x": 1}, {"properties": {"x": {"$ref": "http://127.0.0.1:1/gone.json"}}})
    assert "gone.json" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"type": "nothing"}', "3"])
def test_a_bad_schema_is_a_no_or_an_error(reactor: Make, text: str) -> None:
    Path("bad.json").write_text(text)
    rx = reactor()
    assert not rx.validate_message({}, "bad.json")
    with pytest.raises((ValueError, TypeError, AttributeError, jsonschema.SchemaError)):
        rx.validate_message({}, "bad.json", permissive=False)


def test_a_missing_schema_is_an_error(reactor: Make) -> None:
    assert not reactor().validate_message()
    with pytest.raises(FileNotFoundError, match=r"message\.jsonschema"):
        reactor().validate_message(permissive=False)


def test_a_message_nested_too_deeply_does_not_fit(reactor: Make) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(jsonschema.ValidationError, match="deep"):
        reactor().validate_message(deep, {"items": {"$ref": "#"}}, permissive=False)
