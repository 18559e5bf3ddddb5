"""One execution in a held container, from its assignment to its end."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from abacod.clock import Clock, isoformat
from abacod.errors import EngineUnavailable, RunLost, RunRejected, StartFailed
from abacod.ids import ExecutionId
from abacod.runtime.container import ended_state
from abacod.runtime.engine import EngineRefused
from abacod.runtime.results import ResultsSockets
from abacod.runtime.run import FoundState, Outcome, RunSink, RunSpec
from abacod.runtime.warm import supervisor
from abacod.runtime.warm.folder import Record
from abacod.runtime.warm.held import Held
from abacod.runtime.warm.supervisor import Begun, Ended

KILLED: Final = 137

# How long a supervisor may take to say that a process has begun, or that what was killed is dead, in seconds.
_ANSWER_LIMIT: Final = 5.0

logger = structlog.get_logger()


class Execution:
    """One execution in a held container, from its assignment to its end."""

    def __init__(
        self,
        held: Held,
        execution_id: ExecutionId,
        sink: RunSink,
        clock: Clock,
        results: ResultsSockets | None,
        *,
        grace: float,
    ) -> None:
        """`results` is None where no results are taken; `grace` is in seconds."""
        self.held = held
        self.ended = False
        self._id = execution_id
        self._sink = sink
        self._clock = clock
        self._results = results
        self._grace = grace
        self._record = Record(execution_id, held.uses + 1)
        self._answer: Ended | None = None
        self._question: str | None = None
        self._head = b""
        self._delivered = 0
        self._halted = False
        self._over = asyncio.Event()
        self._begun = asyncio.Event()

    async def run(self, spec: RunSpec, script: bytes) -> Outcome:
        """Run it; see `Runtime.run`. If it is cancelled all stays as it is."""
        self.held.uses += 1
        self.held.folder.assign(self._record, script, spec.binary_message)
        try:
            if self._results is None:
                outcome = await self._started(spec.time_limit)
            else:
                async with self._results.on(self.held.folder.results, self._id, self._sink):
                    outcome = await self._started(spec.time_limit)
            # Only now are all its results on disk.
            return self._noted(outcome)
        finally:
            self._over.set()

    async def resume(self, record: Record, time_limit: float | None) -> Outcome:
        """Follow what an earlier daemon began, its log from the beginning; see `Runtime.resume`."""
        self._record = record
        if record.pid is not None:
            self._begun.set()
        try:
            if self._results is None:
                outcome = await self._taken_up(time_limit)
            else:
                async with self._results.taken_up(self._id, self._sink, self.held.folder.shown):
                    outcome = await self._taken_up(time_limit)
            return self._noted(outcome)
        finally:
            self._over.set()

    async def halt(self) -> None:
        """End it: SIGTERM, then SIGKILL after the grace; returns when it has ended. One that has not begun never will."""
        self._halted = True
        if self._record.released_at is not None:
            await self._stop()

    @property
    def idle(self) -> bool:
        """Whether nothing of it runs: it was not started, or is over."""
        return self.ended or self._answer is not None or self._record.released_at is None

    @property
    def state(self) -> FoundState:
        """What a later daemon would find."""
        if self.ended:
            return FoundState.ENDED
        return FoundState.NEVER_STARTED if self._record.released_at is None else FoundState.RUNNING

    # --- its course

    async def _started(self, time_limit: float | None) -> Outcome:
        await self._sink.starting()
        if self._halted:
            return self._without_start()
        self._release()
        return await self._followed(time_limit)

    async def _taken_up(self, time_limit: float | None) -> Outcome:
        await self._replay()
        record = self._record
        if record.outcome is not None:
            return record.outcome
        if time_limit is not None and record.released_at is not None:
            time_limit -= (self._clock.now() - record.released_at).total_seconds()
        # The last answer may have been read before the daemon ended, or the command never have been sent.
        self._question = uuid.uuid4().hex
        with suppress(OSError):
            self.held.folder.send(supervisor.question(self._question))
        return await self._followed(time_limit)

    def _release(self) -> None:
        """Note that it is started, then start it.

        Raises:
            StartFailed: it was not; nothing ran.
        """
        record = replace(self._record, released_at=self._clock.now())
        try:
            self.held.folder.note(record)
            self.held.folder.send(supervisor.command(record.number))
        except OSError as error:
            self.held.spoiled = "it cannot be reached"
            raise StartFailed(f"The container that was held ready cannot be reached: {error.strerror}.") from error
        self._record = record

    async def _followed(self, time_limit: float | None) -> Outcome:
        limit = None
        if time_limit is not None:
            limit = asyncio.create_task(self._stop_at(time_limit), name=f"limit {self._id}")
        try:
            with self.held.listening():
                while True:
                    # Before the look for output: what was written before the end is seen by it.
                    over = self._look()
                    if data := self.held.folder.output():
                        with self.held.deaf_to_output():
                            await self._deliver(data)
                    elif over:
                        break
                    else:
                        await self.held.stirred()
            return await self._outcome()
        finally:
            if limit is not None:
                limit.cancel()

    async def _replay(self) -> None:
        await self._sink.log_restarts()
        while data := self.held.folder.kept(self._delivered):
            await self._deliver(data)

    async def _deliver(self, data: bytes) -> None:
        if self._delivered < supervisor.MOST_OF_REFUSAL:
            self._head = (self._head + data)[: supervisor.MOST_OF_REFUSAL]
        self._delivered += len(data)
        await self._sink.log(data)

    def _look(self) -> bool:
        """Take what the supervisor has said; whether this execution has ended."""
        for line in self.held.folder.answers():
            answer = supervisor.read_answer(line)
            if isinstance(answer, Begun) and answer.number == self._record.number:
                self._note_begun(answer)
            elif isinstance(answer, Ended) and answer.number == self._record.number:
                self._answer = answer
            elif isinstance(answer, Ended) and answer.asked == self._question is not None:
                # It waits, and has not heard of this one: the daemon ended between noting the start and sending it.
                self.held.folder.send(supervisor.command(self._record.number))
            else:
                self.held.spoiled = "its supervisor talks nonsense"
        return self._answer is not None or self.held.gone

    def _note_begun(self, begun: Begun) -> None:
        self._record = replace(self._record, pid=begun.pid)
        with suppress(OSError):
            # Only a later daemon needs it, to halt.
            self.held.folder.note(self._record)
        self._begun.set()

    # --- its end

    async def _outcome(self) -> Outcome:
        started = self._record.released_at or self._clock.now()
        answer = self._answer
        if answer is None:
            return self._outcome_of_container(started)
        if answer.left:
            self.held.spoiled = "processes are left that cannot be killed"
        elif answer.kills:
            self.held.spoiled = "its memory was used up"
        if len(self._head) == self._delivered and (why := supervisor.refusal(answer.status, self._head)):
            await self._sink.log_restarts()
            raise RunRejected(f"The engine refuses to start the container: {self._words}: {why}")
        finished = max(started, answer.at or self._clock.now())
        state = ended_state(answer.status, started, finished, oom_killed=answer.kills > 0)
        return Outcome(answer.status, state, started, finished, answer.cpu, answer.io)

    @property
    def _words(self) -> str:
        program = self.held.program
        return repr(program.words[0]) if program and program.words else "the program"

    def _outcome_of_container(self, started: datetime) -> Outcome:
        """The container has ended under it: somebody killed it, or the kernel did, or the engine went away."""
        seen = self.held.seen
        if self._question is None and self.held.folder.unread >= len(supervisor.command(self._record.number)):
            # With its engine, for one: the supervisor was dead before the command came.
            raise EngineUnavailable("The container that was held ready has ended before the start.")
        if seen is None:
            raise RunLost("The container vanished with its engine, or somebody removed it.")
        finished = max(started, seen.finished_at or self._clock.now())
        state = {**seen.final_state, "StartedAt": isoformat(started)}
        return Outcome(int(seen.state["ExitCode"]), state, started, finished, 0, 0)

    def _without_start(self) -> Outcome:
        now = self._clock.now()
        return Outcome(KILLED, ended_state(KILLED, now, now, oom_killed=False), now, now, 0, 0)

    def _noted(self, outcome: Outcome) -> Outcome:
        self.ended = True
        self._record = replace(self._record, outcome=outcome)
        with suppress(OSError):
            # Without the note a later daemon asks the supervisor again.
            self.held.folder.note(self._record)
        return outcome

    # --- stopping it

    async def _stop_at(self, seconds: float) -> None:
        await self._clock.sleep(max(0.0, seconds))
        logger.info("time_limit_reached", container=self.held.container.name)
        while True:
            try:
                return await self._stop()
            except (EngineRefused, EngineUnavailable) as error:
                logger.warning("stop_failed", container=self.held.container.name, reason=error.message)
                await self._clock.sleep(_ANSWER_LIMIT)

    async def _stop(self) -> None:
        if await self._in_time(self._begun, _ANSWER_LIMIT):
            for name, seconds in (("TERM", self._grace), ("KILL", _ANSWER_LIMIT)):
                command = [supervisor.BUSYBOX, "kill", f"-{name}", str(self._record.pid)]
                await self.held.container.execute(command)
                if await self._in_time(self._over, seconds):
                    return
        self.held.spoiled = "it could not be halted"
        await self.held.container.stop(0)
        await self._over.wait()

    async def _in_time(self, event: asyncio.Event, seconds: float) -> bool:
        waiting = asyncio.create_task(event.wait(), name=f"waiting {self._id}")
        late = asyncio.create_task(self._clock.sleep(seconds), name=f"late {self._id}")
        try:
            await asyncio.wait({waiting, late}, return_when=asyncio.FIRST_COMPLETED)
            return event.is_set()
        finally:
            waiting.cancel()
            late.cancel()
