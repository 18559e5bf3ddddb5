"""Following one started container to its end, across engines that go away and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.errors import EngineUnavailable
from abacod.runtime.container import Container, Seen
from abacod.runtime.engine import Engine, EngineRefused
from abacod.runtime.logstream import Attachment, read_log
from abacod.runtime.run import Outcome, RunSink
from abacod.runtime.usage import Share, UsageMeter

logger = structlog.get_logger()

_EARLY: Final = 1.0
"""Seconds before the end of a container at which the end of its output is suspicious: it may have been the connection's."""

_STALL: Final = 30.0
"""Seconds without any output, after the end of a container, in which the end of its output is still expected."""

_STEADY: Final = 60.0
"""Seconds of following after which a new loss is a new trouble, and is met with short pauses again."""

_STOP_RETRY: Final = 5.0
"""Seconds between two tries to stop a container that the engine fails to stop."""


class Follower:
    """Delivers the output of one container and waits for its end."""

    def __init__(self, engine: Engine, clock: Clock, container: Container, sink: RunSink, *, grace: float) -> None:
        self._engine = engine
        self._clock = clock
        self._container = container
        self._sink = sink
        self._grace = grace
        self._deadline: float | None = None

    async def to_end(self, attachment: Attachment | None, seconds: float | None, share: Share | None = None) -> Outcome:
        """The outcome, once the container has ended and all its output is delivered.

        Without an `attachment` the output comes from the container's log, from its beginning. After `seconds` the container
        is stopped. A `share` is the network that it has joined.

        Raises:
            RunLost: there is no such container any more.
        """
        self._deadline = None if seconds is None else self._clock.monotonic() + seconds
        meter: UsageMeter | None = None
        losses = 0
        while True:
            began = self._clock.monotonic()
            try:
                seen = await self._container.look()
                meter = meter or UsageMeter(self._engine, self._clock, seen, share=share)
                await self._together(seen, meter, attachment)
                seen = await self._container.look()
                if not seen.running:
                    await meter.finish()
                    return self._outcome(seen, meter)
                logger.warning("engine_gave_up_waiting", container=self._container.name)
            except (EngineUnavailable, EngineRefused) as error:
                logger.warning("engine_lost", container=self._container.name, reason=error.message)
            attachment = None
            losses = 0 if self._clock.monotonic() - began > _STEADY else losses + 1
            await self._engine.back(losses)

    async def _together(self, seen: Seen, meter: UsageMeter, attachment: Attachment | None) -> None:
        """Read, measure and limit until the container has ended and everything is read."""
        name = self._container.name
        async with _all_or_none() as group:
            ended = asyncio.Event()
            usage = group.create_task(meter.measure(), name=f"usage {name}")
            limit = group.create_task(self._stop_in_time(), name=f"limit {name}")
            reader = group.create_task(self._read(seen, attachment, ended), name=f"log {name}")
            await self._container.ended()
            # A request for statistics that meets the end of its container is answered a second late.
            usage.cancel()
            limit.cancel()
            ended.set()
            if attachment is not None:
                await self._tail(reader, attachment)

    async def _read(self, seen: Seen, attachment: Attachment | None, ended: asyncio.Event) -> None:
        if attachment is None:
            delivered = await self._replay(seen, follow=True)
        else:
            await attachment.read(self._sink)
            delivered = attachment.delivered
        closed_at = self._clock.monotonic()
        await ended.wait()
        if self._clock.monotonic() - closed_at > _EARLY:
            # The container closed its output and went on, or the connection was cut, or the engine changed its log file
            # for a new one and lost its place. The log as it is now knows.
            length = await read_log(self._engine, seen.id, _nowhere, follow=False)
            if length > delivered:
                logger.warning("log_read_again", container=self._container.name, missing=length - delivered)
                await self._replay(seen, follow=False)

    async def _replay(self, seen: Seen, *, follow: bool) -> int:
        await self._sink.log_restarts()
        return await read_log(self._engine, seen.id, self._sink.log, follow=follow)

    async def _tail(self, reader: asyncio.Task[None], attachment: Attachment) -> None:
        """Wait for the reader, which ends with the output, as long as that makes progress."""
        while not reader.done():
            before = attachment.delivered
            await asyncio.wait({reader}, timeout=_STALL)
            if not reader.done() and attachment.delivered == before:
                raise EngineUnavailable("The container has ended, but its output does not.")

    async def _stop_in_time(self) -> None:
        if self._deadline is None:
            return
        await self._clock.sleep(max(0, self._deadline - self._clock.monotonic()))
        logger.info("time_limit_reached", container=self._container.name)
        while True:
            try:
                await self._container.stop(self._grace)
            except EngineRefused as error:
                logger.warning("stop_failed", container=self._container.name, reason=error.message)
                await self._clock.sleep(_STOP_RETRY)
            else:
                return

    def _outcome(self, seen: Seen, meter: UsageMeter) -> Outcome:
        started_at = seen.started_at or self._clock.now()
        # An engine takes the two times in two places: a very short run may end, by its word, before it began.
        finished_at = max(started_at, seen.finished_at or self._clock.now())
        return Outcome(
            exit_code=int(seen.state["ExitCode"]),
            final_state=seen.final_state,
            started_at=started_at,
            finished_at=finished_at,
            cpu=meter.cpu,
            io=meter.io,
        )


async def _nowhere(data: bytes) -> None:
    """Take output that only counts."""


@asynccontextmanager
async def _all_or_none() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that raises one plain error; any other one goes before that of a lost engine, which is survived."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as errors:
        fatal = [error for error in errors.exceptions if not isinstance(error, EngineUnavailable)]
        raise (fatal or errors.exceptions)[0] from errors
