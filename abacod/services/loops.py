"""Tasks that run beside the requests: loops that do one thing again and again, and errands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from abacod.clock import Clock
from abacod.errors import Unavailable

_log = structlog.get_logger()


class Periodic:
    """Calls `run_once` at an interval, for ever; one failed call does not end the loop."""

    def __init__(
        self, name: str, run_once: Callable[[], Awaitable[object]], interval: Callable[[], float] | float, clock: Clock
    ) -> None:
        """`interval` is the pause before each call, in seconds, or tells how long that is now."""
        self.name = name
        self.failures = 0
        self._run_once = run_once
        self._interval = interval
        self._clock = clock

    async def run(self) -> None:
        """Pause, call, pause, call."""
        while True:
            await self._clock.sleep(self._interval() if callable(self._interval) else self._interval)
            try:
                await self._run_once()
            except Unavailable as error:
                _log.warning("loop_delayed", loop=self.name, error=error.message)
            except Exception:  # noqa: BLE001 - a loop's top, see below
                # A loop's top: a defect in one round must not end upkeep for ever. It is counted and logged.
                self.failures += 1
                _log.exception("loop_failed", loop=self.name, failures=self.failures)


class Background:
    """Keeps hold of tasks beside the requests; all of them end when the daemon does."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a part of the daemon; if it fails, the daemon ends, to be started again in a known state."""
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run an errand that nobody waits for; if it fails, that is logged."""
        self.start(_guarded(work, name), name)

    def cancel(self) -> None:
        """End them all."""
        for task in self._tasks:
            task.cancel()


async def _guarded(errand: Coroutine[Any, Any, None], name: str) -> None:
    try:
        await errand
    except Exception:  # noqa: BLE001 - an errand's failure must not end the daemon
        _log.exception("errand_failed", errand=name)
