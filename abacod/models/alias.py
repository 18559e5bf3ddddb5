"""Aliases: names that stand for actors."""

from __future__ import annotations

from dataclasses import dataclass

from abacod.ids import ActorId, TenantId, Username


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that stands for an actor of its tenant (seeds: Actor Aliases). `owner` made it."""

    tenant: TenantId
    name: str
    actor_id: ActorId
    owner: Username
