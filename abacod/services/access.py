"""May this caller do that? Everything that finds what a request names, and checks the caller's level on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from abacod.clock import Clock
from abacod.errors import ActorNotFound, ConfigNotFound, NotFound, NotPermitted
from abacod.ids import ActorId, ExecutionId, TenantId, is_hashid
from abacod.models.actor import Actor
from abacod.models.alias import Alias
from abacod.models.permission import Demand, Subject
from abacod.models.user import Caller, Level
from abacod.store import actors, aliases, executions, permissions
from abacod.store.database import Database, Transaction
from abacod.store.remembered import Remembered

_PARTS: Final = ("actor", "alias", "config")
"""The parts of a path that name something with permissions."""


@dataclass(frozen=True, slots=True)
class Named:
    """What the path of a request names, as far as its route asks for a level on it; None elsewhere."""

    actor: Actor | None = None
    alias: Alias | None = None
    config: str | None = None
    subject: Subject | None = None
    """That of these whose permissions, or nonces, are meant: the alias or config, else the actor."""
    only_own: bool = False
    """Whether the caller sees none of the actor's executions but its own."""


class Access:
    """Finds what a request names and checks the caller's level on it (spec/actors-api 7.4)."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._answers: Remembered[Named] = Remembered(database, clock)

    async def named(self, caller: Caller, demand: Demand, parameters: Mapping[str, str]) -> Named:
        """What `parameters`, the parts of a path, name, if the caller may do what the route demands.

        The parts are called `actor` (an id or alias), `alias` and `config`.

        Raises:
            NotFound: the caller's tenant has no such actor, alias or config.
            NotPermitted: the caller's level or role is too low.
        """
        require_role(caller, demand)
        if not demand.names_something:
            return Named()
        key = caller, demand, *(parameters.get(part) for part in _PARTS)
        named = await self._answers.ask(key, lambda tx: _permitted(tx, caller, demand, parameters))
        if named.only_own and named.actor is not None and "execution" in parameters:
            actor, execution_id = named.actor, ExecutionId(parameters["execution"])
            await self._database.glance(lambda tx: _require_own(tx, caller, actor, execution_id))
        return named


def permitted(tx: Transaction, caller: Caller, demand: Demand, parameters: Mapping[str, str]) -> Named:
    """As `Access.named`, within a transaction, for what is demanded beside the role."""
    named = _permitted(tx, caller, demand, parameters)
    if named.only_own and named.actor is not None and "execution" in parameters:
        _require_own(tx, caller, named.actor, ExecutionId(parameters["execution"]))
    return named


def _permitted(tx: Transaction, caller: Caller, demand: Demand, parameters: Mapping[str, str]) -> Named:
    """What is named but for its execution: this depends on nothing but the tables of `rights`."""
    if demand.config is not None:
        config = Subject.config(caller.tenant, parameters["config"])
        if not permissions.levels(tx, config):
            raise ConfigNotFound(f"No config found: {parameters['config']}.")
        if not holds(tx, caller, config, demand.config):
            raise NotPermitted("You do not have sufficient access to this actor config.")
        return Named(config=parameters["config"], subject=config)
    if demand.alias is not None:
        return _permitted_alias(tx, caller, parameters["alias"], demand.alias, demand.actor)
    if demand.builtin is not None and demand.actor is not None:
        return _permitted_builtin(tx, caller, demand.builtin, demand.actor)
    if demand.actor is not None:
        actor = permitted_actor(tx, caller, parameters["actor"], demand.actor)
        return Named(actor, subject=Subject.actor(actor.id), only_own=_sees_only_own(tx, caller, actor))
    return Named()


def permitted_actor(
    tx: Transaction, caller: Caller, identifier: str, needed: Level, refusal: str | None = None
) -> Actor:
    """The actor with this id or alias, if the caller may use it at the `needed` level; `refusal` is said if not.

    Raises:
        ActorNotFound: the caller's tenant has no such actor.
        NotPermitted: the caller's level is too low.
    """
    actor = actors.get(tx, caller.tenant, resolve(tx, caller.tenant, identifier))
    if not holds(tx, caller, Subject.actor(actor.id), needed):
        raise NotPermitted(refusal)
    return actor


def resolve(tx: Transaction, tenant: TenantId, identifier: str) -> ActorId:
    """The actor id that an identifier means: itself if it decodes as one, else what the alias of this name stands for.

    Whether there is such an actor is not looked at.

    Raises:
        ActorNotFound: it is no id, and the tenant has no such alias.
    """
    if is_hashid(identifier):
        return ActorId(identifier)
    alias = aliases.find(tx, tenant, identifier)
    if alias is None:
        raise ActorNotFound(f"Actor with identifier '{identifier}' not found")
    return alias.actor_id


def link_targets(tx: Transaction, tenant: TenantId) -> dict[ActorId, ActorId]:
    """The tenant's link graph, with what aliases stand for in their place; a link to nothing is left out."""
    by_name = {alias.name: alias.actor_id for alias in aliases.listed(tx, tenant)}
    targets = {
        source: ActorId(link) if is_hashid(link) else by_name.get(link)
        for source, link in actors.links(tx, tenant).items()
    }
    return {source: target for source, target in targets.items() if target is not None}


