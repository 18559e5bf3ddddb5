"""Nonces: keys that open one actor or alias."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from abacod.ids import NonceId, TenantId, Username
from abacod.models.permission import Subject
from abacod.models.user import Level, Role


@dataclass(frozen=True, slots=True)
class Nonce:
    """A key that opens one actor, or what one alias stands for, without a token (seeds: Nonces).

    Who uses it acts as `owner`, who made it, with those of the `roles` the owner had then that have not been taken away since.
    `max_uses` is None for any number.
    """

    id: NonceId
    tenant: TenantId
    subject: Subject
    owner: Username
    roles: frozenset[Role]
    level: Level
    max_uses: int | None
    description: str
    create_time: datetime
    uses: int = 0
    last_use_time: datetime | None = None

    @property
    def remaining_uses(self) -> int | None:
        """How often it still opens; None for any number."""
        return None if self.max_uses is None else self.max_uses - self.uses
