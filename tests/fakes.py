"""Stand-ins that keep the real protocols: a clock that tests move, and an engine that runs small async programs.

`FakeRuntime` is held to the same suite as the real one (tests/contract). What a machine's container engine knows lives in
`FakeEngine`; give one engine to several runtimes, one after the other, to play a daemon that crashed and came back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from abacod.clock import Alarm, Clock, SystemClock, isoformat
from abacod.errors import EngineUnavailable, ImageMissing, RunLost, RunNotStarted, RunRejected
from abacod.ids import ExecutionId, WorkerId
from abacod.runtime.run import MAX_RESULT_BYTES, FoundRun, FoundState, Outcome, RunSink, RunSpec

KILLED: Final = 137
TERMINATED: Final = 143

MOST_QUEUED: Final = 10
"""Datagrams that a socket keeps before its senders wait: the kernel's default."""


class FakeClock:
    """A clock that stands still until `advance`."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._slept = asyncio.Event()

    def now(self) -> datetime:
        moment = self._start + timedelta(seconds=self._elapsed)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (self._elapsed + seconds, wake)
        self._sleepers.append(entry)
        self._slept.set()
        try:
            await wake
        finally:
            if entry in self._sleepers:
                self._sleepers.remove(entry)

    def alarm(self, seconds: float, ring: Callable[[], None]) -> Alarm:
        async def wait() -> None:
            await self.sleep(seconds)
            ring()

        return asyncio.create_task(wait())

    async def advance(self, seconds: float) -> None:
        """Let time pass: whoever's sleep ends by then is woken, in order of time, and gets to run."""
        target = self._elapsed + seconds
        while due := [entry for entry in self._sleepers if entry[0] <= target]:
            entry = min(due, key=lambda each: each[0])
            self._sleepers.remove(entry)
            self._elapsed = max(self._elapsed, entry[0])
            if not entry[1].done():
                entry[1].set_result(None)
            await _settled()
        self._elapsed = target
        await _settled()

    async def until_asleep(self, count: int = 1) -> None:
        """Wait until at least `count` tasks sleep on this clock."""
        while len(self._sleepers) < count:
            self._slept.clear()
            await self._slept.wait()


async def _settled() -> None:
    # A woken task may wake another one, and so on; a fixed number of rounds is enough for the chains in our tests.
    for _ in range(20):
        await asyncio.sleep(0)


