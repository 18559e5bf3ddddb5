"""Records for tests, with every field that a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from abacod.ids import ExecutionId, TenantId, Username, new_actor_id, new_execution_id
from abacod.models.actor import Actor, ActorDefinition
from abacod.models.execution import Execution
from abacod.models.message import Message, Queued
from abacod.models.states import ActorStatus, ExecutionStatus
from abacod.models.user import Caller

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
TENANT: Final = TenantId("dev")
OWNER: Final = Username("ada")

ADA: Final = Caller(TENANT, OWNER)
BOB: Final = Caller(TENANT, Username("bob"))
PRIVILEGED: Final = Caller(TENANT, Username("priv"), frozenset({"abaco_privileged"}))
ADMIN: Final = Caller(TENANT, Username("root"), frozenset({"abaco_admin"}))


def definition(**given: Any) -> ActorDefinition:
    """What a user registers."""
    return ActorDefinition(**{"image": "image", **given})


def actor(**given: Any) -> Actor:
    """An actor; names of an `ActorDefinition` go into its definition."""
    for_definition = {name: given.pop(name) for name in list(given) if name in ActorDefinition.__dataclass_fields__}
    defaults: dict[str, Any] = {
        "id": new_actor_id(),
        "tenant": TENANT,
        "owner": OWNER,
        "definition": definition(**for_definition),
        "status": ActorStatus.SUBMITTED,
        "status_message": "",
        "create_time": START,
        "last_update_time": START,
    }
    return Actor(**{**defaults, **given})


def execution(of: Actor, **given: Any) -> Execution:
    """A waiting execution of the actor."""
    defaults: dict[str, Any] = {
        "id": new_execution_id(),
        "actor_id": of.id,
        "tenant": of.tenant,
        "executor": OWNER,
        "status": ExecutionStatus.SUBMITTED,
        "message_received_time": START,
        "revision": of.revision,
    }
    return Execution(**{**defaults, **given})


def message(body: str | None = "hello", **environment: str) -> Message:
    """A text, or with None a binary message; `environment` are its query parameters."""
    if body is None:
        return Message("application/octet-stream", None, None, environment)
    return Message("str", body, body, environment)


def queued(seq: int = 1, **given: Any) -> Queued:
    """A message as a worker gets it."""
    defaults: dict[str, Any] = {
        "seq": seq,
        "execution": execution(actor(), id=ExecutionId(f"execution{seq}")),
        "content_type": "str",
        "body": str(seq),
        "environment": {},
    }
    return Queued(**{**defaults, **given})
