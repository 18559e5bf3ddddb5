"""May this caller do that?"""

from __future__ import annotations

from abacod.errors import ActorNotFound, NotPermitted
from abacod.ids import ActorId, is_hashid
from abacod.models.actor import Actor
from abacod.models.user import Caller, Level
from abacod.store import actors
from abacod.store.database import Database, Transaction


class Access:
    """Finds what a request names and checks the caller's level on it (spec/actors-api 7.4)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def actor(self, caller: Caller, identifier: str, needed: Level) -> Actor:
        """The actor with this id, if the caller may use it at the `needed` level.

        Raises:
            ActorNotFound: the caller's tenant has no such actor.
            NotPermitted: the caller's level is too low.
        """
        return await self._database.read(lambda tx: permitted_actor(tx, caller, identifier, needed))


def permitted_actor(tx: Transaction, caller: Caller, identifier: str, needed: Level) -> Actor:
    """As `Access.actor`, within a transaction."""
    if not is_hashid(identifier):
        raise ActorNotFound(f"Actor with identifier '{identifier}' not found")
    actor = actors.get(tx, caller.tenant, ActorId(identifier))
    if not caller.is_admin and actors.level_of(tx, actor.id, caller.username) < needed:
        raise NotPermitted
    return actor


def require_admin(caller: Caller) -> None:
    """Raises NotPermitted unless the caller is an administrator of the tenant."""
    if not caller.is_admin:
        raise NotPermitted("Abaco Admin role required.")
