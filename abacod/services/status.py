"""Whether the daemon can serve."""

from __future__ import annotations

from dataclasses import dataclass

from abacod.errors import StorageUnavailable
from abacod.services.engine_watch import EngineWatch
from abacod.store import facts
from abacod.store.database import Database


@dataclass(frozen=True, slots=True)
class Readiness:
    """What does not answer, and why; None for what does."""

    database: str | None
    engine: str | None

    @property
    def ready(self) -> bool:
        """Whether everything answers."""
        return self.database is None and self.engine is None


class Status:
    """Looks at the parts a daemon depends on."""

    def __init__(self, database: Database, engine: EngineWatch) -> None:
        self._database = database
        self._engine = engine

    @property
    def engine_trouble(self) -> str | None:
        """What is wrong with the engine as of the last look, None if it answers."""
        return self._engine.trouble

    async def readiness(self) -> Readiness:
        """Ask the database and the engine now."""
        try:
            await self._database.read(facts.answers)
            database = None
        except StorageUnavailable as error:
            database = error.message
        await self._engine.look()
        return Readiness(database, self._engine.trouble)