@dataclass(eq=False)
class FakeContainer:
    """A container of the fake engine, and what its program gets to work with."""

    spec: RunSpec
    instance: str
    engine: FakeEngine
    log: bytearray = field(default_factory=bytearray)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    halted: bool = False
    """Halted before its start: it is stopped as soon as it runs."""
    oom_killed: bool = False
    cpu: int = 0
    io: int = 0
    terminated: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the container gets SIGTERM; a program that obeys returns."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    process: asyncio.Task[None] | None = None
    receiving: bool = False
    """Whether a daemon reads the results socket."""
    datagrams: list[bytes] = field(default_factory=list)
    """What was sent to the results socket and not read yet."""

    def write(self, data: bytes | str) -> None:
        """Output of the program."""
        self.log += data.encode() if isinstance(data, str) else data
        self.engine.stir()

    async def send_result(self, data: bytes) -> None:
        """Send to the results socket; waits while it is full, and fails while nobody reads it, as a real one does."""
        while self.receiving and len(self.datagrams) >= MOST_QUEUED:
            await self.engine.change()
        if not self.receiving:
            raise ConnectionRefusedError
        self.datagrams.append(data)
        self.engine.stir()

    @property
    def state(self) -> FoundState:
        if self.started_at is None:
            return FoundState.NEVER_STARTED
        return FoundState.RUNNING if self.exit_code is None else FoundState.ENDED

    def start(self) -> None:
        """Begin the program. The engine, not a run, owns the task: it outlives the daemon, as a container does."""
        self.started_at = self.engine.clock.now()
        self.engine.started[self.spec.execution_id] += 1
        self.process = asyncio.create_task(self._live(), name=f"fake container {self.spec.execution_id}")

    async def _live(self) -> None:
        code = KILLED
        try:
            code = await self._held() or await self.engine.program(self.spec.image)(self)
        except asyncio.CancelledError:
            pass
        finally:
            self.exit_code = code
            self.finished_at = self.engine.clock.now()
            self.ended.set()
            self.engine.stir()

    async def _held(self) -> int:
        gate = self.engine.gates.get(self.spec.image) or self.engine.gates.get("*")
        if gate is None:
            return 0
        waits = [asyncio.ensure_future(gate.wait()), asyncio.ensure_future(self.terminated.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return 0 if gate.is_set() else TERMINATED

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.cancel()

    def final_state(self) -> dict[str, Any]:
        """The state object an engine shows for an ended container (spec/actors-api 4.2)."""
        assert self.started_at is not None
        assert self.finished_at is not None
        return {
            "Status": "exited",
            "Running": False,
            "Paused": False,
            "Restarting": False,
            "OOMKilled": self.oom_killed,
            "Dead": False,
            "Pid": 0,
            "ExitCode": self.exit_code,
            "Error": "",
            "StartedAt": isoformat(self.started_at),
            "FinishedAt": isoformat(self.finished_at),
        }


Program = Callable[[FakeContainer], Awaitable[int]]
"""What an image does: gets its container, returns the exit code. Cancelled by SIGKILL."""


async def echo(container: FakeContainer) -> int:
    """The default program: print `MSG`, exit with 0."""
    container.write(container.spec.environment.get("MSG", ""))
    return 0


async def obey(container: FakeContainer) -> int:
    """A program that runs until it gets SIGTERM."""
    container.write("ready\n")
    await container.terminated.wait()
    return TERMINATED


class FakeEngine:
    """The state of a container engine; it goes on when a daemon crashes."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.images: set[str] = {"image"}
        self.registry: set[str] = set()
        """Images that a pull finds."""
        self.programs: dict[str, Program | None] = {}
        """Program by image; `echo` where none is given, None for an image whose program does not exist."""
        self.gates: dict[str, asyncio.Event] = {}
        self.containers: dict[ExecutionId, FakeContainer] = {}
        self.started: Counter[ExecutionId] = Counter()
        self.gateway: str | None = None
        """This machine's address in the containers' network."""
        self._up = True
        self._stirred = asyncio.Event()

    @property
    def up(self) -> bool:
        """Whether the engine answers."""
        return self._up

    @up.setter
    def up(self, value: bool) -> None:
        self._up = value
        self.stir()

    def program(self, image: str) -> Program:
        return self.programs.get(image) or echo

    def vanish(self, execution_id: ExecutionId) -> None:
        """Lose a container without a trace, as an engine with a wiped disk does."""
        self.containers.pop(execution_id).kill()
        self.stir()

    def stir(self) -> None:
        """Wake everybody who waits for a change."""
        self._stirred.set()
        self._stirred = asyncio.Event()

    async def change(self) -> None:
        """Wait for the next change of anything."""
        await self._stirred.wait()

    async def came_back(self) -> bool:
        """Wait until the engine answers; whether that took waiting."""
        waited = False
        while not self._up:
            waited = True
            await self.change()
        return waited

    async def close(self) -> None:
        """Kill what still runs."""
        for container in self.containers.values():
            container.kill()
            if container.process is not None:
                await container.process
        self.containers.clear()


class FakeRuntime:
    """A `Runtime` on a `FakeEngine`.

    `calls` holds every call as (method, subject); `fail_starts` makes coming starts fail; `hold` keeps containers from
    running their program until the event it returns is set.
    """

    def __init__(
        self,
        engine: FakeEngine | None = None,
        *,
        clock: Clock | None = None,
        instance: str = "test",
        stop_grace: float = 10,
        leave_containers: bool = False,
    ) -> None:
        self.engine = engine or FakeEngine(clock)
        self.clock = clock or self.engine.clock
        self.instance = instance
        self.stop_grace = stop_grace
        self.leave_containers = leave_containers
        self.calls: list[tuple[str, str]] = []
        self._start_failures: list[Exception] = []

    # --- what tests set up and look at

    @property
    def images(self) -> set[str]:
        """Images on this machine."""
        return self.engine.images

    @property
    def programs(self) -> dict[str, Program | None]:
        """What the images do; see `FakeEngine.programs`."""
        return self.engine.programs

    @property
    def engine_up(self) -> bool:
        """Whether the engine answers."""
        return self.engine.up

    @engine_up.setter
    def engine_up(self, value: bool) -> None:
        self.engine.up = value

    @property
    def starts(self) -> Counter[ExecutionId]:
        """How often a container was started, by execution."""
        return self.engine.started

    def hold(self, image: str = "*") -> asyncio.Event:
        """Keep containers of `image` (or all) from going on once started, until the returned event is set."""
        return self.engine.gates.setdefault(image, asyncio.Event())

    def fail_starts(self, *errors: Exception) -> None:
        """Let the next starts fail, one with each error."""
        self._start_failures += errors

    # --- the protocol

    async def ping(self) -> None:
        self._call("ping", "")

    async def prepare(self, image: str, *, fresh: bool) -> None:
        self._call("prepare fresh" if fresh else "prepare", image)
        if image in self.engine.registry:
            self.engine.images.add(image)
        if image not in self.engine.images:
            raise ImageMissing(f"Image {image} was not found on the public registry, nor is it on this machine.")

    async def run(self, spec: RunSpec, sink: RunSink) -> Outcome:
        self._call("run", spec.execution_id)
        container = self._create(spec)
        try:
            await sink.starting()
            self._may_start(spec)
        except Exception:
            # Whatever went wrong, a container that was not started may not stay.
            del self.engine.containers[spec.execution_id]
            raise
        async with self._results(container, sink):
            container.start()
            async with self._limited(container, 0 if container.halted else spec.time_limit):
                return await self._follow(container, sink)

    async def resume(self, execution_id: ExecutionId, sink: RunSink, *, time_limit: float | None) -> Outcome:
        self._call("resume", execution_id)
        container = self.engine.containers.get(execution_id)
        if container is None or container.started_at is None:
            raise RunLost
        await sink.log_restarts()
        if time_limit is not None:
            time_limit -= (self.clock.now() - container.started_at).total_seconds()
        async with self._results(container, sink), self._limited(container, time_limit):
            return await self._follow(container, sink)

    async def halt(self, execution_id: ExecutionId) -> None:
        self._call("halt", execution_id)
        container = self.engine.containers.get(execution_id)
        if container is None:
            return
        container.halted = True
        if container.state is FoundState.RUNNING:
            await self._stop(container)

    async def discard(self, execution_id: ExecutionId) -> None:
        self._call("discard", execution_id)
        container = self.engine.containers.get(execution_id)
        if container is None or (self.leave_containers and container.state is FoundState.ENDED):
            return
        container.kill()
        del self.engine.containers[execution_id]
        self.engine.stir()

    async def found(self) -> list[FoundRun]:
        self._call("found", "")
        return [
            FoundRun(execution_id, container.state)
            for execution_id, container in self.engine.containers.items()
            if container.instance == self.instance
        ]

    async def gateway(self) -> str | None:
        self._call("gateway", "")
        return self.engine.gateway

    def worker_ended(self, worker_id: WorkerId) -> None:
        self.calls.append(("worker ended", worker_id))

    async def sweep(self) -> None:
        self._call("sweep", "")

    async def close(self) -> None:
        """Let go of the engine; its containers stay."""

    # --- how it does that

    def _call(self, method: str, subject: str) -> None:
        self.calls.append((method, subject))
        if not self.engine.up:
            raise EngineUnavailable

    def _create(self, spec: RunSpec) -> FakeContainer:
        if spec.image not in self.engine.images:
            raise ImageMissing(f"Image {spec.image} is not on this machine.")
        for mount in spec.mounts:
            if not Path(mount.host_path).exists():
                raise RunRejected(f"bind source path does not exist: {mount.host_path}")
        earlier = self.engine.containers.get(spec.execution_id)
        if earlier is not None and earlier.started_at is not None:
            raise RunNotStarted("The container of this execution has been started before.")
        container = FakeContainer(spec, self.instance, self.engine)
        self.engine.containers[spec.execution_id] = container
        return container

    def _may_start(self, spec: RunSpec) -> None:
        if not self.engine.up:
            raise EngineUnavailable
        if self._start_failures:
            raise self._start_failures.pop(0)
        if self.programs.get(spec.image, echo) is None:
            raise RunRejected("exec: no such file or directory")

    async def _follow(self, container: FakeContainer, sink: RunSink) -> Outcome:
        sent = 0
        while True:
            if await self.engine.came_back():
                await sink.log_restarts()
                sent = 0
            if self.engine.containers.get(container.spec.execution_id) is not container:
                raise RunLost
            ended = container.ended.is_set()
            if data := bytes(container.log[sent:]):
                sent += len(data)
                await sink.log(data)
            elif ended:
                break
            else:
                await self.engine.change()
        assert container.started_at is not None
        assert container.finished_at is not None
        assert container.exit_code is not None
        return Outcome(
            exit_code=container.exit_code,
            final_state=container.final_state(),
            started_at=container.started_at,
            finished_at=container.finished_at,
            cpu=container.cpu,
            io=container.io,
        )

    @asynccontextmanager
    async def _results(self, container: FakeContainer, sink: RunSink) -> AsyncIterator[None]:
        ended = False

        async def receive() -> None:
            while True:
                # Before the look: what was sent before the end is seen by it.
                last = ended
                sent, container.datagrams = container.datagrams, []
                if sent:
                    self.engine.stir()
                    if fitting := [each for each in sent if len(each) <= MAX_RESULT_BYTES]:
                        await sink.results(fitting)
                elif last:
                    return
                else:
                    await self.engine.change()

        container.receiving = True
        self.engine.stir()
        receiver = asyncio.create_task(receive(), name=f"results {container.spec.execution_id}")
        try:
            yield
        finally:
            container.receiving = False
            ended = True
            self.engine.stir()
            await receiver

    @asynccontextmanager
    async def _limited(self, container: FakeContainer, seconds: float | None) -> AsyncIterator[None]:
        async def stop_at_limit() -> None:
            if seconds is not None:
                await self.clock.sleep(seconds)
                await self._stop(container)

        limiter = asyncio.create_task(stop_at_limit(), name=f"limit {container.spec.execution_id}")
        try:
            yield
        finally:
            limiter.cancel()
            with suppress(asyncio.CancelledError):
                await limiter

    async def _stop(self, container: FakeContainer) -> None:
        container.terminated.set()
        grace = asyncio.create_task(self.clock.sleep(self.stop_grace), name="grace")
        ended = asyncio.create_task(container.ended.wait(), name="ended")
        try:
            await asyncio.wait({grace, ended}, return_when=asyncio.FIRST_COMPLETED)
            container.kill()
            await container.ended.wait()
        finally:
            grace.cancel()
            ended.cancel()


class RecordingSink:
    """A sink that keeps everything it is told; `data` is the log as the runtime reports it."""

    def __init__(self, refuse: Exception | None = None) -> None:
        self.refuse = refuse
        self.data = bytearray()
        self.received: list[bytes] = []
        self.restarts = 0
        self.started = asyncio.Event()
        self._grown = asyncio.Event()

    async def starting(self) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.started.set()

    async def log(self, data: bytes) -> None:
        self.data += data
        self._grown.set()

    async def log_restarts(self) -> None:
        self.restarts += 1
        self.data.clear()

    async def results(self, data: Sequence[bytes]) -> None:
        self.received += data
        self._grown.set()

    def answer(self, data: bytes) -> None:
        self.received.append(data)
        self._grown.set()

    async def until(self, data: bytes) -> None:
        """Wait until the log has `data` in it."""
        while data not in self.data:
            self._grown.clear()
            await self._grown.wait()
