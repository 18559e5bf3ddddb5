"""Nonces: make keys to an actor or alias, and let requests in with them (seeds: Nonces; spec/actors-api 7.5)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.errors import InvalidField, InvalidNonce, NonceNotFound, NonceUsedUp, NotPermitted
from abacod.ids import ActorId, NonceId, TenantId, is_hashid, new_nonce_id
from abacod.models.actor import NATIVE
from abacod.models.nonce import Nonce
from abacod.models.permission import Demand, Kind, Subject
from abacod.models.user import Caller, Level
from abacod.services.access import Named, permitted, require, require_role
from abacod.services.sealing import Seal
from abacod.store import actors, aliases, nonces, users
from abacod.store.database import Database, Transaction

# What levels nonces may have (seeds: Nonces Attached to Aliases).
_LEVELS: Final = {Kind.ACTOR: tuple(Level), Kind.ALIAS: (Level.NONE, Level.READ, Level.EXECUTE)}

_log = structlog.get_logger()


class Nonces:
    """The use-cases of nonces. `named` is what a path names: an actor, or an alias and what it stands for."""

    def __init__(self, database: Database, seal: Seal, clock: Clock) -> None:
        self._database = database
        self._seal = seal
        self._clock = clock

    async def listed(self, caller: Caller, subject: Subject) -> list[Nonce]:
        """The nonces of an actor or alias, oldest first, without those that would give the caller further roles.

        Raises:
            SealBroken: they were sealed with another key.
        """
        found = await self._database.read(lambda tx: nonces.listed(tx, subject, self._seal.unseal))
        return [nonce for nonce in found if _may_see(caller, nonce)]

    async def get(self, caller: Caller, subject: Subject, nonce_id: NonceId) -> Nonce:
        """One of them.

        Raises:
            NonceNotFound: there is no such one.
        """
        nonce = await self._database.read(lambda tx: nonces.find(tx, nonce_id))
        if nonce is None or nonce.subject != subject or not _may_see(caller, nonce):
            raise NonceNotFound
        return nonce

    async def create(
        self, caller: Caller, subject: Subject, *, level: str, max_uses: int | None, description: str
    ) -> Nonce:
        """Make a nonce with which requests run as the caller; `max_uses` is None for any number.

        Raises:
            InvalidField: no nonce of this subject may have a level of that name.
            NotPermitted, NotFound: the caller may not any more, or what it is for is gone.
        """
        nonce = Nonce(
            id=new_nonce_id(caller.tenant),
            tenant=caller.tenant,
            subject=subject,
            owner=caller.username,
            roles=caller.roles,
            level=_checked_level(subject.kind, level),
            max_uses=max_uses,
            description=description,
            create_time=self._clock.now(),
        )
        sealed = self._seal.seal(nonce.id)

        def make(tx: Transaction) -> None:
            require(tx, caller, subject, Level.UPDATE)
            if subject.kind is Kind.ALIAS:
                alias = aliases.get(tx, caller.tenant, subject.name)
                require(tx, caller, Subject.actor(alias.actor_id), Level.UPDATE)
            nonces.insert(tx, nonce, sealed)

        await self._database.write(make)
        _log.info("nonce_created", kind=subject.kind, on=subject.key, granted=nonce.level.name, by=caller.username)
        return nonce

    async def delete(self, caller: Caller, subject: Subject, nonce_id: NonceId) -> None:
        """Remove a nonce; requests with it are refused from now on.

        Raises:
            NonceNotFound: there is no such one.
        """
        if not await self._database.write(lambda tx: nonces.delete(tx, subject, nonce_id)):
            raise NonceNotFound
        _log.info("nonce_deleted", kind=subject.kind, on=subject.key, by=caller.username)

    async def redeem(self, nonce_id: NonceId, demand: Demand, parameters: Mapping[str, str]) -> tuple[Caller, Named]:
        """Count a use of the nonce; as whom the request runs, and what its path names.

        All in one transaction: of many requests at once exactly as many get in as the nonce has uses. A use counts once
        the request is let in, whatever becomes of it; a refusal here counts none.

        Raises:
            InvalidNonce: it does not exist, is for something else, or the route takes none.
            NonceUsedUp: it has no uses left.
            NotPermitted: its level is too low, or its owner has lost the permission.
            ActorNotFound: its alias stands for nothing any more.
        """
        needed = demand.actor
        if needed is None or not demand.takes_nonces:
            raise InvalidNonce("A nonce opens only the addresses of its actor; send a token here.")

        def use(tx: Transaction) -> tuple[Caller, Named]:
            nonce = nonces.find(tx, nonce_id)
            if nonce is None or nonce.subject not in _subjects(tx, demand, parameters, nonce.tenant):
                raise InvalidNonce
            if nonce.level < needed:
                raise NotPermitted("Nonce does not have sufficient permissions level.")
            if nonce.remaining_uses == 0:
                raise NonceUsedUp
            holder = _holder(tx, nonce)
            require_role(holder, demand)
            named = permitted(tx, holder, demand, parameters)
            nonces.count_use(tx, nonce_id, self._clock.now())
            return holder, named

        return await self._database.write(use)


def _subjects(tx: Transaction, demand: Demand, parameters: Mapping[str, str], tenant: TenantId) -> tuple[Subject, ...]:
    """Whose nonces are good for a path: a nonce of an actor for its id only, one of an alias for that.

    A built-in actor keeps its alias for good, and takes nonces by whichever name: they say which actor was meant either way.
    So does a path that names no actor but shows what a built-in one keeps.
    """
    if demand.builtin is not None:
        actor = actors.builtin(tx, tenant, demand.builtin)
        return () if actor is None else (Subject.actor(actor.id), Subject.alias(tenant, demand.builtin))
    identifier = parameters["actor"]
    if not is_hashid(identifier):
        named = actors.builtin(tx, tenant, identifier)
        also = () if named is None else (Subject.actor(named.id),)
        return (Subject.alias(tenant, identifier), *also)
    actor = actors.find(tx, ActorId(identifier))
    if actor is None or not actor.is_native or actor.tenant != tenant:
        return (Subject.actor(ActorId(identifier)),)
    return Subject.actor(actor.id), Subject.alias(tenant, actor.definition.image.removeprefix(NATIVE))


def _holder(tx: Transaction, nonce: Nonce) -> Caller:
    """As whom a request with this nonce runs. Users of further issuers have no account that could have lost a role."""
    account = users.find(tx, nonce.tenant, nonce.owner)
    roles = nonce.roles & account.roles if account else nonce.roles
    return Caller(nonce.tenant, nonce.owner, roles, by_nonce=True)


def _checked_level(kind: Kind, name: str) -> Level:
    with suppress(KeyError):
        level = Level.named(name)
        if level in _LEVELS[kind]:
            return level
    names = ", ".join(level.name for level in _LEVELS[kind])
    raise InvalidField(f"Invalid nonce description. The level attribute must be one of: {names}.")


def _may_see(caller: Caller, nonce: Nonce) -> bool:
    """Whether showing the nonce, which is as good as giving it, gives no roles that the caller has not."""
    return caller.is_admin or nonce.roles <= caller.roles
