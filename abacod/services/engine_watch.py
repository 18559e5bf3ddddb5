"""Whether the container engine answers: asked now and then, and shared by all who wait for it."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.config import EngineSettings
from abacod.errors import EngineUnavailable
from abacod.runtime.run import Runtime

# How often an engine that answers is asked, in seconds.
_INTERVAL: Final = 5.0
# The first pause after it stopped answering, doubled each time up to `engine.retry_max_seconds`, in seconds.
_FIRST_PAUSE: Final = 0.25

_log = structlog.get_logger()


class EngineWatch:
    """Knows the engine's state; `trouble` is None while it answers, else what is wrong."""

    def __init__(self, runtime: Runtime, settings: EngineSettings, clock: Clock) -> None:
        self._runtime = runtime
        self._settings = settings
        self._clock = clock
        self._up = asyncio.Event()
        self._away = asyncio.Event()
        self._look_now = asyncio.Event()
        self.trouble: str | None = "The container engine has not been asked yet."

    async def run(self) -> None:
        """Ask for ever."""
        pause = _FIRST_PAUSE
        while True:
            if await self.look():
                pause = _FIRST_PAUSE
                await self._until_lost(_INTERVAL)
            if self.trouble:
                # Also after a loss that somebody else noticed: an engine that fails its work but answers our question must
                # not be asked without end.
                await self._clock.sleep(pause)
                pause = min(2 * pause, self._settings.retry_max_seconds)

    async def look(self) -> bool:
        """Ask the engine now; whether it answers."""
        try:
            await self._runtime.ping()
        except EngineUnavailable as error:
            self._down(error)
            return False
        if not self._up.is_set():
            _log.info("engine_answers")
        self.trouble = None
        self._away.clear()
        self._up.set()
        return True

    def lost(self, error: EngineUnavailable) -> None:
        """Somebody's request went unanswered: hold everyone until the engine has been asked again."""
        self._down(error)
        self._look_now.set()

    async def until_up(self) -> None:
        """Wait until the engine answers."""
        await self._up.wait()

    async def until_away(self) -> None:
        """Wait until the engine does not answer, seen from its next answer on."""
        await self._away.wait()

    def _down(self, error: EngineUnavailable) -> None:
        if self._up.is_set():
            _log.warning("engine_lost", error=error.message)
        self._up.clear()
        self._away.set()
        self.trouble = error.message

    async def _until_lost(self, seconds: float) -> None:
        """Wait that long, or until somebody lost the engine."""
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        alarm = asyncio.ensure_future(self._look_now.wait())
        try:
            await asyncio.wait({timer, alarm}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            alarm.cancel()
            self._look_now.clear()
