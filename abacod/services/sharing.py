"""Share actors, aliases and configs: who may read, execute or update them (seeds: Actor Sharing and Nonces)."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from abacod.ids import Username
from abacod.models.permission import Subject
from abacod.models.user import WORLD, Caller, Level
from abacod.services.access import require
from abacod.services.accounts import checked_username
from abacod.store import permissions
from abacod.store.database import Database, Transaction

_log = structlog.get_logger()


class Sharing:
    """The use-cases of permissions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def listed(self, subject: Subject) -> Mapping[Username, Level]:
        """The level of everybody who was given one, by name; a revoked one shows as NONE."""
        return await self._database.read(lambda tx: permissions.levels(tx, subject))

    async def grant(self, caller: Caller, subject: Subject, name: str, level: Level) -> Mapping[Username, Level]:
        """Give a user, or with `ABACO_WORLD` everyone of the tenant, a level in place of the one before; all levels then.

        Raises:
            InvalidField: nobody can be called so.
            NotPermitted, NotFound: the caller may not any more, or the subject is gone.
        """
        username = WORLD if name == WORLD else checked_username(name)

        def change(tx: Transaction) -> Mapping[Username, Level]:
            require(tx, caller, subject, Level.UPDATE)
            permissions.grant(tx, subject, username, level)
            return permissions.levels(tx, subject)

        granted = await self._database.write(change)
        _log.info(
            "permission_granted",
            kind=subject.kind,
            on=subject.key,
            user=username,
            granted=level.name,
            by=caller.username,
        )
        return granted
