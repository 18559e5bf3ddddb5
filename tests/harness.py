"""A daemon without its HTTP side: the real services on a real database and the fake engine, which tests open and crash."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import rsa

from abacod.clock import Clock, SystemClock
from abacod.config import (
    EngineSettings,
    LogSettings,
    ResultSettings,
    RunSettings,
    Settings,
    StoreSettings,
    WebhookSettings,
)
from abacod.config_workers import WorkerSettings
from abacod.models.actor import Actor
from abacod.models.execution import Execution
from abacod.models.states import ActorStatus, ExecutionStatus, WorkerStatus
from abacod.models.user import Caller
from abacod.queue.mailboxes import Mailboxes
from abacod.services.actors import Actors
from abacod.services.api_server import ApiServer
from abacod.services.autoscaler import Autoscaler
from abacod.services.cron import Cron
from abacod.services.engine_watch import EngineWatch
from abacod.services.events import Events
from abacod.services.executions import Executions
from abacod.services.executor import Executor
from abacod.services.follow import LogFollowers
from abacod.services.janitor import Janitor
from abacod.services.loops import Background
from abacod.services.messages import Messages
from abacod.services.news import News
from abacod.services.pools import Pools
from abacod.services.recovery import Recovery
from abacod.services.results import Results
from abacod.services.sealing import Seal
from abacod.services.settle import Settlement
from abacod.services.tokens import SigningKey, Tokens
from abacod.services.webhooks import Webhooks
from abacod.services.worker import Worker
from abacod.services.workers import Workers
from abacod.store import actors
from abacod.store.database import Database, Transaction
from tests.factories import ADMIN, definition, message
from tests.fakes import FakeContainer, FakeEngine
from tests.stopping import StoppingRuntime

T = TypeVar("T")

SEAL: Final = Seal(Fernet.generate_key())


@cache
def signing_key() -> SigningKey:
    """One key for all tests: making one takes long."""
    return SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=2048))


class ObservedDatabase(Database):
    """Tells when something was written; `before_write` lets a test come between."""

    def __init__(self, path: Path, settings: StoreSettings, changed: asyncio.Event) -> None:
        super().__init__(path, settings)
        self._changed = changed
        self.before_read: Callable[[], Awaitable[None]] | None = None

    async def write(self, question: Callable[[Transaction], T], *, after: Callable[[T], None] | None = None) -> T:
        try:
            return await super().write(question, after=after)
        finally:
            self._changed.set()

    async def read(self, question: Callable[[Transaction], T]) -> T:
        if self.before_read:
            await self.before_read()
        return await super().read(question)

    async def glance(self, question: Callable[[Transaction], T]) -> T:
        if self.before_read:
            await self.before_read()
        return await super().glance(question)


class Diary:
    """A program that notes the messages it gets; it goes on while `gate` is set."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.images: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, container: FakeContainer) -> int:
        """Run."""
        self.messages.append(container.spec.environment.get("MSG", "<binary>"))
        self.images.append(container.spec.image)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        container.engine.stir()
        try:
            await self._until_told(container)
        finally:
            self.at_once -= 1
        container.write(f"did {self.messages[-1]}\n")
        return 143 if container.terminated.is_set() else 0

    async def _until_told(self, container: FakeContainer) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (self.gate, container.terminated)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


