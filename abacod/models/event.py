"""Events: what happens to an actor and is told to its link and its webhook (seeds: Actor Events, Links and WebHooks)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from abacod.clock import isoformat
from abacod.ids import ActorId, TenantId, Username, dbid

SENDER: Final = Username("Abaco Event")
"""The executor of what a link sends, and `_abaco_username` of what a webhook gets."""


class EventType(StrEnum):
    """What happened."""

    ACTOR_READY = "ACTOR_READY"
    ACTOR_ERROR = "ACTOR_ERROR"
    EXECUTION_COMPLETE = "EXECUTION_COMPLETE"
    """An execution has ended, in COMPLETE or in ERROR (spec/actors-api 8.1)."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an actor, with the link and webhook it had at that moment.

    `link` is as the user gave it, `target` the actor it led to, None if to none. `details` are the fields of this type of event.
    """

    actor_id: ActorId
    tenant: TenantId
    type: EventType
    moment: datetime
    link: str
    target: ActorId | None
    webhook: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """The event as it is sent (spec/actors-api 8.1)."""
        return {
            "actor_id": self.actor_id,
            "tenant_id": self.tenant,
            "actor_dbid": dbid(self.tenant, self.actor_id),
            "event_type": self.type,
            "event_time_utc": isoformat(self.moment),
            "event_time_display": f"{self.moment:%Y-%m-%d %H:%M:%S} UTC",
            "_abaco_link": dbid(self.tenant, self.target) if self.target else "",
            "_abaco_webhook": self.webhook,
            **self.details,
        }


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way. `body` is its JSON text; `linked` and `attempted` say what has been done already."""

    seq: int
    actor_id: ActorId
    body: str
    link: str
    target: ActorId | None
    webhook: str
    linked: bool
    attempted: bool
