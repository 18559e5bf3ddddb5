"""Removes what has outlived its time, and does other work that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final

from abacod.clock import Clock
from abacod.config import EventSettings
from abacod.services.search import index_all
from abacod.store import events, logs, results, space
from abacod.store.database import Database, Transaction

# Records removed in one transaction: more would keep requests waiting.
_AT_ONCE: Final = 100


class Janitor:
    """Forgets logs, results and events whose time has passed, puts logs away, and gives back room on the disk.

    It keeps the full-text index from falling far behind, too.
    """

    def __init__(self, database: Database, settings: EventSettings, clock: Clock) -> None:
        self._database = database
        self._keep = timedelta(seconds=settings.keep_seconds)
        self._clock = clock

    async def run_once(self) -> None:
        """Remove, put away and give back all that is due, a little at a time: messages that come meanwhile do not wait for it."""
        now = self._clock.now()
        await self._until_done(partial(logs.remove_expired, now=now))
        await self._all(partial(events.remove_done, before=now - self._keep, limit=_AT_ONCE))
        await self._all(partial(results.remove_expired, now=now, limit=_AT_ONCE))
        for what in ("actors", "executions"):
            await index_all(self._database, what)
        await self._until_done(space.give_back)

    async def _until_done(self, step: Callable[[Transaction], bool]) -> None:
        """Take steps, each in a transaction of its own, until one says that no more are to be taken."""
        while await self._database.write(step):
            pass

    async def _all(self, remove: Callable[[Transaction], int]) -> None:
        """Ask for it until less than was asked for was there."""
        while await self._database.write(remove) == _AT_ONCE:
            pass
