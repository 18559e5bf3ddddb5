"""Reading what a request carries: query, JSON and forms, with limits (spec/actors-api 1.5, 1.6)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import HttpVersion11, web

from abacod import json_text
from abacod.errors import BadRequest, TooLarge

# More parameters than any caller needs; what is beyond is refused before it costs memory.
_MAX_PARAMETERS: Final = 1000
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_WHOLE_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]+\s*")
_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE)
_FORM_FIELD: Final = re.compile(r"^content-disposition:\s*form-data\s*(;.*)$", re.IGNORECASE | re.MULTILINE)
_FIELD_NAME: Final = re.compile(r';\s*name=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_FILE_NAME: Final = re.compile(r";\s*filename\*?=", re.IGNORECASE)

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"

Pairs = tuple[tuple[str, str], ...]


def parse_query(raw: str) -> Pairs:
    """The pairs of a query string as it came over the wire, in order, repeated names included.

    Raises:
        BadRequest: it is not UTF-8 once percent-decoded, or has far too many parameters.
    """
    return _parse_pairs(raw, "query string") if raw else ()


async def read_text(request: web.BaseRequest, limit: int) -> str:
    """The body as text.

    Raises:
        TooLarge: it is longer than `limit` bytes.
        BadRequest: it is not UTF-8.
    """
    try:
        return (await read_bytes(request, limit)).decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The request body is not valid UTF-8: {error.reason} at byte {error.start}.") from error


async def read_bytes(request: web.BaseRequest, limit: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is longer than `limit` bytes.
    """
    if (request.content_length or 0) > limit:
        raise TooLarge(f"The request body is larger than {limit} bytes.")
    if request.content.is_eof() and request.content.exception() is None and not expects_leave(request):
        # It came together with the head, as small ones do.
        whole = request.content.read_nowait()
        if len(whole) > limit:
            raise TooLarge(f"The request body is larger than {limit} bytes.")
        return whole
    body = bytearray()
    async for chunk in read_chunks(request):
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"The request body is larger than {limit} bytes.")
    return bytes(body)


async def read_chunks(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """The body piece by piece, as it arrives.

    A client that waits for leave to send (`Expect: 100-continue`) gets it here, so that a request refused before this
    point costs nobody the body.

    Raises:
        BadRequest: the client broke off or sent what is no HTTP body.
    """
    if expects_leave(request):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # What has been written is no part of the answer yet.
        request.writer.output_size = 0
    try:
        async for chunk in request.content.iter_any():
            yield chunk
    except (web.RequestPayloadError, ConnectionResetError) as error:
        raise BadRequest("The request body ended before its announced length, or is malformed.") from error


def expects_leave(request: web.BaseRequest) -> bool:
    """Whether the client sends its body only once it is told to."""
    return request.version >= HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue"


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        BadRequest: it is malformed, nested too deeply, or holds what JSON or UTF-8 cannot carry on (NaN, 1e999, a lone
            surrogate) or nobody can mean (a name twice in one object, a number with thousands of digits).
    """
    return json_text.parse(text, "The request body")


def parse_form(text: str) -> Pairs:
    """The pairs of a form body (application/x-www-form-urlencoded)."""
    return _parse_pairs(text, "form")


async def read_multipart(request: web.BaseRequest, limit: int) -> Pairs:
    """The fields of a multipart form.

    Raises:
        BadRequest: it is malformed, or a field is a file.
        TooLarge: it is longer than `limit` bytes.
    """
    return parse_multipart(await read_bytes(request, limit), request.headers.get("Content-Type", ""))


def parse_multipart(body: bytes, content_type: str) -> Pairs:
    """The text fields of a multipart form, in order; `content_type` is the header, which names the boundary.

    Raises:
        BadRequest: it is malformed or incomplete, has far too many fields, or a field is a file or not UTF-8.
    """
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise BadRequest("The multipart form is malformed: its Content-Type names no boundary.")
    delimiter = b"\r\n--" + (boundary[1] or boundary[2]).encode("utf-8", "surrogateescape")
    _, *parts = (b"\r\n" + body).split(delimiter, _MAX_PARAMETERS + 2)
    if len(parts) > _MAX_PARAMETERS + 1:
        raise BadRequest(f"The multipart form has more than {_MAX_PARAMETERS} parameters.")
    if not parts or not parts.pop().startswith(b"--"):
        raise BadRequest("The multipart form is malformed: its closing boundary is missing.")
    try:
        return tuple(_form_field(part) for part in parts)
    except UnicodeDecodeError as error:
        raise BadRequest("The multipart form is not valid UTF-8.") from error


def kind_of_body(request: web.BaseRequest) -> str:
    """The media type that the body is labelled with, in lower case and without parameters; empty if it is not labelled."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def is_json(request: web.BaseRequest) -> bool:
    """Whether the body is labelled as JSON: `application/json` or any `application/*+json`, parameters allowed."""
    kind = kind_of_body(request)
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


async def read_fields(request: web.BaseRequest, query: Pairs, limit: int) -> dict[str, Any]:
    """The fields of a request by snake_case name: from a JSON object, else the query, else the form (1.6).

    A name repeated in a form or query gives a list. Both spellings of a name are the same field. Null is not given.

    Raises:
        BadRequest: the JSON is malformed or no object.
        TooLarge: the body is longer than `limit` bytes.
    """
    if kind_of_body(request) == MULTIPART:
        return _gathered(await read_multipart(request, limit)) | _gathered(query)
    text = await read_text(request, limit)
    # `curl -d '{…}'` labels JSON as a form; a form never begins with a brace.
    if is_json(request) or text.lstrip().startswith("{"):
        value = parse_json(text) if text.strip() else {}
        if not isinstance(value, dict):
            raise BadRequest("The request body must be a JSON object.")
        return _gathered(query) | _in_one_spelling(value)
    return _gathered(parse_form(text)) | _gathered(query)


def snake_case(name: str) -> str:
    """`maxUses` to `max_uses`."""
    return _CAMEL.sub(lambda match: "_" + match[1].lower(), name)


def whole_number(text: str) -> int:
    """The whole number that a text spells in decimal digits.

    Raises:
        ValueError: it is none, or has thousands of digits.
    """
    if not _WHOLE_NUMBER.fullmatch(text):
        raise ValueError("it is no whole number")
    return json_text.whole(text)


def _in_one_spelling(fields: dict[str, Any]) -> dict[str, Any]:
    given = {snake_case(name): field for name, field in fields.items() if field is not None}
    if len(given) < sum(field is not None for field in fields.values()):
        spelled = Counter(snake_case(name) for name, field in fields.items() if field is not None)
        repeated = next(name for name, count in spelled.items() if count > 1)
        raise BadRequest(f"The field {repeated!r} is given in both spellings; give it once.")
    return given


def _form_field(part: bytes) -> tuple[str, str]:
    head, blank, content = part.partition(b"\r\n\r\n")
    field = _FORM_FIELD.search(head.decode().replace("\r\n", "\n"))
    name = field and _FIELD_NAME.search(field[1])
    if not blank or field is None or name is None:
        raise BadRequest("The multipart form is malformed: a part has no name.")
    shown = name[1] if name[1] is not None else name[2]
    if _FILE_NAME.search(field[1]):
        raise BadRequest(f"The form field {shown!r} is a file; send text.")
    return shown, content.decode()


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
