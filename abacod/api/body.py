"""Reading what a request carries: query, JSON and forms, with limits (spec/actors-api 1.5, 1.6)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from abacod.errors import BadRequest, TooLarge

# More parameters than any caller needs; what is beyond is refused before it costs memory.
_MAX_PARAMETERS: Final = 1000
# Deepest nesting of JSON; far below the depth at which Python's own reader and writer give up.
_MAX_DEPTH: Final = 200
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")

Pairs = tuple[tuple[str, str], ...]


def parse_query(raw: str) -> Pairs:
    """The pairs of a query string as it came over the wire, in order, repeated names included.

    Raises:
        BadRequest: it is not UTF-8 once percent-decoded, or has far too many parameters.
    """
    return _parse_pairs(raw, "query string")


async def read_text(request: web.Request, limit: int) -> str:
    """The body as text.

    Raises:
        TooLarge: it is longer than `limit` bytes.
        BadRequest: it is not UTF-8.
    """
    try:
        return (await read_bytes(request, limit)).decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The request body is not valid UTF-8: {error.reason} at byte {error.start}.") from error


async def read_bytes(request: web.Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is longer than `limit` bytes.
    """
    if (request.content_length or 0) > limit:
        raise TooLarge(f"The request body is larger than {limit} bytes.")
    body = bytearray()
    async for chunk in read_chunks(request):
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"The request body is larger than {limit} bytes.")
    return bytes(body)


async def read_chunks(request: web.Request) -> AsyncIterator[bytes]:
    """The body piece by piece, as it arrives.

    Raises:
        BadRequest: the client broke off or sent what is no HTTP body.
    """
    try:
        async for chunk in request.content.iter_any():
            yield chunk
    except (web.RequestPayloadError, ConnectionResetError) as error:
        raise BadRequest("The request body ended before its announced length, or is malformed.") from error


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        BadRequest: it is malformed, nested too deeply, or holds what JSON or UTF-8 cannot carry on (NaN, 1e999, a lone
            surrogate).
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise BadRequest(f"The JSON is nested more than {_MAX_DEPTH} levels deep.") from error
    except ValueError as error:
        raise BadRequest(f"The request body is not valid JSON: {error}.") from error
    if text.count("[") + text.count("{") > _MAX_DEPTH:
        _check_depth(value)
    if "\\u" in text or "\\U" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise BadRequest("The JSON holds half of a surrogate pair, which is no character.") from error
    return value


def parse_form(text: str) -> Pairs:
    """The pairs of a form body (application/x-www-form-urlencoded)."""
    return _parse_pairs(text, "form")


async def read_multipart(request: web.Request) -> Pairs:
    """The text fields of a multipart form; its size is bounded by the application's `client_max_size`.

    Raises:
        BadRequest: it is malformed, or a field is a file.
        TooLarge: it is too long.
    """
    try:
        form = await request.post()
    except web.HTTPRequestEntityTooLarge as error:
        raise TooLarge("The request body is too large.") from error
    except (ValueError, AssertionError, web.RequestPayloadError) as error:
        raise BadRequest("The multipart form is malformed.") from error
    pairs = []
    for name, value in form.items():
        if not isinstance(value, str):
            raise BadRequest(f"The form field {name!r} is a file; send text.")
        pairs.append((name, value))
    return tuple(pairs)


def is_json(request: web.Request) -> bool:
    """Whether the body is labelled as JSON: `application/json` or any `application/*+json`, parameters allowed."""
    kind = request.content_type.lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


async def read_fields(request: web.Request, query: Pairs, limit: int) -> dict[str, Any]:
    """The fields of a request by snake_case name: from a JSON object, else the query, else the form (1.6).

    A name repeated in a form or query gives a list. Both spellings of a name are the same field.

    Raises:
        BadRequest: the JSON is malformed or no object.
        TooLarge: the body is longer than `limit` bytes.
    """
    if request.content_type == "multipart/form-data":
        return _gathered(await read_multipart(request)) | _gathered(query)
    text = await read_text(request, limit)
    if is_json(request):
        value = parse_json(text) if text.strip() else {}
        if not isinstance(value, dict):
            raise BadRequest("The request body must be a JSON object.")
        return _gathered(query) | {snake_case(name): field for name, field in value.items()}
    return _gathered(_parse_body_of_unknown_kind(text)) | _gathered(query)


def snake_case(name: str) -> str:
    """`maxUses` to `max_uses`."""
    return _CAMEL.sub(lambda match: "_" + match[1].lower(), name)


def _parse_body_of_unknown_kind(text: str) -> Pairs:
    # `curl -d '{…}'` labels JSON as a form; a form never begins with a brace.
    if text.lstrip().startswith("{"):
        value = parse_json(text)
        return tuple((name, field) for name, field in value.items())
    return parse_form(text)


def _gathered(pairs: Pairs) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        key = snake_case(name)
        if key not in fields:
            fields[key] = value
        elif isinstance(fields[key], list):
            fields[key].append(value)
        else:
            fields[key] = [fields[key], value]
    return fields


def _parse_pairs(raw: str, what: str) -> Pairs:
    try:
        return tuple(parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS))
    except UnicodeDecodeError as error:
        raise BadRequest(f"The {what} is not valid UTF-8 once percent-decoded.") from error
    except ValueError as error:
        raise BadRequest(f"The {what} has more than {_MAX_PARAMETERS} parameters.") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise BadRequest(f"The JSON is nested more than {_MAX_DEPTH} levels deep.")
