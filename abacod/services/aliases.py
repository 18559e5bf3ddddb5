"""Aliases: names for actors that can be given to another actor later (seeds: Actor Aliases)."""

from __future__ import annotations

from functools import partial
from typing import Final

import structlog

from abacod.errors import BuiltinActor, InvalidField
from abacod.ids import is_hashid
from abacod.models.alias import Alias
from abacod.models.permission import Subject
from abacod.models.user import Caller, Level
from abacod.services import names
from abacod.services.access import link_targets, permitted_actor, require
from abacod.services.registration import check_alias_target
from abacod.store import actors, aliases
from abacod.store.database import Database, Transaction

RESERVED: Final = frozenset(
    {
        *("adapters", "admin", "aliases", "configs", "cron", "dashboard", "executions", "logs", "messages", "metrics"),
        *("nonces", "permissions", "results", "search", "state", "utilization", "v2", "v3", "workers", ".", ".."),
    }
)
"""What no alias may be called: words of addresses, also some that the reference service has and we do not."""

_FORBIDDEN: Final = "\\ \":/?#[]@!$&'()*+,;="

_log = structlog.get_logger()


class Aliases:
    """The use-cases of aliases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def listed(self, caller: Caller) -> list[Alias]:
        """All aliases of the caller's tenant, oldest first: everybody may see which names are taken."""
        return await self._database.read(partial(aliases.listed, tenant=caller.tenant))

    async def create(self, caller: Caller, name: str, identifier: str) -> Alias:
        """Let `name` stand for the actor with this id or alias. The caller gets UPDATE on the alias.

        Raises:
            InvalidField: nothing may be called so, the name is taken, or a link would lead in a circle.
            ActorNotFound: there is no such actor.
            NotPermitted: the caller has no UPDATE on it.
        """
        check_name(name)

        def make(tx: Transaction) -> Alias:
            refusal = f"Not authorized -- you do not have access to {identifier}."
            actor = permitted_actor(tx, caller, identifier, Level.UPDATE, refusal)
            alias = Alias(caller.tenant, name, actor.id, caller.username)
            aliases.insert(tx, alias)
            check_alias_target(alias.actor_id, link_targets(tx, caller.tenant))
            return alias

        alias = await self._database.write(make)
        _log.info("alias_created", alias=name, tenant=caller.tenant, actor=alias.actor_id, by=caller.username)
        return alias

    async def repoint(self, caller: Caller, name: str, identifier: str) -> Alias:
        """Let the alias stand for another actor.

        Raises:
            InvalidField: a link would lead in a circle.
            BuiltinActor: it is the name of a built-in reactor, and stands for it.
            AliasNotFound, ActorNotFound: there is no such alias or actor.
            NotPermitted: the caller lacks UPDATE on one of the two.
        """

        def change(tx: Transaction) -> Alias:
            before = aliases.get(tx, caller.tenant, name)
            require(tx, caller, Subject.alias(caller.tenant, name), Level.UPDATE)
            _refuse_builtin(tx, before)
            refusal = (
                "Not authorized -- you do not have UPDATE access to the actor you want to associate with this alias."
            )
            aliases.repoint(tx, before, permitted_actor(tx, caller, identifier, Level.UPDATE, refusal).id)
            after = aliases.get(tx, caller.tenant, name)
            check_alias_target(after.actor_id, link_targets(tx, caller.tenant))
            return after

        alias = await self._database.write(change)
        _log.info("alias_updated", alias=name, tenant=caller.tenant, actor=alias.actor_id, by=caller.username)
        return alias

    async def delete(self, caller: Caller, name: str) -> None:
        """Remove the alias with its permissions and nonces; the actor stays.

        Raises:
            BuiltinActor: it is the name of a built-in reactor, and stands for it.
            AliasNotFound: there is no such alias.
            NotPermitted: the caller has no UPDATE on it.
        """

        def remove(tx: Transaction) -> None:
            alias = aliases.get(tx, caller.tenant, name)
            require(tx, caller, Subject.alias(caller.tenant, name), Level.UPDATE)
            _refuse_builtin(tx, alias)
            aliases.delete(tx, alias)

        await self._database.write(remove)
        _log.info("alias_deleted", alias=name, tenant=caller.tenant, by=caller.username)


def _refuse_builtin(tx: Transaction, alias: Alias) -> None:
    """Refuse to take its name from a built-in reactor: messages to it, with their tokens, would reach somebody else's actor."""
    actor = actors.builtin(tx, alias.tenant, alias.name)
    if actor is not None and actor.id == alias.actor_id:
        raise BuiltinActor(
            f"The alias {alias.name} is that of a built-in reactor: it can be neither changed nor deleted."
        )


def check_name(name: str) -> None:
    """Refuse what no alias may be called (spec/actors-api 7.6).

    Raises:
        InvalidField: the message says what is wrong with it.
    """
    if is_hashid(name):
        raise InvalidField("Invalid alias description. Alias cannot be an Abaco hash id.")
    names.check_name(
        name, reserved=RESERVED, forbidden=_FORBIDDEN, field="alias description: alias", another="another alias"
    )
