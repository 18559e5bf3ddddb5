"""Registers the built-in reactors: ordinary actors with an alias each, in every tenant (spec/pipelinejobs 2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.config_pipelines import PipelineSettings
from abacod.ids import TenantId, Username, new_actor_id
from abacod.models.actor import NATIVE, READY_MESSAGE, Actor, ActorDefinition
from abacod.models.alias import Alias
from abacod.models.builtin import AGAVE_PROXY, INDEXER, JOBS_MANAGER, PIPELINES_MANAGER
from abacod.models.permission import Subject
from abacod.models.states import ActorStatus
from abacod.models.user import WORLD, Level
from abacod.store import actors, aliases, permissions
from abacod.store.database import Database, Transaction

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Builtin:
    name: str
    description: str
    max_workers: int | None
    """None for one that takes its messages strictly in their order."""


_BUILTINS: Final = (
    _Builtin(PIPELINES_MANAGER, "Creates, updates and retires pipelines.", None),
    _Builtin(JOBS_MANAGER, "Brings events to pipeline jobs.", None),
    _Builtin(INDEXER, "Links the products of pipeline jobs to the data catalog.", 4),
    _Builtin(AGAVE_PROXY, "Launches apps as pipeline jobs.", 4),
)


class Builtins:
    """Keeps the built-in reactors registered."""

    def __init__(self, database: Database, settings: PipelineSettings, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

    async def register(self, tenant: TenantId) -> None:
        """Register what is missing in the tenant, and give the permissions of the settings."""
        now = self._clock.now()
        for builtin in _BUILTINS:
            await self._database.write(lambda tx, each=builtin: self._ensure(tx, tenant, each, now))  # type: ignore[misc]

    def _ensure(self, tx: Transaction, tenant: TenantId, builtin: _Builtin, now: datetime) -> None:
        actor = actors.builtin(tx, tenant, builtin.name)
        if actor is None:
            actor = self._actor(tenant, builtin, now)
            actors.insert(tx, actor)
            _log.info("builtin_registered", reactor=builtin.name, actor=actor.id, tenant=tenant)
        alias = aliases.find(tx, tenant, builtin.name)
        if alias is None:
            aliases.insert(tx, Alias(tenant, builtin.name, actor.id, actor.owner))
        elif alias.actor_id != actor.id:
            _log.warning(
                "builtin_alias_taken", reactor=builtin.name, actor=actor.id, taken_by=alias.actor_id, tenant=tenant
            )
        self._permit(tx, Subject.actor(actor.id))

    def _permit(self, tx: Transaction, subject: Subject) -> None:
        """Give what the settings say; take from everybody what they do not give to everybody any more."""
        levels = permissions.levels(tx, subject)
        for name in map(Username, self._settings.execute):
            if levels.get(name, Level.NONE) < Level.EXECUTE:
                permissions.grant(tx, subject, name, Level.EXECUTE)
        if WORLD in levels and WORLD not in self._settings.execute:
            permissions.grant(tx, subject, WORLD, Level.NONE)

    def _actor(self, tenant: TenantId, builtin: _Builtin, now: datetime) -> Actor:
        definition = ActorDefinition(
            image=NATIVE + builtin.name,
            name=builtin.name,
            description=builtin.description,
            stateless=builtin.max_workers is not None,
            max_workers=builtin.max_workers,
        )
        return Actor(
            id=new_actor_id(),
            tenant=tenant,
            owner=Username(self._settings.owner),
            definition=definition,
            status=ActorStatus.READY,
            status_message=READY_MESSAGE,
            create_time=now,
            last_update_time=now,
            builtin=builtin.name,
        )
