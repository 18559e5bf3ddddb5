"""What permissions are given on, and what a route asks of its caller."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from abacod.ids import ActorId, TenantId
from abacod.models.user import Level


class Kind(StrEnum):
    """What has permissions of its own."""

    ACTOR = "actor"
    ALIAS = "alias"
    CONFIG = "config"


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing with permissions of its own; `key` tells it from all others of its kind, in all tenants."""

    kind: Kind
    key: str

    @classmethod
    def actor(cls, actor_id: ActorId) -> Self:
        """An actor; ids are unique."""
        return cls(Kind.ACTOR, actor_id)

    @classmethod
    def alias(cls, tenant: TenantId, name: str) -> Self:
        """An alias; no tenant's name has an underscore."""
        return cls(Kind.ALIAS, f"{tenant}_{name}")

    @classmethod
    def config(cls, tenant: TenantId, name: str) -> Self:
        """A config."""
        return cls(Kind.CONFIG, f"{tenant}_{name}")

    @property
    def name(self) -> str:
        """The id of an actor, the name of an alias or config."""
        return self.key if self.kind is Kind.ACTOR else self.key.partition("_")[2]


@dataclass(frozen=True, slots=True)
class Demand:
    """What a route asks of its caller: to be an administrator, and levels on what its path names.

    A level is None where the route asks for none. With `alias`, `actor` means the actor that the alias stands for; with
    `builtin`, the name of a built-in actor, it means that one, whose data the route shows or changes.
    `admin` is what those are told who are no administrators, None where they may pass.
    """

    admin: str | None = None
    actor: Level | None = None
    alias: Level | None = None
    config: Level | None = None
    builtin: str | None = None

    @property
    def takes_nonces(self) -> bool:
        """Whether a nonce may stand for a token: where something is asked of one actor and of nothing else."""
        return self.actor is not None and self.alias is None and self.config is None

    @property
    def names_something(self) -> bool:
        """Whether there is something in the path that must be found."""
        return (self.actor, self.alias, self.config) != (None, None, None)
