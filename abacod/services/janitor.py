"""Removes what has outlived its time, and does other work that nobody waits for."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from abacod.clock import Clock
from abacod.config import EventSettings
from abacod.services.search import index_all
from abacod.store import events, logs, results
from abacod.store.database import Database

# Records removed in one transaction: more would keep requests waiting.
_AT_ONCE: Final = 100


class Janitor:
    """Forgets logs, results and events whose time has passed, and keeps the full-text index from falling far behind."""

    def __init__(self, database: Database, settings: EventSettings, clock: Clock) -> None:
        self._database = database
        self._keep = timedelta(seconds=settings.keep_seconds)
        self._clock = clock

    async def run_once(self) -> None:
        """Remove and index all that is due, a little at a time."""
        now = self._clock.now()
        while await self._database.write(lambda tx: logs.remove_expired(tx, now, _AT_ONCE)) == _AT_ONCE:
            pass
        while await self._database.write(lambda tx: events.remove_done(tx, now - self._keep, _AT_ONCE)) == _AT_ONCE:
            pass
        while await self._database.write(lambda tx: results.remove_expired(tx, now, _AT_ONCE)) == _AT_ONCE:
            pass
        for what in ("actors", "executions"):
            await index_all(self._database, what)
