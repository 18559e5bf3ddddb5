"""Removes what has outlived its time, and does other work that nobody waits for."""

from __future__ import annotations

from typing import Final

from abacod.clock import Clock
from abacod.services.search import index_all
from abacod.store import logs, results
from abacod.store.database import Database

# Logs or results removed in one transaction: more would keep requests waiting.
_AT_ONCE: Final = 100


class Janitor:
    """Forgets logs and results whose life time has passed, and keeps the full-text index from falling far behind."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> None:
        """Remove and index all that is due, a little at a time."""
        while await self._database.write(lambda tx: logs.remove_expired(tx, self._clock.now(), _AT_ONCE)) == _AT_ONCE:
            pass
        while (
            await self._database.write(lambda tx: results.remove_expired(tx, self._clock.now(), _AT_ONCE)) == _AT_ONCE
        ):
            pass
        for what in ("actors", "executions"):
            await index_all(self._database, what)
