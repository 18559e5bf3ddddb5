"""Identifiers: distinct types for each kind of id, how they are made, and how to tell an id from an alias.

Ids of actors, executions and workers are hashids (default alphabet, Abaco's salt) of the high 64 bits of a time-based
UUID, as client libraries expect (spec/actors-api 1.5).
"""

from __future__ import annotations

import hashlib
import secrets
import time
from functools import lru_cache
from threading import Lock
from typing import Final, NewType

from hashids import Hashids

ActorId = NewType("ActorId", str)
ExecutionId = NewType("ExecutionId", str)
WorkerId = NewType("WorkerId", str)
TenantId = NewType("TenantId", str)
Username = NewType("Username", str)
NonceId = NewType("NonceId", str)

# Client libraries decode ids with this same salt to tell an id from an alias; it is no secret.
_HASHIDS: Final = Hashids(salt="eJa5wZlEX4eWU")
# Whoever knows a nonce's id may use it, so nobody must be able to guess one. In bits.
_NONCE_BITS: Final = 128


class _Moments:
    """Moments as the high half of a time-based UUID (version 1) has them: one each, later ones later than earlier ones.

    The library's own `uuid1` asks the system for a node, which is in the half that is not used, and takes a tenth of what
    accepting a message takes.
    """

    # The epoch of such UUIDs is 1582-10-15, and they count in units of 100 ns.
    _EPOCH: Final = 0x01B2_1DD2_1381_4000
    _VERSION: Final = 0x1000

    def __init__(self) -> None:
        self._one_at_a_time = Lock()
        self._last = 0

    def next(self) -> int:
        """64 bits that no earlier call got."""
        with self._one_at_a_time:
            self._last = moment = max(time.time_ns() // 100 + self._EPOCH, self._last + 1)
        low, middle, high = moment & 0xFFFF_FFFF, moment >> 32 & 0xFFFF, moment >> 48 & 0x0FFF
        return low << 32 | middle << 16 | high | self._VERSION


_MOMENTS: Final = _Moments()


def _new_hashid() -> str:
    return hashid_of(_MOMENTS.next())


def hashid_of(number: int) -> str:
    """As `Hashids.encode` of the one number. The library shuffles its alphabet again for each; here each shuffle is kept."""
    first, digits = _shuffled(number % 100)
    base = len(digits)
    written = ""
    while True:
        number, digit = divmod(number, base)
        written = digits[digit] + written
        if not number:
            return first + written


@lru_cache(maxsize=100)
def _shuffled(remainder: int) -> tuple[str, str]:
    """The sign that all ids of numbers with this remainder by 100 begin with, and the digits of these numbers.

    Read off what the library writes for numbers that have each digit once in the last place but one.
    """
    base = len(_HASHIDS._alphabet)  # noqa: SLF001 - it is not told otherwise
    digits = [""] * base
    for digit in range(base):
        number = next(
            n for n in range(remainder, 100 * base * base, 100) if n >= base * base and n // base % base == digit
        )
        digits[digit] = _HASHIDS.encode(number)[-2]
    return _HASHIDS.encode(remainder)[0], "".join(digits)


def new_actor_id() -> ActorId:
    """A fresh actor id, e.g. `JWpkNmBwKewYo`."""
    return ActorId(_new_hashid())


def new_execution_id() -> ExecutionId:
    """A fresh execution id."""
    return ExecutionId(_new_hashid())


def execution_id_of(key: str) -> ExecutionId:
    """The same execution id for the same key, unlike all others."""
    return ExecutionId(hashid_of(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])))


def new_worker_id() -> WorkerId:
    """A fresh worker id."""
    return WorkerId(_new_hashid())


def new_nonce_id(tenant: TenantId) -> NonceId:
    """A fresh nonce id, `{tenant}_{hashid}`: a secret, of random bits unlike all other ids (spec/actors-api 1.5)."""
    return NonceId(f"{tenant}_{_HASHIDS.encode(secrets.randbits(_NONCE_BITS))}")


@lru_cache(maxsize=4096)
def is_hashid(text: str) -> bool:
    """Whether `text` decodes as an Abaco hash id; anything else is an alias (spec/actors-api 1.2)."""
    return bool(text) and text.isascii() and bool(_HASHIDS.decode(text))


def dbid(tenant: TenantId, actor_id: ActorId) -> str:
    """The internal id that containers and events see: `{tenant}_{actor_id}` (spec/actors-api 1.5)."""
    return f"{tenant}_{actor_id}"
