"""Runs the built-in reactors: each execution in a thread of this process, all others in containers.

A handler that fails, hangs or takes too long costs its own execution. It cannot be stopped, as no thread can; but it
reaches the daemon only through a `Bridge`, which is taken away from it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

import structlog

from abacod.clock import Clock, isoformat
from abacod.errors import RunRejected, StorageUnavailable
from abacod.ids import ExecutionId, WorkerId
from abacod.models.actor import NATIVE
from abacod.runtime.run import FoundRun, Outcome, RunSink, RunSpec, Runtime
from reactors.ports import TimeOver

# Exit codes as those of containers: of a process that was killed, and of one that failed.
_KILLED: Final = 137
_FAILED: Final = 1
# Pause before something is asked of the daemon again after the database refused, in seconds.
_STORAGE_PAUSE: Final = 1.0
# When an execution that has not asked for anything is marked as begun, in seconds.
_SEEN_AFTER: Final = 0.05

T = TypeVar("T")

_log = structlog.get_logger()


When = Literal["begun", "beginning", "any time"]
"""When something may be asked: once the execution is marked as begun on disk, which is what changes something waits for; right
behind the mark, if what is asked looks for it itself, in its own transaction; or whenever."""


class Bridge:
    """How a thread asks something of the event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        start: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """`start` marks the execution as begun, on disk; it is called once, before anything is changed."""
        self._loop = loop
        self._clock = clock
        self._start = start
        self._starting: asyncio.Task[None] | None = None
        self.taken_away = False

    def call(self, ask: Callable[[], Coroutine[Any, Any, T]], when: When = "begun") -> T:
        """Run what `ask` makes on the event loop and return its result; a database that refuses is waited for.

        Raises:
            TimeOver: the execution has been settled.
            IllegalTransition: it was cancelled before it began.
        """
        self.check()
        asked = self._patiently(ask, when)
        try:
            future = asyncio.run_coroutine_threadsafe(asked, self._loop)
        except RuntimeError as error:  # the loop is closed: the daemon has stopped
            asked.close()
            raise TimeOver from error
        try:
            return future.result()
        except CancelledError as error:
            raise TimeOver from error

    def check(self) -> None:
        """Do nothing, for what needs no event loop.

        Raises:
            TimeOver: the execution has been settled.
        """
        if self.taken_away:
            raise TimeOver

    def take_away(self) -> None:
        """Refuse everything from now on."""
        self.taken_away = True

    def begin(self) -> asyncio.Task[None]:
        """The task that marks the execution as begun, made if it has not been, or has failed because of the database."""
        known = self._starting
        if known is None or (
            known.done() and not known.cancelled() and isinstance(known.exception(), StorageUnavailable)
        ):
            known = self._starting = self._loop.create_task(self._mark(), name="reactor-begins")
        return known

    async def _mark(self) -> None:
        if self._start is not None:
            await self._start()

    async def _patiently(self, ask: Callable[[], Coroutine[Any, Any, T]], when: When) -> T:
        while not self.taken_away:
            try:
                if when == "begun":
                    await asyncio.shield(self.begin())
                elif when == "beginning":
                    self.begin()
                    # Lets the mark be written first; both go to the disk at once.
                    await asyncio.sleep(0)
                return await ask()
            except StorageUnavailable as error:
                _log.warning("reactor_delayed", error=error.message)
                await self._clock.sleep(_STORAGE_PAUSE)
        raise TimeOver


@dataclass(frozen=True, slots=True)
class Work:
    """What a thread is to do: takes the run, how to reach the daemon, and where lines of the log and results go.

    `seconds` is its time limit. The exit code comes back; whatever it raises is a failure.
    """

    run: Callable[[RunSpec, Bridge, Callable[[str], None], Callable[[bytes], None]], int]
    seconds: float