def holds(tx: Transaction, caller: Caller, subject: Subject, needed: Level) -> bool:
    """Whether the caller has the level, or is an administrator, who needs none."""
    return caller.is_admin or permissions.level_of(tx, subject, caller.username) >= needed


def require(tx: Transaction, caller: Caller, subject: Subject, needed: Level) -> None:
    """Check once more, in the transaction that changes something, what was checked before it.

    Raises:
        NotPermitted: the caller's level is too low by now.
        NotFound: the subject was deleted meanwhile.
    """
    if not permissions.levels(tx, subject):
        raise NotFound(f"This {subject.kind} has been deleted meanwhile.")
    if not holds(tx, caller, subject, needed):
        raise NotPermitted(f"Not authorized -- you do not have access to this {subject.kind}.")


def require_role(caller: Caller, demand: Demand) -> None:
    """Raises NotPermitted if an administrator is demanded, and the caller is none."""
    if demand.admin is not None and not caller.is_admin:
        raise NotPermitted(demand.admin)


def _sees_only_own(tx: Transaction, caller: Caller, actor: Actor) -> bool:
    """Logs of built-in actors have the tokens of pipelines and jobs: they are for who sent the message, and who runs the actor.

    What came with a nonce is nobody's own: others have the nonce, too.
    """
    return actor.builtin is not None and (
        caller.by_nonce or not holds(tx, caller, Subject.actor(actor.id), Level.UPDATE)
    )


def _require_own(tx: Transaction, caller: Caller, actor: Actor, execution_id: ExecutionId) -> None:
    execution = executions.get(tx, actor.id, execution_id)
    if caller.by_nonce or execution.executor != caller.username:
        raise NotPermitted(
            f"Not authorized -- {actor.builtin} is built in: its executions are shown to who sent the message, with a "
            "token and not with a nonce."
        )


def _permitted_builtin(tx: Transaction, caller: Caller, name: str, needed: Level) -> Named:
    actor = actors.builtin(tx, caller.tenant, name)
    if actor is None:
        raise ActorNotFound(f"The built-in reactor {name} is switched off here; see the setting pipelines.enabled.")
    if not holds(tx, caller, Subject.actor(actor.id), needed):
        raise NotPermitted(f"Not authorized -- you do not have access to the built-in reactor {name}.")
    return Named(actor, subject=Subject.actor(actor.id))


def _permitted_alias(tx: Transaction, caller: Caller, name: str, needed: Level, on_actor: Level | None) -> Named:
    alias = aliases.get(tx, caller.tenant, name)
    subject = Subject.alias(alias.tenant, alias.name)
    may = holds(tx, caller, subject, needed)
    if on_actor is None:
        if not may:
            raise NotPermitted("Not authorized -- you do not have access to this alias.")
        return Named(alias=alias, subject=subject)
    if not (may and holds(tx, caller, Subject.actor(alias.actor_id), on_actor)):
        raise NotPermitted("Not authorized -- you do not have access to this alias and actor.")
    return Named(actors.get(tx, alias.tenant, alias.actor_id), alias, subject=subject)
