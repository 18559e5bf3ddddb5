"""Every answer against the OpenAPI document: the status, the content type and the body must be what it says of the route."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, get_type_hints

from jsonschema import Draft202012Validator

from abacod.api.calls import Dialect, Route
from abacod.api.openapi import V2, V3, document
from abacod.api.reply import Compat
from abacod.api.router import Router
from abacod.api.routes import Handlers, actor_routes, other_routes
from abacod.errors import AbacoError

# The classes instead of their objects: the document needs the names and docstrings of the handlers only.
CLASSES: Final = Handlers(**get_type_hints(Handlers))
TABLES: Final = actor_routes(CLASSES), other_routes(CLASSES)
_ROUTER: Final = Router(*TABLES)


@cache
def described(compat: Compat) -> dict[str, Any]:
    """The document of a server with this setting."""
    return document(*TABLES, compat, "http://127.0.0.1:8000")


def check_answer(compat: Compat, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Fail unless the document allows this answer; `path` as it went over the wire, its query included."""
    kind = headers.get("Content-Type", "").partition(";")[0]
    found = _found(method, path.partition("?")[0])
    if isinstance(found, AbacoError):
        assert status == found.status, f"{method} {path} is answered with {status}"
        if method != "HEAD":
            _fits(compat, ("components", "schemas", "Error"), body)
        return
    route, dialect = found
    prefix = "" if route in TABLES[1] else V2 if dialect.camel_case else V3
    template = (prefix + route.path).rstrip("/") if prefix else route.path
    operation = described(compat)["paths"][template][route.method.lower()]
    answer = operation["responses"].get(str(status))
    assert answer is not None, f"{method} {template} may not be answered with {status}"
    where: tuple[str, ...] = ("paths", template, route.method.lower(), "responses", str(status))
    if "$ref" in answer:
        where = ("components", "responses", answer["$ref"].rpartition("/")[2])
        answer = described(compat)["components"]["responses"][where[-1]]
    for name in answer.get("headers", ()):
        assert name in headers, f"{method} {template}: {status} without {name}"
    content = answer.get("content", {})
    if method == "HEAD" or not content:
        assert not body
    else:
        assert kind in content, f"{method} {template}: {status} has the content type {kind!r}"
        if kind == "application/json":
            _fits(compat, (*where, "content", kind, "schema"), body)


def _found(method: str, path: str) -> tuple[Route, Dialect] | AbacoError:
    try:
        route, dialect, _ = _ROUTER.find(method, path)
    except AbacoError as refusal:
        return refusal
    return route, dialect


def _fits(compat: Compat, where: tuple[str, ...], body: bytes) -> None:
    problem = next(_validator(compat, where).iter_errors(json.loads(body)), None)
    assert problem is None, f"{'/'.join(where)}: {problem}"


@cache
def _validator(compat: Compat, where: tuple[str, ...]) -> Draft202012Validator:
    schema = described(compat)
    for key in where:
        schema = schema[key]
    return Draft202012Validator(_inlined(described(compat), schema))


def _inlined(whole: dict[str, Any], schema: Any) -> Any:
    """The schema with all that it refers to in its place, which is quicker to check; none of ours holds itself."""
    if isinstance(schema, list):
        return [_inlined(whole, each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = whole
        for key in schema["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        return _inlined(whole, target)
    return {key: _inlined(whole, value) for key, value in schema.items()}