class NativeRuntime:
    """A `Runtime` for built-in reactors, around the one for containers."""

    def __init__(self, containers: Runtime, works: Mapping[str, Work], clock: Clock) -> None:
        """`works` are by the name behind `native:` in an actor's image."""
        self._containers = containers
        self._works = works
        self._clock = clock
        self._halts: dict[ExecutionId, asyncio.Event] = {}
        # What has run here since the daemon started and is not yet discarded: the engine need not be asked for it.
        self._ran: set[ExecutionId] = set()

    async def ping(self) -> None:
        """See `Runtime.ping`."""
        await self._containers.ping()

    async def prepare(self, image: str, *, fresh: bool) -> None:
        """See `Runtime.prepare`; what is built in is always there."""
        if not image.startswith(NATIVE):
            await self._containers.prepare(image, fresh=fresh)

    async def run(self, spec: RunSpec, sink: RunSink) -> Outcome:
        """See `Runtime.run`.

        Raises:
            RunRejected: no built-in reactor has this name, any more.
        """
        if not spec.image.startswith(NATIVE):
            return await self._containers.run(spec, sink)
        work = self._works.get(spec.image.removeprefix(NATIVE))
        if work is None:
            raise RunRejected(f"This server has no built-in reactor {spec.image}; see the setting pipelines.enabled.")
        halted = self._halts[spec.execution_id] = asyncio.Event()
        self._ran.add(spec.execution_id)
        try:
            # An earlier daemon may have written something of this execution before it was killed.
            await sink.log_restarts()
            return await _Thread(work, spec, sink, self._clock, halted).outcome()
        finally:
            del self._halts[spec.execution_id]

    async def resume(self, execution_id: ExecutionId, sink: RunSink, *, time_limit: float | None) -> Outcome:
        """See `Runtime.resume`; what ran in an earlier daemon is run again instead."""
        return await self._containers.resume(execution_id, sink, time_limit=time_limit)

    async def halt(self, execution_id: ExecutionId) -> None:
        """See `Runtime.halt`."""
        halted = self._halts.get(execution_id)
        if halted is not None:
            halted.set()
        else:
            await self._containers.halt(execution_id)

    async def discard(self, execution_id: ExecutionId) -> None:
        """See `Runtime.discard`."""
        if execution_id in self._ran:
            self._ran.remove(execution_id)
        else:
            await self._containers.discard(execution_id)

    async def found(self) -> list[FoundRun]:
        """See `Runtime.found`."""
        return await self._containers.found()

    async def gateway(self) -> str | None:
        """See `Runtime.gateway`."""
        return await self._containers.gateway()

    def worker_ended(self, worker_id: WorkerId) -> None:
        """See `Runtime.worker_ended`."""
        self._containers.worker_ended(worker_id)

    async def sweep(self) -> None:
        """See `Runtime.sweep`."""
        await self._containers.sweep()

    async def close(self) -> None:
        """See `Runtime.close`."""
        await self._containers.close()


class _Thread:
    """One execution of a built-in reactor."""

    def __init__(self, work: Work, spec: RunSpec, sink: RunSink, clock: Clock, halted: asyncio.Event) -> None:
        self._work = work
        self._spec = spec
        self._sink = sink
        self._clock = clock
        self._halted = halted
        self._loop = asyncio.get_running_loop()
        self._bridge = Bridge(self._loop, clock, sink.starting)
        self._told: asyncio.Queue[str | bytes | int] = asyncio.Queue()
        self._cpu = 0

    async def outcome(self) -> Outcome:
        """Run it to its end, or to that of its time."""
        began = self._clock.now()
        thread = threading.Thread(target=self._run, name=self._spec.image, daemon=True)
        thread.start()
        following = asyncio.create_task(self._follow(), name="follow-reactor")
        halted = asyncio.create_task(self._halted.wait(), name="reactor-halted")
        late = asyncio.create_task(self._clock.sleep(self._work.seconds), name="reactor-time")
        # Most executions mark their beginning with what they change, which saves a way to the disk; others should be seen to run.
        soon = self._loop.call_later(_SEEN_AFTER, self._bridge.begin)
        try:
            await asyncio.wait({following, halted, late}, return_when=asyncio.FIRST_COMPLETED)
            await self._bridge.begin()
            if following.done():
                return self._ended(began, following.result(), "")
            self._bridge.take_away()
            following.cancel()
            await asyncio.wait({following})
            why = f"it ran for more than {self._work.seconds:g} s" if late.done() else "it was halted"
            line = f"{self._spec.actor_id} CRITICAL The execution was broken off: {why}.\n"
            await self._sink.log(line.encode())
            _log.warning("reactor_broken_off", execution=self._spec.execution_id, reason=why)
            return self._ended(began, _KILLED, why)
        finally:
            soon.cancel()
            self._bridge.take_away()
            for task in (following, halted, late):
                task.cancel()

    def _run(self) -> None:
        """The thread's own part."""
        code = _FAILED
        try:
            code = self._work.run(self._spec, self._bridge, self._tell, self._tell)
        except TimeOver:
            return
        except Exception as error:  # noqa: BLE001 - a defect of a handler is its execution's failure, see the module
            if self._bridge.taken_away:
                return  # the execution is over, and perhaps the daemon as well
            _log.exception("reactor_crashed", execution=self._spec.execution_id)
            self._tell(f"{self._spec.actor_id} CRITICAL Internal error: {type(error).__name__}")
        finally:
            self._cpu = time.thread_time_ns()
        self._tell(code)

    def _tell(self, what: str | bytes | int) -> None:
        with suppress(RuntimeError):  # the loop is closed: the daemon has stopped, and runs the execution again
            self._loop.call_soon_threadsafe(self._told.put_nowait, what)

    async def _follow(self) -> int:
        """Pass on what the thread tells, up to its exit code."""
        while True:
            match await self._told.get():
                case str() as line:
                    # A lone surrogate, which JSON can hold, is no character.
                    await self._sink.log(f"{line}\n".encode(errors="replace"))
                case bytes() as result:
                    await self._sink.results([result])
                case int() as code:
                    return code

    def _ended(self, began: datetime, code: int, error: str) -> Outcome:
        ended = max(began, self._clock.now())
        state = {
            "Status": "exited",
            "Running": False,
            "Paused": False,
            "Restarting": False,
            "OOMKilled": False,
            "Dead": False,
            "Pid": 0,
            "ExitCode": code,
            "Error": error,
            "StartedAt": isoformat(began),
            "FinishedAt": isoformat(ended),
        }
        return Outcome(code, state, began, ended, self._cpu, 0)
