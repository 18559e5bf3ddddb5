"""Update tokens of documents and administrative tokens, as functions of a key (spec/pipelinejobs 4)."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Final

from reactors.pipelinejobs.identifiers import canonical_json

ADMIN_LIFETIME: Final = 30
"""Length of the windows of administrative tokens, in seconds; the one before the present is good, too."""

_DIGITS: Final = 16
# Of all that was ever a token.
_LENGTHS: Final = (16, 17)


def document_token(key: bytes, salt: str, tenant: str, uuid: str) -> str:
    """The token of a document: 16 hexadecimal digits, always the same."""
    return _digits(key, "document", salt, tenant, uuid)


def admin_token(key: bytes, moment: datetime, *, lifetime: int = ADMIN_LIFETIME) -> str:
    """The administrative token of the window of `lifetime` seconds that the moment is in."""
    return _of_window(key, _window(moment, lifetime), lifetime)


def is_admin_token(key: bytes, given: object, moment: datetime, *, lifetime: int = ADMIN_LIFETIME) -> bool:
    """Whether it, whatever a message held, is the administrative token of the moment's window, or of the one before."""
    now = _window(moment, lifetime)
    return matches(_of_window(key, now, lifetime), given) or matches(_of_window(key, now - 1, lifetime), given)


def matches(expected: str, given: object) -> bool:
    """Whether the two are equal, in a time that tells nothing of where they differ; what is no text equals no token."""
    return isinstance(given, str) and hmac.compare_digest(expected.encode(), given.encode(errors="replace"))


def may_be_token(given: object) -> bool:
    """Whether it, whatever a message held, is as long as a token (schema `update_token`)."""
    return isinstance(given, str) and len(given) in _LENGTHS


def _window(moment: datetime, lifetime: int) -> int:
    return int(moment.timestamp()) // lifetime


def _of_window(key: bytes, window: int, lifetime: int) -> str:
    return _digits(key, "administrator", lifetime, window)


def _digits(key: bytes, *parts: str | int) -> str:
    # As JSON, so that no other parts make the same text.
    return hmac.digest(key, canonical_json(parts).encode(), "sha256").hex()[:_DIGITS]
