"""Users, and the caller of a request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final, Literal, Self

from abacod.ids import TenantId, Username

Role = Literal["abaco_admin", "abaco_privileged"]

WORLD: Final = Username("ABACO_WORLD")
"""A permission for this name is one for every user of the tenant (seeds: Public Actors)."""


class Level(IntEnum):
    """Permission levels; a higher one includes the lower ones (seeds: Permission Levels)."""

    NONE = 0
    READ = 1
    EXECUTE = 2
    UPDATE = 3

    @classmethod
    def named(cls, text: str) -> Self:
        """The level of this name; the published API description calls UPDATE also WRITE (spec/actors-api 11).

        Raises:
            KeyError: there is none.
        """
        return cls["UPDATE" if text == "WRITE" else text]


@dataclass(frozen=True, slots=True)
class User:
    """An account. `uid` and `gid` are what the user's containers run as, None for the image's own user."""

    tenant: TenantId
    username: Username
    roles: frozenset[Role]
    created: datetime
    uid: int | None = None
    gid: int | None = None
    password_changed: datetime | None = None
    """When the password last changed, None for never: tokens issued under an earlier one are refused."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request."""

    tenant: TenantId
    username: Username
    roles: frozenset[Role] = frozenset()
    by_nonce: bool = False
    """Whether a nonce of this user let the request in, and no token."""

    @property
    def is_admin(self) -> bool:
        """Whether the caller passes every check within the tenant."""
        return "abaco_admin" in self.roles

    @property
    def is_elevated(self) -> bool:
        """Whether the caller may set the properties that need trust (spec/actors-api 2.1, column Elev)."""
        return self.is_admin or "abaco_privileged" in self.roles
