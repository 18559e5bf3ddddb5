"""The files that records are loaded from: JSON arrays, single objects, or one object after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from abacod import json_text
from abacod.errors import BadRequest, InvalidRecord


@dataclass(frozen=True, slots=True)
class Item:
    """A record as it was given, and where it stands, such as `samples.json, line 3`."""

    place: str
    value: Any


def items(data: bytes, name: str) -> Iterator[Item]:
    """The records in a file: those of an array or of an object `{"records": […]}`, or one or more objects in a row.

    Raises:
        InvalidRecord: it is no JSON in UTF-8; the message begins with `name`.
    """
    try:
        for line, value in json_text.parse_all(data.decode("utf-8-sig"), "It"):
            listed = _listed(value)
            if listed is None:
                yield Item(f"{name}, line {line}", value)
            else:
                yield from (Item(f"{name}, record {number}", each) for number, each in enumerate(listed, 1))
    except UnicodeDecodeError as error:
        raise InvalidRecord(f"{name} is not valid UTF-8: {error.reason} at byte {error.start}.") from error
    except BadRequest as error:
        raise InvalidRecord(f"{name}: {error.message}") from error


def _listed(value: Any) -> list[Any] | None:
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and value.keys() == {"records"} and isinstance(value["records"], list):
        return list(value["records"])
    return None
