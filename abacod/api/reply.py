"""Answers: the envelope, the spelling of field names, links and times (spec/actors-api 1.3-1.5)."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, overload
from urllib.parse import quote

import orjson
from aiohttp import web
from pydantic import Field

from abacod import __version__
from abacod.api.calls import Call, Dialect
from abacod.clock import isoformat
from abacod.errors import AbacoError, MethodNotAllowed
from abacod.ids import ActorId, ExecutionId, Username

Compat = Literal["documented", "abaco"]

Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", description="UTC.")]
"""A time as the API shows it."""

NEVER: Final = "None"
"""What fields show that hold a time that has not come yet, where clients want a non-empty text (spec/actors-api 1.5)."""

# What answers with these statuses have besides: how to log in, and in how many seconds to try again.
_HEADERS: Final = {401: {"WWW-Authenticate": 'Bearer realm="abacod"'}, 503: {"Retry-After": "5"}}
# Bodies that are sent in pieces have more than that, in bytes; long texts are written down in steps of so many characters.
_LARGE: Final = 1_048_576
_STEP: Final = 131_072
_UNDERSCORE: Final = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")


class Replies:
    """Makes responses. `public_url` is the base of all links."""

    def __init__(self, public_url: str, compat: Compat) -> None:
        self.public_url = public_url
        self.compat = compat

    def ok(self, call: Call, result: Any, message: str) -> web.Response:
        """200 with an object, or a list of objects, whose field names follow the dialect."""
        return envelope(spelled(result, call.dialect), message, status=200)

    async def long(self, result: Any, message: str) -> web.Response:
        """As `as_is`, for a result with texts of any length: other requests are served while it is written down."""
        written = await _encoded(_document(result, message, "success"))
        # A large body goes out in pieces: copied as a whole it would keep all other requests waiting.
        large = written.tell() > _LARGE
        written.seek(0)
        return _json_response(written if large else written.getvalue(), 200)

    def created(self, call: Call, result: Any, message: str) -> web.Response:
        """201, or 200 as the reference service answered (spec/decisions)."""
        return envelope(spelled(result, call.dialect), message, status=200 if self.compat == "abaco" else 201)

    def as_is(self, result: Any, message: str) -> web.Response:
        """200 with a result whose names do not follow the dialect."""
        return envelope(result, message, status=200)

    def error(self, error: AbacoError) -> web.Response:
        """The envelope of an error."""
        status = error.status
        if self.compat == "abaco" and error.abaco_status is not None:
            status = error.abaco_status
        response = envelope(error.result, error.message, status=status, kind="error")
        if isinstance(error, MethodNotAllowed):
            also = {"OPTIONS", "HEAD"} if "GET" in error.allowed else {"OPTIONS"}
            response.headers["Allow"] = ", ".join(sorted(error.allowed | also))
        return response

    def actor_link(self, dialect: Dialect, actor_id: ActorId) -> str:
        """The address of an actor."""
        return f"{self.public_url}{dialect.links}/{actor_id}"

    def execution_link(self, dialect: Dialect, actor_id: ActorId, execution_id: ExecutionId) -> str:
        """The address of an execution."""
        return f"{self.actor_link(dialect, actor_id)}/executions/{execution_id}"

    def alias_link(self, dialect: Dialect, alias: str) -> str:
        """The address of an alias."""
        return f"{self.public_url}{dialect.links}/aliases/{quote(alias, safe='')}"

    def profile_link(self, dialect: Dialect, username: Username) -> str:
        """The address of a user's profile."""
        return f"{self.public_url}{dialect.profiles}/{username}"


def envelope(result: Any, message: str, *, status: int, kind: Literal["success", "error"] = "success") -> web.Response:
    """A JSON response with exactly the content type `application/json`, which tapipy compares for equality."""
    document = _document(result, message, kind)
    try:
        written = orjson.dumps(document)
    except TypeError:
        # A user's own JSON may have whole numbers beyond 64 bits.
        written = json.dumps(document).encode()
    return _json_response(written, status)


def _document(result: Any, message: str, kind: Literal["success", "error"]) -> dict[str, Any]:
    return {"message": message, "result": result, "status": kind, "version": __version__}


def _json_response(body: bytes | io.BytesIO, status: int) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json", headers=_HEADERS.get(status))


async def _encoded(document: Any) -> io.BytesIO:
    """JSON, made in small steps."""
    written = io.BytesIO()
    since_turn = 0
    for part in _json_parts(document):
        written.write(part.encode())
        since_turn += len(part)
        if since_turn >= _STEP:
            since_turn = 0
            await asyncio.sleep(0)
    return written


def _json_parts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield '"'
        for start in range(0, len(value), _STEP):
            yield json.dumps(value[start : start + _STEP])[1:-1]
        yield '"'
    elif isinstance(value, Mapping):
        yield "{"
        for number, (name, item) in enumerate(value.items()):
            yield f"{', ' if number else ''}{json.dumps(name)}: "
            yield from _json_parts(item)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, item in enumerate(value):
            yield ", " if number else ""
            yield from _json_parts(item)
        yield "]"
    else:
        yield json.dumps(value)


def octets(data: bytes) -> web.Response:
    """A result of an execution, as it was sent."""
    return web.Response(body=data, content_type="application/octet-stream")


def page(text: str) -> web.Response:
    """Text that clients take for HTML; what a container wrote may do nothing in a browser."""
    response = web.Response(text=text, content_type="text/html", charset="utf-8")
    response.headers["Content-Security-Policy"] = "sandbox"
    return response


def allow_origin(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Let programs in browsers read the answer, wherever they come from; before its head is sent (spec/actors-api 7.7)."""
    origin = request.headers.get("Origin")
    response.headers["Access-Control-Allow-Origin"] = origin or "*"
    if origin:
        response.headers["Vary"] = "Origin"


@overload
def moment(value: datetime) -> str: ...
@overload
def moment(value: None) -> None: ...
@overload
def moment(value: datetime | None) -> str | None: ...
def moment(value: datetime | None) -> str | None:
    """A time as the API shows it."""
    return None if value is None else isoformat(value)


@lru_cache(maxsize=4096)
def camel_case(name: str) -> str:
    """`execution_id` to `executionId`; a leading underscore stays."""
    return _UNDERSCORE.sub(lambda match: match[1].upper(), name)


def spelled(result: Any, dialect: Dialect) -> Any:
    """The names of an object, or of each object in a list, as the dialect has them.

    Top-level names follow the dialect; what is inside stays as it is (spec/actors-api 1.4)."""
    if not dialect.camel_case:
        return result
    if isinstance(result, list):
        return [spelled(item, dialect) for item in result]
    if isinstance(result, Mapping):
        return {camel_case(name): value for name, value in result.items()}
    return result
