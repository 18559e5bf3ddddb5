"""What built-in reactors reach of the engines for batch jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abacod.errors import AppNotFound, BatchJobRefused
from abacod.services.batch.engine import BatchEngine
from abacod.services.pipelinejobs.ports import Asking
from reactors.ports import AppUnknown, Launched, LaunchRefused


class LauncherPort:
    """See `reactors.ports.Launcher`."""

    def __init__(self, asking: Asking, engine: BatchEngine) -> None:
        self._asking = asking
        self._engine = engine

    def find(self, app_id: str) -> Mapping[str, Any]:
        """See the port."""

        async def looked_up() -> Mapping[str, Any]:
            try:
                return await self._engine.app(self._asking.tenant, app_id)
            except AppNotFound as error:
                raise AppUnknown(error.message) from error

        return self._asking.ask(looked_up)

    def submit(self, definition: Mapping[str, Any], *, key: str) -> Launched:
        """See the port."""
        asking = self._asking

        async def submitted() -> Launched:
            try:
                accepted = await self._engine.submit(asking.tenant, asking.username, definition, key)
            except BatchJobRefused as error:
                raise LaunchRefused(error.message) from error
            return Launched(accepted.id, accepted.link)

        return asking.ask(submitted)
