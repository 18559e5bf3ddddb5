"""One container with a resident process, and its messages, one after the other."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Final

import structlog

from abacod.clock import Alarm, Clock, isoformat
from abacod.errors import EngineUnavailable, RunLost, RunRejected
from abacod.ids import ExecutionId
from abacod.runtime.container import Container, Seen, ended_state
from abacod.runtime.engine import Engine, EngineRefused
from abacod.runtime.images import Program
from abacod.runtime.resident.connection import Answer, Connection
from abacod.runtime.resident.contract import SOCKET_NAME, NoAnswer, message_of, request_head
from abacod.runtime.resident.folder import Folder
from abacod.runtime.resident.shape import Shape
from abacod.runtime.resident.usage import Usage
from abacod.runtime.results import ResultsSockets
from abacod.runtime.run import MAX_RESULT_BYTES, Outcome, RunSink, RunSpec

# Pauses between two looks whether a process that loads listens already, in seconds.
_FIRST_LOOK: Final = 0.005
_LONGEST_PAUSE: Final = 0.05
# How long after a lost connection the end of its container is waited for, in seconds.
_END_LIMIT: Final = 3.0
_STOP_RETRY: Final = 5.0

logger = structlog.get_logger()


class Process:
    """A started container; `watch` is to run as a task as long as it is used."""

    def __init__(
        self, engine: Engine, clock: Clock, container: Container, folder: Folder, shape: Shape, program: Program
    ) -> None:
        self.container = container
        self.folder = folder
        self.shape = shape
        self.program = program
        self.born = clock.monotonic()
        self.spoiled: str | None = None
        """Why it gets no further message."""
        self.gone = asyncio.Event()
        """Set once the container has ended."""
        self.watching: asyncio.Task[None] | None = None
        self.usage = Usage()
        self._engine = engine
        self._clock = clock
        self._seen: Seen | None = None
        self._connection: Connection | None = None
        self._used = False

    async def watch(self) -> None:
        """Wait for the container's end, across engines that go away."""
        tries = 0
        while not self.gone.is_set():
            try:
                await self.container.ended()
                seen = await self.container.look()
                if not seen.running:
                    self._seen = seen
                    self.gone.set()
                    return
            except RunLost:
                self.gone.set()
                return
            except (EngineUnavailable, EngineRefused):
                # Who asks the engine for something tells of it; to wait is no reason to.
                pass
            await self._engine.back(tries)
            tries += 1

    async def handle(
        self, spec: RunSpec, sink: RunSink, results: ResultsSockets | None, stopping: asyncio.Event, grace: float
    ) -> Outcome:
        """Hand it a message and wait for the answer; `stopping` is set once somebody stops the container.

        Raises:
            RunRejected: it ended before it listened; the message was not sent.
            RunLost: the container vanished.
        """
        first, self._used = not self._used, True
        await self.folder.pump.begin(sink, with_past=first)
        limit: Alarm | None = None
        stop: asyncio.Task[None] | None = None

        def end_it() -> None:
            nonlocal stop
            stop = asyncio.create_task(self._stop_for_time(grace), name=f"limit {spec.execution_id}")

        if spec.time_limit is not None:
            limit = self._clock.alarm(spec.time_limit, end_it)
        try:
            if results is None:
                outcome, answer = await self._answered(spec, stopping)
            else:
                async with results.on(self.folder.results, spec.execution_id, sink):
                    outcome, answer = await self._answered(spec, stopping)
        finally:
            if limit is not None:
                limit.cancel()
            if stop is not None:
                stop.cancel()
            await self.folder.pump.finish()
        if answer is not None and answer.content:
            await _deliver(answer, sink, spec.execution_id)
        return outcome

    async def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds; returns when it has ended."""
        self.spoiled = self.spoiled or "it was stopped"
        await self.container.stop(grace)
        await self.gone.wait()

    def let_go(self) -> None:
        """Close what is open of it; the container stays."""
        if self.watching is not None:
            self.watching.cancel()
        if self._connection is not None:
            self._connection.close()
        self.usage.close()
        self.folder.close()
        # Nobody will see its end, and nobody is to wait for it.
        self.gone.set()

    # --- a message

    async def _answered(self, spec: RunSpec, stopping: asyncio.Event) -> tuple[Outcome, Answer | None]:
        connection = await self._connected(stopping)
        if connection is None:
            return self._outcome_of_container(self._clock.now(), None), None
        cpu, io = self.usage.look()
        began = self._clock.now()
        message = message_of(spec) if spec.binary_message is None else spec.binary_message
        length = len(message) if isinstance(message, bytes) else (await asyncio.to_thread(message.stat)).st_size
        if spec.binary_message is not None:
            await asyncio.to_thread(self.folder.show, spec.binary_message)
        try:
            answer = await connection.exchange(request_head(spec, length), message)
        except (NoAnswer, OSError) as error:
            reason = error.message if isinstance(error, NoAnswer) else f"The connection was lost: {error.strerror}."
            await self._end_for(reason, by_itself=connection.lost)
            return self._outcome_of_container(began, reason), None
        finally:
            if spec.binary_message is not None:
                self.folder.hide()
        cpu_after, io_after = self.usage.look()
        finished = self._clock.now()
        code = answer.head.exit_code
        state = ended_state(code, began, finished, oom_killed=False)
        return Outcome(code, state, began, finished, max(0, cpu_after - cpu), max(0, io_after - io)), answer

    async def _connected(self, stopping: asyncio.Event) -> Connection | None:
        """A connection for one request, once the process listens; None if somebody stops it before.

        Raises:
            RunRejected: it ended by itself.
        """
        pause = _FIRST_LOOK
        while not self.gone.is_set():
            if self._connection is not None:
                if self._connection.usable and not stopping.is_set():
                    return self._connection
                self._connection.close()
                self._connection = None
            if not stopping.is_set():
                self._connection = await Connection.opened(self.folder.door / SOCKET_NAME)
            if self._connection is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.gone.wait(), pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        self.spoiled = "it has ended"
        if stopping.is_set():
            return None
        code = None if self._seen is None else self._seen.state.get("ExitCode")
        raise RunRejected(f"The resident process ended before it listened for messages, with exit code {code}.")

    async def _end_for(self, reason: str, *, by_itself: bool) -> None:
        """End a container whose answer was none; `by_itself`, as after a crash, it gets a moment for that."""
        self.spoiled = reason
        if by_itself:
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_LIMIT):
                    await self.gone.wait()
        while not self.gone.is_set():
            try:
                await self.stop(0)
            except (EngineUnavailable, EngineRefused) as error:
                logger.warning("stop_failed", container=self.container.name, reason=error.message)
                await self._clock.sleep(_STOP_RETRY)

    async def _stop_for_time(self, grace: float) -> None:
        logger.info("time_limit_reached", container=self.container.name)
        while True:
            try:
                return await self.stop(grace)
            except (EngineUnavailable, EngineRefused) as error:
                logger.warning("stop_failed", container=self.container.name, reason=error.message)
                await self._clock.sleep(_STOP_RETRY)

    def _outcome_of_container(self, began: datetime, reason: str | None) -> Outcome:
        """The container ended with the execution; `reason` says what was wrong with the answer, if it was."""
        seen = self._seen
        if seen is None:
            raise RunLost("The container vanished with its engine, or somebody removed it.")
        finished = max(began, seen.finished_at or self._clock.now())
        state = {**seen.final_state, "StartedAt": isoformat(began), "FinishedAt": isoformat(finished)}
        if reason is not None and not state["Error"]:
            state["Error"] = reason
        return Outcome(int(seen.state["ExitCode"]), state, began, finished, 0, 0)


async def _deliver(answer: Answer, sink: RunSink, execution_id: ExecutionId) -> None:
    """The body of an answer is a result, or what the log says of a failure."""
    if answer.head.failed:
        await sink.log(answer.content)
    elif answer.length > MAX_RESULT_BYTES:
        logger.warning("result_too_large", execution=execution_id, bytes=answer.length, limit=MAX_RESULT_BYTES)
    else:
        sink.answer(answer.content)
