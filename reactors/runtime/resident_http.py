"""Requests as the daemon sends them to a resident process, and the answers to them: HTTP/1.1 over a kept-open socket."""

from __future__ import annotations

import base64
import json
import socket
from dataclasses import dataclass
from typing import Mapping

CONTEXT_HEADER = b"abaco-context"
_END = b"\r\n\r\n"
_PIECE = 65536
_LARGEST_HEAD = 16 << 20
"""Bytes; state and configs of an actor are in the head."""

_BINARY = "application/octet-stream"


class RequestInvalid(Exception):
    """What came is no request of the daemon."""


@dataclass(frozen=True)
class Request:
    """A message: `variables` are those that a run of its own would have in its environment, with `MSG` for a text."""

    variables: Mapping[str, str]


class Connection:
    """One connection, whose requests come one after the other."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._read = b""

    def next_request(self) -> Request | None:
        """The next one, None once the other side has closed.

        Raises:
            RequestInvalid: it is none.
            OSError: the connection broke.
        """
        head = self._head()
        if head is None:
            return None
        first, _, rest = head.partition(b"\r\n")
        if not first.startswith(b"POST ") or not first.endswith(b" HTTP/1.1"):
            raise RequestInvalid("a message is sent with POST and HTTP/1.1")
        context, length = b"", 0
        for line in rest.split(b"\r\n"):
            name, _, value = line.partition(b":")
            name, value = name.strip().lower(), value.strip()
            if name == CONTEXT_HEADER:
                # It comes in pieces: most servers take headers of some size only.
                context += value
            elif name == b"content-length":
                length = _number(value)
        variables = _variables(context)
        body = self._body(length, keep=variables.get("_abaco_Content_Type") != _BINARY)
        if body is not None:
            variables["MSG"] = body.decode("utf-8", "surrogateescape")
        return Request(variables)

    def answer(self, status: str, headers: Mapping[str, str], content: bytes) -> None:
        """Send an answer. Raises OSError."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(content)}\r\n\r\n"
        self._socket.sendall(head.encode("ascii") + content)

    def _head(self) -> bytes | None:
        searched = 0
        while True:
            end = self._read.find(_END, searched)
            if end >= 0:
                head, self._read = self._read[:end], self._read[end + len(_END) :]
                return head
            if len(self._read) > _LARGEST_HEAD:
                raise RequestInvalid("the headers are too large")
            searched = max(0, len(self._read) - len(_END))
            data = self._socket.recv(_PIECE)
            if not data:
                if self._read:
                    raise RequestInvalid("the request was cut off")
                return None
            self._read += data

    def _body(self, length: int, *, keep: bool) -> bytes | None:
        """The next bytes; of a binary message, which is a file as well, nothing is kept."""
        pieces = []
        while length:
            data = self._read or self._socket.recv(min(length, _PIECE))
            if not data:
                raise RequestInvalid("the request was cut off")
            piece, self._read = data[:length], data[length:]
            length -= len(piece)
            if keep:
                pieces.append(piece)
        return b"".join(pieces) if keep else None


def _number(value: bytes) -> int:
    if not value.isdigit():
        raise RequestInvalid("the length is no number")
    return int(value)


def _variables(context: bytes) -> dict[str, str]:
    try:
        found = json.loads(base64.b64decode(context, validate=True))
        return {str(name): str(value) for name, value in found.items()}
    except (ValueError, AttributeError, RecursionError):
        raise RequestInvalid("the context is not that of an execution") from None
