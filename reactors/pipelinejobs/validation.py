"""Messages and records against the JSON Schemas of the folder `schemas` (spec/pipelinejobs 2).

Nothing is fetched: a schema's `$id` is a name, and every `$ref` leads to a file of the folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft7Validator, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

FOLDER: Final = Path(__file__).resolve().parents[2] / "schemas"
"""Beside the package, in a checkout as where the wheel is installed."""

# Of how many errors the clearest is told, and how many characters of a wrong value are shown.
_ENOUGH: Final = 20
_SHOWN: Final = 80

_TYPES: Final = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_LENGTHS: Final = {
    "minLength": "has fewer characters than {}",
    "maxLength": "has more characters than {}",
    "minItems": "has fewer items than {}",
    "minimum": "is less than {}",
    "maximum": "is more than {}",
}


class SchemaMismatch(ValueError):
    """A message is not what a schema says; the text names the field and what is wrong with it."""


@cache
def names() -> tuple[str, ...]:
    """The names of all schemas, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


def schema(name: str) -> Mapping[str, Any]:
    """The schema of that name, as it is published.

    Raises:
        KeyError: there is none.
    """
    document: dict[str, Any] = json.loads(text(name))
    return document


@cache
def text(name: str) -> bytes:
    """The file of that schema.

    Raises:
        KeyError: there is none.
    """
    if name not in names():
        raise KeyError(name)
    return (FOLDER / f"{name}.json").read_bytes()


def check(name: str, message: Any, *, at: str = "") -> None:
    """Do nothing if `message`, decoded JSON, is what the schema of that name says; `at` is the field that it is of.

    Raises:
        SchemaMismatch: it is not.
        KeyError: there is no such schema.
    """
    why = violation(name, message, at=at)
    if why is not None:
        raise SchemaMismatch(why)


def violation(name: str, message: Any, *, at: str = "") -> str | None:
    """What is wrong with `message`, decoded JSON, by the schema of that name, in a sentence; None if nothing is.

    `at` is the field that `message` is of, if it is not all of one.

    Raises:
        KeyError: there is no such schema.
    """
    try:
        # A long message may have an error in each of its items; all of them are more than anyone reads.
        error = best_match(islice(_validator(name).iter_errors(message), _ENOUGH))
        return None if error is None else _sentence(error, at)
    except RecursionError:
        return "The message is nested too deeply."


@cache
def _validator(name: str) -> Any:
    return _Validator(_whole(schema(name)))


def _whole(node: Any) -> Any:
    """A schema, or a part of one, with what it refers to in the place of its references.

    So the validator has nothing to look up, and threads may share it. No schema refers to itself.
    """
    if isinstance(node, list):
        return [_whole(each) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _whole(schema(node["$ref"].removesuffix(".json")))
    # A `$schema` inside would have that part checked by another validator.
    return {key: _whole(value) for key, value in node.items() if key not in {"$id", "$schema"}}


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterable[ValidationError]:
    # Schemas mean the end of the text by `$`; Python would let a line end follow.
    if isinstance(instance, str) and not re.search(re.sub(r"\$(?=$|\|)", r"\\Z", pattern), instance):
        yield ValidationError("pattern")


_Validator: Final = extend(Draft7Validator, {"pattern": _pattern})


def _sentence(error: ValidationError, at: str) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    where = (at + where).lstrip(".")
    field = f"The field {where}" if where else "The message"
    return f"{field} {_problem(error)}."


def _problem(error: ValidationError) -> str:
    rule, wanted, value = str(error.validator), error.validator_value, error.instance
    if rule == "required":
        return "lacks the field " + str(next(name for name in wanted if name not in value))
    if rule == "additionalProperties":
        return "has the unknown field " + next(_shown(name) for name in value if name not in error.schema["properties"])
    if rule == "anyOf":
        return "needs at least one of the fields " + ", ".join(name for each in wanted for name in each["required"])
    if rule == "type":
        kinds = [wanted] if isinstance(wanted, str) else wanted
        return f"must be {' or '.join(_TYPES[kind] for kind in kinds)}, not {_kind(value)}"
    if rule == "enum":
        return f"must be {' or '.join(map(str, wanted))}, not {_shown(value)}"
    if rule in _LENGTHS:
        return _LENGTHS[rule].format(wanted)
    about = str(error.schema.get("description", "text"))
    return f"must be {about[0].lower()}{about[1:]}, not {_shown(value)}: it does not match {wanted}"


def _kind(value: Any) -> str:
    """What a wrong value is, in few words."""
    if isinstance(value, dict):
        return _TYPES["object"]
    if isinstance(value, list):
        return _TYPES["array"]
    return "null" if value is None else _shown(value)


def _shown(value: Any) -> str:
    """A value of a message, short enough and safe for a log."""
    if isinstance(value, dict | list):
        return _kind(value)
    if isinstance(value, str):
        return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")
    return json.dumps(value)[:_SHOWN]
