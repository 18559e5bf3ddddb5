"""Share actors: who may read, execute or update them (seeds: Actor Sharing and Nonces)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import structlog

from abacod.ids import ActorId, Username
from abacod.models.user import WORLD, Caller, Level
from abacod.services.accounts import checked_username
from abacod.store import actors
from abacod.store.database import Database, Transaction

_log = structlog.get_logger()


class Sharing:
    """The use-cases of permissions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def listed(self, actor_id: ActorId) -> Mapping[Username, Level]:
        """The level of everybody who was given one, by name; a revoked one shows as NONE."""
        return await self._database.read(partial(actors.permissions, actor_id=actor_id))

    async def grant(self, caller: Caller, actor_id: ActorId, name: str, level: Level) -> Mapping[Username, Level]:
        """Give a user, or with `ABACO_WORLD` everyone of the tenant, a level in place of the one before; all levels then.

        Raises:
            InvalidField: nobody can be called so.
        """
        username = WORLD if name == WORLD else checked_username(name)

        def change(tx: Transaction) -> Mapping[Username, Level]:
            actors.grant(tx, actor_id, username, level)
            return actors.permissions(tx, actor_id)

        granted = await self._database.write(change)
        _log.info("permission_granted", actor=actor_id, user=username, granted=level.name, by=caller.username)
        return granted
