"""Identifiers: distinct types for each kind of id, how they are made, and how to tell an id from an alias.

Ids of actors, executions and workers are hashids (default alphabet, Abaco's salt) of the high 64 bits of a time-based
UUID, as client libraries expect (spec/actors-api 1.5).
"""

from __future__ import annotations

import secrets
import uuid
from functools import lru_cache
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


def _new_hashid() -> str:
    return str(_HASHIDS.encode(uuid.uuid1().int >> 64))


def new_actor_id() -> ActorId:
    """A fresh actor id, e.g. `JWpkNmBwKewYo`."""
    return ActorId(_new_hashid())


def new_execution_id() -> ExecutionId:
    """A fresh execution id."""
    return ExecutionId(_new_hashid())


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
