"""The OpenAPI 3.1 document, made of the table of routes and of the types that the handlers work with."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from abacod import __version__
from abacod.api.body import FORM, MULTIPART
from abacod.api.calls import Content, Handler, Need, Route
from abacod.api.reply import Compat
from abacod.api.schemas import Schema, Schemas, without_source

JSON: Final = "application/json"
V3: Final = "/v3/actors"
V2: Final = "/actors/v2"

_ABOUT: Final = """\
Functions-as-a-service on the actor model.

Every answer but a few (which say so) is an envelope of `message`, `result`, `status` and `version`. The addresses under
`/v3/actors` are also served under `/actors`; those under `/actors/v2` answer with names in camelCase at the top of
`result`. As input each prefix takes both spellings. Fields may come as a JSON object, in a form or in the query.
`HEAD` is answered as `GET`."""

_PARAMETERS: Final = {
    "actor": "The actor's id, or an alias of it.",
    "alias": "The name of the alias.",
    "nonce": "The nonce's id.",
    "config": "The name of the config.",
    "job": "The job's UUID.",
    "execution": "The execution's id.",
    "worker": "The worker's id.",
    "database": "What is searched: actors, workers, executions or logs.",
    "app": "The app's id.",
    "batch_job": "The batch job's id.",
    "schema": "The schema's name, and `.json`.",
    "pipeline": "The UUID of a pipeline, or its readable id.",
    "kind": "A kind of records of the data catalog, such as `sample`.",
    "record": "The record's UUID, id, path or URI.",
    "tenant": "The tenant's id.",
    "username": "The user's name.",
    "file": "The file's UUID, readable id or percent-encoded `agave://` URI.",
}

_ERRORS: Final = {
    400: "The path, the query or the body cannot be read, or a field is wrong; the message names it.",
    401: "Credentials are missing or not good.",
    403: "The caller may not do that.",
    404: "Nothing is here, or what the path names does not exist.",
    409: "This does not fit the present state.",
    413: "The body is too long.",
    500: "A defect of abacod; its log has the details.",
    503: "What this needs does not answer at the moment; try again.",
    504: "What was waited for did not come in time.",
}
_HEADERS: Final = {
    401: {"WWW-Authenticate": "The scheme of the credentials."},
    503: {"Retry-After": "In seconds."},
}

_WRITING: Final = ("POST", "PUT", "PATCH")
_IN_PATH: Final = re.compile(r"{(\w+)}")


def document(actor_routes: Sequence[Route], other_routes: Sequence[Route], compat: Compat, public_url: str) -> Schema:
    """The whole document, as JSON; `public_url` is the server that it names."""
    writer = _Writer(compat)
    for route in actor_routes:
        writer.add(V3 + route.path.rstrip("/"), route)
    for route in other_routes:
        writer.add(route.path, route)
    for route in actor_routes:
        writer.add(V2 + route.path.rstrip("/"), route, camel=True)
    return {
        "openapi": "3.1.0",
        "info": {"title": "abacod", "version": __version__, "description": _ABOUT},
        "servers": [{"url": public_url}],
        "tags": [{"name": tag} for tag in writer.tags],
        "paths": writer.paths,
        "components": {
            "schemas": writer.schemas.components,
            "responses": writer.responses,
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Tapis-Token"},
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "nonce": {"type": "apiKey", "in": "query", "name": "x-nonce"},
            },
        },
    }


def summary_of(handler: Handler) -> tuple[str, str]:
    """What a handler does, in a sentence, and more about it, from its docstring: `GET /{actor}: Show an actor.`"""
    head, _, more = (inspect.getdoc(handler) or "").partition("\n\n")
    more = without_source(more.partition("Raises:")[0])
    return re.sub(r"^[A-Z]+ /\S*(: |$)", "", without_source(head)), more


class _Writer:
    """Puts routes into the document one by one."""

    def __init__(self, compat: Compat) -> None:
        self._compat = compat
        self.schemas = Schemas()
        self.paths: dict[str, dict[str, Any]] = {}
        self.responses = {f"Error{status}": _error(status) for status in _ERRORS}
        self.schemas.components["Error"] = _envelope("error", {})
        self.tags: list[str] = []

    def add(self, path: str, route: Route, *, camel: bool = False) -> None:
        """Add one operation at `path`."""
        noun, _, verb = route.handler.__qualname__.partition(".")
        tag = noun.removesuffix("Api")
        if tag not in self.tags:
            self.tags.append(tag)
        summary, more = summary_of(route.handler)
        operation: dict[str, Any] = {
            "operationId": f"{tag.lower()}_{verb}" + ("_v2" if camel else ""),
            "tags": [tag],
            "summary": summary,
            **({"description": more} if more else {}),
            "parameters": [*_path_parameters(path), *self._query_parameters(route, camel=camel)],
        }
        body = self._body(route, camel=camel)
        if body:
            operation["requestBody"] = body
        operation["responses"] = self._responses(route, camel=camel)
        operation["security"] = _security(route)
        self.paths.setdefault(path, {})[route.method.lower()] = operation

    def _content(self, content: Content) -> Schema:
        return {kind: {"schema": self._held(content, kind) | {"description": content.says}} for kind in content.kinds}

    def _held(self, content: Content, kind: str) -> Schema:
        return self.schemas.of(content.holds) if kind == JSON else {"type": "string"}

    def _query_parameters(self, route: Route, *, camel: bool) -> list[Schema]:
        if route.takes is None or (route.method in _WRITING and not isinstance(route.takes, tuple)):
            return []
        parameters = []
        for model in _alternatives(route.takes):
            if isinstance(model, Content):
                continue
            fields = self.schemas.fields(model, camel=camel)
            schema = self.schemas.components[fields["$ref"].rpartition("/")[2]]
            parameters += [
                {
                    "name": name,
                    "in": "query",
                    "required": name in schema.get("required", ()),
                    "schema": {key: value for key, value in field.items() if key != "description"},
                    **({"description": field["description"]} if "description" in field else {}),
                }
                for name, field in schema["properties"].items()
            ]
        return parameters

    def _body(self, route: Route, *, camel: bool) -> Schema | None:
        if route.method not in _WRITING or route.takes is None:
            return None
        content: dict[str, Schema] = {}
        required = False
        for kind in _alternatives(route.takes):
            if isinstance(kind, Content):
                content |= self._content(kind)
                continue
            fields = self.schemas.fields(kind, camel=camel)
            for name in (JSON, FORM, MULTIPART):
                content.setdefault(name, {"schema": fields})
            required = bool(self.schemas.components[fields["$ref"].rpartition("/")[2]].get("required"))
        return {"required": required, "content": content}

    def _responses(self, route: Route, *, camel: bool) -> Schema:
        status = 200 if self._compat == "abaco" and route.status == 201 else route.status  # noqa: PLR2004 - "created"
        answers: dict[str, Any] = {
            str(each): self._success(route, each, camel=camel and not route.as_is)
            for each in (status, route.also)
            if each is not None
        }
        for error in sorted(_failures(route)):
            if error == 403 and self._compat == "abaco":  # noqa: PLR2004 - the one that old clients do not know
                continue
            answers[str(error)] = {"$ref": f"#/components/responses/Error{error}"}
        return answers

    def _success(self, route: Route, status: int, *, camel: bool) -> Schema:
        content: dict[str, Schema] = {}
        for kind in _alternatives(route.gives):
            if isinstance(kind, Content):
                content |= self._content(kind)
            else:
                content[JSON] = {"schema": _envelope("success", self.schemas.of(kind, camel=camel))}
        return {"description": HTTPStatus(status).phrase, **({"content": content} if content else {})}


def _alternatives(kinds: Any) -> tuple[Any, ...]:
    return kinds if isinstance(kinds, tuple) else (kinds,)


def _failures(route: Route) -> set[int]:
    """The error statuses that a route may answer with."""
    failures = {400, 500, 503, *route.fails}
    if route.need is not Need.NOTHING:
        failures |= {401, 403}
    if "{" in route.path:
        failures.add(404)
    if "{actor}" in route.path and route.method != "GET":
        failures.add(409)
    if route.method in _WRITING and route.takes is not None:
        failures.add(413)
    return failures


def _security(route: Route) -> list[Schema]:
    demand = route.need.value
    if demand is None:
        return []
    ways = ("token", "bearer", "nonce") if demand.takes_nonces else ("token", "bearer")
    return [{way: []} for way in ways]


def _path_parameters(path: str) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
            **({"description": _PARAMETERS[name]} if name in _PARAMETERS else {}),
        }
        for name in _IN_PATH.findall(path)
    ]


def _error(status: int) -> Schema:
    headers = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.get(status, {}).items()
    }
    return {
        "description": _ERRORS[status],
        **({"headers": headers} if headers else {}),
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def _envelope(status: str, result: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {
            "message": {"type": "string", "minLength": 1},
            "result": result,
            "status": {"const": status},
            "version": {"type": "string"},
        },
        "required": ["message", "result", "status", "version"],
        "additionalProperties": False,
    }
