"""Results of an execution: each is one datagram to a socket (docs/reference/container.md)."""

from __future__ import annotations

import json
import socket
from typing import Any

from reactors.runtime.errors import ResultNotSent

RESULTS_SOCKET = "/_abaco_results.sock"
LARGEST = 131072
"""Bytes of a result; the daemon drops a larger one."""


def send_result(value: Any, path: str = RESULTS_SOCKET) -> None:
    """Send a result: bytes as they are, a text in UTF-8, anything else as JSON.

    Waits while the daemon has many to read. Results come out in the order in which they were sent, each one once.

    Raises:
        ResultNotSent: there is no socket, nobody reads from it, or the result has more than 131072 bytes.
        TypeError: the value is nothing that JSON has.
    """
    content = content_of(value)
    if len(content) > LARGEST:
        raise ResultNotSent(f"the result has {len(content)} bytes; at most {LARGEST} can be sent")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as results:
            results.sendto(content, path)
    except OSError as error:
        raise ResultNotSent(f"the result could not be sent to {path}: {error.strerror or error}") from error


def content_of(value: Any) -> bytes:
    """The bytes of a result: bytes as they are, a text in UTF-8, anything else as JSON. Raises TypeError."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")
