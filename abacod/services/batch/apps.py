"""Registered apps, each with the hidden actor that runs its jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from abacod.clock import Clock
from abacod.errors import AppInUse, AppNotFound
from abacod.ids import TenantId, Username, new_actor_id
from abacod.models.actor import APP_PREFIX, Actor, ActorDefinition
from abacod.models.app import App, AppDescription
from abacod.models.states import ActorStatus
from abacod.models.user import Caller
from abacod.services.batch.description import described
from abacod.store import actors, apps, batch_jobs
from abacod.store.database import Database, Transaction

_log = structlog.get_logger()


class Apps:
    """The use-cases of apps."""

    def __init__(self, database: Database, actor_owner: Username, clock: Clock) -> None:
        """`actor_owner` owns the hidden actors."""
        self._database = database
        self._actor_owner = actor_owner
        self._clock = clock

    async def listed(self, caller: Caller) -> list[App]:
        """The apps that the caller may run, oldest first."""
        found = await self._database.read(partial(apps.listed, tenant=caller.tenant))
        return [app for app in found if _may_run(app, caller.username, is_admin=caller.is_admin)]

    async def get(self, caller: Caller, app_id: str) -> App:
        """One app.

        Raises:
            AppNotFound: there is none that the caller may run.
        """
        app = await self._database.read(partial(apps.get, tenant=caller.tenant, app_id=app_id))
        if not _may_run(app, caller.username, is_admin=caller.is_admin):
            raise AppNotFound(f"There is no app {app_id}.")
        return app

    async def register(self, caller: Caller, document: Mapping[str, Any]) -> App:
        """Register an app, or put the description in the place of the one with the same id; that the caller may was checked.

        Raises:
            InvalidField: the description is wrong.
        """
        now = self._clock.now()
        description = await asyncio.to_thread(described, document)
        app = await self._database.write(
            lambda tx: put(tx, caller.tenant, caller.username, description, now, actor_owner=self._actor_owner)
        )
        _log.info("app_registered", app=app.id, tenant=app.tenant, revision=app.revision, by=caller.username)
        return app


def put(
    tx: Transaction,
    tenant: TenantId,
    owner: Username,
    description: AppDescription,
    now: datetime,
    *,
    actor_owner: Username,
) -> App:
    """Store an app and its hidden actor. Jobs that have been accepted run with the description that they were accepted with."""
    app = apps.put(tx, App(tenant, description.id, owner, description.document, 1, now, now))
    if description.image is not None:
        ensure_actor(tx, tenant, description, actor_owner, now)
    return app


def ensure_actor(
    tx: Transaction,
    tenant: TenantId,
    description: AppDescription,
    owner: Username,
    now: datetime,
    *,
    keep_image: bool = False,
) -> Actor:
    """The actor that runs the app, which has an image; made if there is none.

    One with another image gets that of the app, unless it is to `keep_image`.
    """
    name = APP_PREFIX + description.id
    actor = actors.builtin(tx, tenant, name)
    if actor is None:
        definition = ActorDefinition(
            image=description.image or "", name=name, description=f"Runs the app {description.id}.", token=False
        )
        actor = Actor(
            id=new_actor_id(),
            tenant=tenant,
            owner=owner,
            definition=definition,
            status=ActorStatus.SUBMITTED,
            status_message="",
            create_time=now,
            last_update_time=now,
            builtin=name,
        )
        actors.insert(tx, actor)
    elif description.image and actor.definition.image != description.image and not keep_image:
        actor = replace(
            actor.with_status(ActorStatus.SUBMITTED, ""),
            definition=replace(actor.definition, image=description.image),
            revision=actor.revision + 1,
            last_update_time=now,
        )
        actors.replace(tx, actor)
    return actor


def remove(tx: Transaction, tenant: TenantId, app_id: str) -> None:
    """Remove an app; its actor stays, with the logs of what it ran.

    Raises:
        AppNotFound: there is none.
        AppInUse: jobs of it have not ended.
    """
    if batch_jobs.runs_app(tx, tenant, app_id):
        raise AppInUse(f"Batch jobs of the app {app_id} have not ended; stop them, or wait for them.")
    apps.delete(tx, tenant, app_id)


def runnable(tx: Transaction, tenant: TenantId, username: Username, app_id: str) -> App:
    """The app, if the user may run it.

    Raises:
        AppNotFound: there is none, or it is neither public nor theirs.
    """
    app = apps.get(tx, tenant, app_id)
    if not _may_run(app, username):
        raise AppNotFound(f"There is no app {app_id}.")
    return app


def _may_run(app: App, username: Username, *, is_admin: bool = False) -> bool:
    return app.is_public or is_admin or app.owner == username
