"""What the answers of a batch service say: `{"status", "message", "result"}`, with Agave and Tapis alike."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from abacod.errors import BatchEngineFailed, BatchJobRefused

MAX_BYTES: Final = 4_000_000
"""The largest answer that is read, in bytes."""

# Of the reason that a service gives, in characters.
_LONGEST_REASON: Final = 500
_GOOD: Final = range(200, 300)
_REFUSED: Final = range(400, 500)
# Statuses of these that say nothing about the request: log in first, or come again.
_LATER: Final = frozenset({401, 407, 408, 425, 429})
_APP_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: the HTTP status, and the body as it came."""

    status: int
    body: bytes


class Refusal(Exception):
    """The service has understood, and does not do it: `status` is that of HTTP, `reason` what it said."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)


def result_of(reply: Reply, service: str) -> Any:
    """The `result` of an answer.

    Raises:
        Refusal: status 4xx, or an answer that says that it is an error.
        BatchEngineFailed: status 5xx, one that says to come again, or an answer that cannot be read.
    """
    document = _document(reply.body)
    if reply.status in _REFUSED and reply.status not in _LATER:
        raise Refusal(reply.status, _said(document).removeprefix(": ") or f"{service} answered with {reply.status}")
    if reply.status not in _GOOD:
        raise BatchEngineFailed(f"{service} answered with {reply.status}{_said(document)}.")
    if document is None:
        raise BatchEngineFailed(f"{service} answered with what is no JSON object.")
    if document.get("status") == "error":
        raise Refusal(reply.status, _said(document).removeprefix(": ") or f"{service} answered with an error")
    return document.get("result")


def object_of(result: Any, service: str) -> Mapping[str, Any]:
    """The result, which must be an object.

    Raises:
        BatchEngineFailed: it is none.
    """
    if not isinstance(result, dict):
        raise BatchEngineFailed(f"{service} answered without a result.")
    return result


def as_body(request: Mapping[str, Any]) -> bytes:
    """A request as JSON.

    Raises:
        BatchJobRefused: it cannot be written as such.
    """
    try:
        return json.dumps(request, allow_nan=False).encode()
    except RecursionError as error:
        raise BatchJobRefused("The job definition is nested too deeply.") from error
    except (TypeError, ValueError) as error:
        raise BatchJobRefused(f"The job definition is no JSON: {error}.") from error


def is_app_id(text: Any) -> bool:
    """Whether the text can be the id of an app, and a part of a path."""
    return isinstance(text, str) and _APP_ID.fullmatch(text) is not None


def _document(body: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _said(document: Mapping[str, Any] | None) -> str:
    """The message of an answer after a colon; nothing if it has none."""
    message = document.get("message") if document is not None else None
    if not isinstance(message, str) or not message.strip():
        return ""
    shown = "".join(char if char.isprintable() else " " for char in message).strip()
    return ": " + shown[:_LONGEST_REASON].rstrip(".")
