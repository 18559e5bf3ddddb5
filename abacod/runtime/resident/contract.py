"""What daemon and resident process say to each other (docs/reference/container.md, "Resident processes"). Pure."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Final

from abacod.runtime.run import RunSpec

SOCKET_VARIABLE: Final = "_abaco_resident_socket"
"""The variable with the path at which a resident process listens."""

DOOR: Final = "/_abaco_resident"
"""Where a container finds the folder of that socket, the only one of abacod's that it may write to."""

SOCKET_NAME: Final = "socket"
SOCKET: Final = f"{DOOR}/{SOCKET_NAME}"

PLACE: Final = "/_abaco_run"
"""Where a container finds what only the daemon writes: busybox, the output's pipe, results socket, binary message."""

OUTPUT: Final = "output"
BINARY: Final = "binary"

# Open for both directions: whoever writes into it never meets its end, also while no daemon reads.
ENTRYPOINT: Final = (f"{PLACE}/busybox", "sh", "-c", f'exec "$@" 1<>{PLACE}/{OUTPUT} 2>&1', "resident")
"""Before the image's own words: they are run with their output in the pipe, and as process 1."""

_CONTENT_TYPES: Final = {"str": "text/plain; charset=utf-8"}
_BYTES: Final = "application/octet-stream"
# Servers in common use take headers of 8 KiB each.
_PIECE: Final = 8000
_EXIT_CODE: Final = b"abaco-exit-code"
_LARGEST_CODE: Final = 255
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([2-9]\d\d)(?: .*)?")
_LENGTH: Final = re.compile(rb"\d{1,18}")
_FIRST_FAILURE: Final = 300
_WITHOUT_BODY: Final = (204, 304)


class NoAnswer(Exception):
    """What a resident process sent is no answer, or it sent none."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an answer.

    `length` is that of the body in bytes, None for one that ends with the connection; `chunked` bodies tell it themselves.
    """

    exit_code: int
    failed: bool
    length: int | None
    chunked: bool
    keeps: bool
    """Whether the connection is kept open behind it."""


def message_of(spec: RunSpec) -> bytes:
    """The body of a request; a binary message is in a file."""
    return spec.environment.get("MSG", "").encode("utf-8", "surrogateescape")


def request_head(spec: RunSpec, length: int) -> bytes:
    """The head of a request with a message of `length` bytes."""
    context = {name: value for name, value in spec.environment.items() if name != "MSG"}
    encoded = base64.b64encode(json.dumps(context, separators=(",", ":")).encode("ascii"))
    kind = spec.environment.get("_abaco_Content_Type", _BYTES if spec.binary_message else "str")
    lines = [
        b"POST / HTTP/1.1",
        b"Host: localhost",
        b"Content-Type: " + _CONTENT_TYPES.get(kind, kind).encode("ascii", "replace"),
        b"Content-Length: %d" % length,
        b"Abaco-Execution-Id: " + spec.execution_id.encode("ascii", "replace"),
        b"Abaco-Actor-Id: " + spec.actor_id.encode("ascii", "replace"),
    ]
    lines += [b"Abaco-Context: " + encoded[at : at + _PIECE] for at in range(0, len(encoded), _PIECE)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def read_head(data: bytes) -> Head:
    """The head of an answer, without the empty line behind it; raises `NoAnswer`."""
    first, *lines = data.split(b"\r\n")
    found = _STATUS.fullmatch(first)
    if found is None:
        raise NoAnswer("The answer does not begin as one of HTTP/1.1 does.")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or name != name.strip():
            raise NoAnswer("The answer has a line that is no header.")
        fields[name.lower()] = value.strip()
    status = int(found[2])
    failed = status >= _FIRST_FAILURE
    encoding = fields.get(b"transfer-encoding", b"").lower()
    if encoding not in (b"", b"chunked"):
        raise NoAnswer("The answer has a Transfer-Encoding that is not chunked.")
    length = _length(fields.get(b"content-length"), status)
    ends = length is None and not encoding
    connection = fields.get(b"connection", b"keep-alive" if found[1] == b"1" else b"close").lower()
    return Head(
        exit_code=_exit_code(fields.get(_EXIT_CODE), failed=failed),
        failed=failed,
        length=length,
        chunked=bool(encoding),
        keeps=connection != b"close" and not ends,
    )


def chunk_length(line: bytes) -> int:
    """The length that the line before a chunk tells; raises `NoAnswer`."""
    digits = line.partition(b";")[0].strip()
    if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", digits):
        raise NoAnswer("The answer has a chunk without a length.")
    return int(digits, 16)


def _length(value: bytes | None, status: int) -> int | None:
    if status in _WITHOUT_BODY:
        return 0
    if value is None:
        return None
    if not _LENGTH.fullmatch(value):
        raise NoAnswer("The answer has a Content-Length that is no number.")
    return int(value)


def _exit_code(value: bytes | None, *, failed: bool) -> int:
    if value is None:
        return int(failed)
    if not re.fullmatch(rb"\d{1,3}", value) or int(value) > _LARGEST_CODE:
        raise NoAnswer(f"The answer has an Abaco-Exit-Code that is none of 0 to {_LARGEST_CODE}.")
    return int(value)
