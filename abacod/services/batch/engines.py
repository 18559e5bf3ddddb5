"""All engines as one: each app is run by the one that its description names, or the settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from abacod.errors import AppNotFound, BatchEngineFailed
from abacod.ids import TenantId, Username
from abacod.services.batch.description import described
from abacod.services.batch.engine import BatchEngine, Submitted
from abacod.store import apps
from abacod.store.database import Database


class Engines:
    """A `BatchEngine` that hands everything to the right one."""

    def __init__(self, database: Database, engines: Mapping[str, BatchEngine], default: str) -> None:
        """`engines` are those that are set up, by their names; `default` runs what is not registered here."""
        self._database = database
        self._engines = engines
        self._default = default

    async def app(self, tenant: TenantId, app_id: str) -> Mapping[str, Any]:
        """See `BatchEngine.app`."""
        return await (await self._of(tenant, app_id)).app(tenant, app_id)

    async def submit(self, tenant: TenantId, username: Username, definition: Mapping[str, Any], key: str) -> Submitted:
        """See `BatchEngine.submit`."""
        engine = await self._of(tenant, str(definition.get("appId")))
        return await engine.submit(tenant, username, definition, key)

    async def _of(self, tenant: TenantId, app_id: str) -> BatchEngine:
        try:
            app = await self._database.read(partial(apps.get, tenant=tenant, app_id=app_id))
            name = described(app.document).engine or self._default
        except AppNotFound:
            name = self._default
        engine = self._engines.get(name)
        if engine is None:
            raise BatchEngineFailed(f"The engine {name}, which is to run {app_id}, is not set up: see batch.{name}.")
        return engine
