"""The JSON schemas of the types that requests and answers have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Final, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from abacod.api.calls import FOLLOWS_DIALECT
from abacod.api.reply import camel_case

Schema = dict[str, Any]

_REFERENCE: Final = "#/components/schemas/"
_SOURCE: Final = re.compile(r"\s*\((?:spec|seeds)\b[^)]*\)")


class Schemas:
    """Makes schemas; what has a name is made once, put into `components` and referred to.

    With `camel` the names at the top follow that spelling, as the envelope's `result` does (spec/actors-api 1.4).
    """

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def of(self, kind: Any, *, camel: bool = False) -> Schema:
        """The schema of what an answer holds: TypedDicts, lists and objects of such, unions, and plain values."""
        origin, arguments = get_origin(kind), get_args(kind)
        if is_typeddict(kind):
            return self._record(kind, camel=camel)
        if origin is Annotated:
            return self._annotated(kind, camel=camel)
        if origin in (Union, UnionType):
            return {"anyOf": [self.of(each, camel=camel) for each in arguments]}
        if origin in (list, Sequence):
            return {"type": "array", "items": self.of(arguments[0], camel=camel)}
        if origin in (dict, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        if kind in (None, NoneType):
            return {"type": "null"}
        return _plain(kind)

    def fields(self, model: type[BaseModel], *, camel: bool = False) -> Schema:
        """The schema of the fields that a request has."""
        name = model.__name__ + (".v2" if camel else "")
        if name not in self.components:
            schema = model.model_json_schema(ref_template=_REFERENCE + "{model}")
            for inner, definition in schema.pop("$defs", {}).items():
                self.components[inner] = _untitled(definition)
            self.components[name] = _untitled(_renamed(schema) if camel else schema)
        return {"$ref": _REFERENCE + name}

    def _record(self, kind: Any, *, camel: bool) -> Schema:
        name = kind.__name__ + (".v2" if camel else "")
        if name not in self.components:
            properties: dict[str, Schema] = {}
            required = []
            for key, annotation in get_type_hints(kind, include_extras=True).items():
                optional = get_origin(annotation) is NotRequired
                properties[key] = self.of(get_args(annotation)[0] if optional else annotation)
                if properties[key].pop(FOLLOWS_DIALECT, False) and camel:
                    properties[key] = self.of(annotation, camel=True)
                    del properties[key][FOLLOWS_DIALECT]
                if not optional and key in kind.__required_keys__:
                    required.append(key)
            schema = {
                "type": "object",
                "description": without_source(kind.__doc__ or ""),
                "properties": properties,
                "required": required,
                "additionalProperties": False,
            }
            self.components[name] = _renamed(schema) if camel else schema
        return {"$ref": _REFERENCE + name}

    def _annotated(self, kind: Any, *, camel: bool) -> Schema:
        inner, *notes = get_args(kind)
        schema = self.of(inner, camel=camel)
        if "$ref" not in schema and "anyOf" not in schema and schema.get("type") not in ("array", "object"):
            return _plain(kind)
        for note in notes:
            if isinstance(note, FieldInfo):
                schema |= {"description": note.description} if note.description else {}
                schema |= note.json_schema_extra if isinstance(note.json_schema_extra, dict) else {}
        return schema


def _plain(kind: Any) -> Schema:
    """A text, a number, an enumeration, anything: what pydantic says of it."""
    schema: Schema = _untitled(TypeAdapter(kind).json_schema())
    return schema


def _renamed(schema: Schema) -> Schema:
    return schema | {
        "properties": {camel_case(name): value for name, value in schema["properties"].items()},
        "required": [camel_case(name) for name in schema.get("required", ())],
    }


def _untitled(schema: Any) -> Any:
    """Without the titles that pydantic makes of names, and without defaults of null: they say nothing."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: value
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }
    return {
        key: without_source(value) if key == "description" and isinstance(value, str) else _untitled(value)
        for key, value in kept.items()
    }


def without_source(text: str) -> str:
    """A docstring names where a rule comes from, which readers of the document do not have."""
    return _SOURCE.sub("", " ".join(text.split()))