class Lab:
    """An open daemon. `crash` abandons it; a second one on the same directory and engine takes up what it left."""

    def __init__(
        self,
        data_dir: Path,
        engine: FakeEngine | None = None,
        *,
        clock: Clock | None = None,
        runs: RunSettings | None = None,
        workers: WorkerSettings | None = None,
        logs: LogSettings | None = None,
        results: ResultSettings | None = None,
        webhooks: WebhookSettings | None = None,
        busy_timeout: float = 5,
        compat: Literal["documented", "abaco"] = "documented",
    ) -> None:
        self.settings = Settings(
            data_dir=data_dir,
            compat=compat,
            store=StoreSettings(synchronous="OFF", busy_timeout_seconds=busy_timeout),
            engine=EngineSettings(retry_max_seconds=0.05),
            runs=runs or RunSettings(start_retry_seconds=0),
            workers=workers or WorkerSettings(),
            logs=logs or LogSettings(),
            results=results or ResultSettings(),
            webhooks=webhooks or WebhookSettings(),
        )
        self.clock = clock or SystemClock()
        self.engine = engine or FakeEngine()
        self.runtime = StoppingRuntime(self.engine, clock=self.clock)
        self.changed = asyncio.Event()
        self.opens = True
        """Whether the door for containers can be opened."""
        self.asked_to_open: list[str] = []
        self._stack = AsyncExitStack()

    # --- opening and crashing

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pools.drain(0)
        await self.crash()
        await self.engine.close()

    async def open(self) -> None:
        """Start everything as the daemon does, except loops that tests turn by hand."""
        settings, messages_dir = self.settings, self.settings.messages_dir
        messages_dir.mkdir(parents=True, exist_ok=True)
        self.database = ObservedDatabase(settings.database_path, settings.store, self.changed)
        await self.database.open()
        self.mailboxes = Mailboxes(self.database)
        self.news = News()
        self.watch = EngineWatch(self.runtime, settings.engine, self.clock)
        self.events = Events(self.database, self.mailboxes, Webhooks(settings.webhooks), self.clock)
        self.settlement = Settlement(
            self.database, settings.logs, self.clock, self.events, messages_dir, news=self.news
        )
        self.api_server = ApiServer(self.runtime, self.watch, settings, self._open_door)
        self.executor = Executor(
            self.database,
            self.runtime,
            self.settlement,
            Tokens(signing_key(), settings.auth, settings.public_url, self.clock),
            SEAL,
            self.watch,
            news=self.news,
            runs=settings.runs,
            logs=settings.logs,
            results=settings.results,
            clock=self.clock,
            api_server=self.api_server.url,
            messages_dir=messages_dir,
            style="python" if settings.compat == "abaco" else "json",
        )
        self.pools = Pools(
            self.database,
            self.mailboxes,
            self.executor,
            self.runtime,
            self.watch,
            self.events,
            workers=settings.workers,
            runs=settings.runs,
            clock=self.clock,
        )
        self.recovery = Recovery(
            database=self.database,
            runtime=self.runtime,
            engine=self.watch,
            mailboxes=self.mailboxes,
            pools=self.pools,
            executor=self.executor,
            settlement=self.settlement,
            clock=self.clock,
            messages_dir=messages_dir,
        )
        self.autoscaler = Autoscaler(self.database, self.mailboxes, self.pools, settings.workers, self.clock)
        self.janitor = Janitor(self.database, settings.events, self.clock)
        self.cron = Cron(self.database, self.mailboxes, self.clock)
        self.workers = Workers(self.pools, settings.workers, settings.compat)
        self.messages = Messages(
            self.database,
            self.mailboxes,
            self.clock,
            self.events,
            news=self.news,
            messages_dir=messages_dir,
            max_binary_bytes=1000,
        )
        self.actors = Actors(
            self.database,
            self.mailboxes,
            self.pools,
            news=self.news,
            runs=settings.runs,
            workers=settings.workers,
            webhooks=settings.webhooks,
            clock=self.clock,
            spawn=self._spawn,
        )
        self.executions = Executions(
            self.database,
            self.mailboxes,
            self.executor,
            self.clock,
            self.events,
            news=self.news,
            list_limit=100,
            spawn=self._spawn,
        )
        self.results = Results(self.database, self.executions, self.news, self.clock, synchronous_seconds=60)
        self.followers = LogFollowers(self.database, self.executor, self.news, self.clock)
        await self.recovery.remove_files()
        await self.mailboxes.load()
        opened = asyncio.Event()
        self._life = asyncio.create_task(self._live(opened), name="lab")
        await opened.wait()

    async def crash(self) -> None:
        """End at once, in the middle of whatever goes on; containers go on."""
        self._life.cancel()
        with suppress(asyncio.CancelledError):
            await self._life
        await self.database.close()

    async def reopen(self) -> None:
        """What a crash and a start by the service manager do."""
        await self.crash()
        self.runtime = StoppingRuntime(self.engine, clock=self.clock)
        await self.open()

    async def _live(self, opened: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            self.background = Background(group)
            self.background.start(self.watch.run(), "watch")
            self.background.start(self.api_server.run(), "api-server")
            self.background.start(self.pools.run(), "pools")
            self.background.start(self.events.run(), "events")
            self.background.start(self._recover(), "recovery")
            opened.set()

    async def _recover(self) -> None:
        await self.recovery.take_up()
        await self.actors.finish_deletions()

    async def _open_door(self, gateway: str) -> bool:
        self.asked_to_open.append(gateway)
        return self.opens

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.background.spawn(work, name)

    # --- what tests do

    async def create(self, diary: Diary | None = None, caller: Caller = ADMIN, **given: Any) -> Actor:
        """Register an actor; `diary` is what its image does."""
        wanted = definition(**given)
        if diary:
            self.engine.programs[wanted.image] = diary
            self.engine.images.add(wanted.image)
        return await self.actors.create(caller, wanted)

    async def send(self, actor: Actor, *bodies: str, caller: Caller = ADMIN) -> list[Execution]:
        """Send messages, one after the other."""
        return [await self.messages.send(caller, actor, message(body)) for body in bodies]

    async def send_binary(self, actor: Actor, body: bytes) -> Execution:
        """Send a binary message."""

        async def chunks() -> AsyncIterator[bytes]:
            yield body

        return await self.messages.send_binary(ADMIN, actor, chunks(), {})

    # --- what tests look at

    async def record(self, execution: Execution) -> Execution:
        """The execution as it is now."""
        return await self.executions.get(execution.actor_id, execution.id)

    async def actor(self, actor: Actor) -> Actor | None:
        """The actor as it is now."""
        return await self.database.read(lambda tx: actors.find(tx, actor.id))

    async def log(self, execution: Execution) -> str:
        """The execution's log."""
        return await self.executions.log(execution.actor_id, execution.id)

    async def statuses(self, executions: list[Execution]) -> list[ExecutionStatus]:
        """The statuses of executions."""
        return [(await self.record(execution)).status for execution in executions]

    def worker_statuses(self, actor: Actor) -> list[WorkerStatus]:
        """The statuses of the actor's workers."""
        return [worker.status for worker in self.pools.workers_of(actor.id)]

    # --- waiting

    async def until(self, condition: Callable[[], bool | Awaitable[bool]]) -> None:
        """Wait until something holds; looked at whenever the database or the engine stirs, and now and then."""
        while True:
            self.changed.clear()
            holds = condition()
            if await holds if inspect.isawaitable(holds) else holds:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(0.005):
                    await self.changed.wait()

    async def ended(self, executions: list[Execution]) -> list[Execution]:
        """Wait until all of them have ended; their records."""

        async def all_ended() -> bool:
            return all(status.ended for status in await self.statuses(executions))

        await self.until(all_ended)
        return [await self.record(execution) for execution in executions]

    async def in_status(self, execution: Execution, status: ExecutionStatus) -> None:
        """Wait until the execution has the status."""

        async def has_it() -> bool:
            return (await self.record(execution)).status is status

        await self.until(has_it)

    async def actor_in(self, actor: Actor, status: ActorStatus | None) -> Actor | None:
        """Wait until the actor has the status, or with None is gone."""

        async def has_it() -> bool:
            now = await self.actor(actor)
            return (now.status if now else None) is status

        await self.until(has_it)
        return await self.actor(actor)

    async def idle(self, actor: Actor, workers: int = 1) -> list[Worker]:
        """Wait until the actor has exactly that many workers, all idle."""
        await self.until(lambda: self.worker_statuses(actor) == [WorkerStatus.READY] * workers)
        return self.pools.workers_of(actor.id)

    async def quiet(self) -> None:
        """Wait until nothing is left on the engine."""
        await self.until(lambda: not self.engine.containers)
