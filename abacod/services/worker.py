"""One worker: takes an actor's messages one after the other and has each executed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVar

import structlog

from abacod.clock import Clock
from abacod.config import RunSettings
from abacod.errors import ActorShuttingDown, EngineUnavailable, ImageMissing, StorageUnavailable
from abacod.ids import ExecutionId, WorkerId, new_worker_id
from abacod.models.actor import Actor
from abacod.models.execution import Execution
from abacod.models.message import Queued
from abacod.models.states import WorkerStatus
from abacod.models.worker import WorkerRecord
from abacod.queue.mailbox import Mailbox
from abacod.services.engine_watch import EngineWatch
from abacod.services.executor import Executor, Next

# Pause before a message is tried again after the database refused, in seconds.
_STORAGE_PAUSE: Final = 1.0

T = TypeVar("T")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WorkerTools:
    """What every worker uses."""

    executor: Executor
    engine: EngineWatch
    clock: Clock
    runs: RunSettings
    prepare: Callable[[Actor], Coroutine[Any, Any, None]]
    """Make the actor's image ready and the actor READY. Raises ImageMissing, EngineUnavailable, ActorShuttingDown."""
    current: Callable[[Actor], Coroutine[Any, Any, Actor | None]]
    """The actor as it is now, None once it is deleted."""
    idle: Callable[[], None]
    """Told when a worker finds nothing to do."""
    gives_way: Callable[[Worker], bool]
    """Whether a worker that has done a message ends so that another actor gets its place."""


class Worker:
    """A worker of one revision of one actor. `run` is its life, as one task."""

    def __init__(
        self,
        actor: Actor,
        mailbox: Mailbox,
        tools: WorkerTools,
        *,
        adopted: Execution | None = None,
        predecessors: Sequence[asyncio.Task[None]] = (),
    ) -> None:
        """`adopted` is an execution that runs already; it comes first.

        `predecessors` are workers of the same stateful actor, which this one lets end before it takes its first message, so
        that never two messages of it run at once (seeds: Actor State).
        """
        self.id = (adopted and adopted.worker_id) or new_worker_id()
        self.actor = actor
        self.status = WorkerStatus.BUSY if adopted else WorkerStatus.REQUESTED
        self.create_time = tools.clock.now()
        self.last_execution_time: datetime | None = None
        self.task: asyncio.Task[None] | None = None
        self.executing: ExecutionId | None = None
        self._mailbox = mailbox
        self._tools = tools
        self._adopted = adopted
        self._predecessors = predecessors
        self._interruptible = False
        self._stopping = False

    @property
    def record(self) -> WorkerRecord:
        """What the API shows."""
        return WorkerRecord(
            id=self.id,
            actor_id=self.actor.id,
            tenant=self.actor.tenant,
            image=self.actor.definition.image,
            status=self.status,
            create_time=self.create_time,
            last_execution_time=self.last_execution_time,
            last_health_check_time=self._tools.clock.now() if self.status.viable else None,
        )

    @property
    def last_active(self) -> datetime:
        """When it last had work, or was made."""
        return self.last_execution_time or self.create_time

    def stop(self) -> None:
        """End after the present execution, or at once if there is none, nor one on its way to this worker."""
        self._stopping = True
        self.status = WorkerStatus.SHUTDOWN_REQUESTED
        if self._interruptible and self.task and not self._mailbox.let_go(self.id):
            self.task.cancel()

    async def run(self) -> None:
        """Work until stopped, until the actor is gone or has another revision, or until others need the place."""
        try:
            if self._adopted:
                await self._finish_adopted(self._adopted)
            if self._stopping or not await self._prepared():
                return
            if self._predecessors and not self.actor.definition.stateless:
                await self._idle(WorkerStatus.READY, asyncio.wait(self._predecessors))
            while not self._stopping:
                message = await self._next_message()
                if message and (not await self._work(message) or self._tools.gives_way(self)):
                    return
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            if self.status is not WorkerStatus.ERROR:
                self.status = WorkerStatus.SHUTTING_DOWN

    async def _finish_adopted(self, execution: Execution) -> None:
        self.executing = execution.id
        while self.executing:
            try:
                await self._tools.executor.resume(execution)
            except EngineUnavailable as error:
                await self._engine_returns(error)  # the container goes on without us
                continue
            except StorageUnavailable as error:
                _log.error("execution_delayed", execution=execution.id, error=error.message)
                await self._tools.clock.sleep(_STORAGE_PAUSE)
                continue
            except Exception as error:  # noqa: BLE001 - a defect of ours must cost this execution only, see _work
                await self._tools.executor.give_up(execution.id, self.actor, error)
            self.executing = None
        self.last_execution_time = self._tools.clock.now()

    async def _prepared(self) -> bool:
        """Get the image; False if there is none to get."""
        while True:
            try:
                await self._idle(WorkerStatus.PULLING_IMAGE, self._tools.prepare(self.actor))
            except EngineUnavailable as error:
                await self._idle(self.status, self._engine_returns(error))
            except StorageUnavailable:
                await self._idle(self.status, self._tools.clock.sleep(_STORAGE_PAUSE))
            except ImageMissing:
                self.status = WorkerStatus.ERROR
                return False
            except ActorShuttingDown:
                return False
            else:
                return True

    async def _next_message(self) -> Queued | None:
        """Wait for a message; None if the database did not let look for one."""
        if not len(self._mailbox):
            self._tools.idle()
        try:
            return await self._idle(WorkerStatus.READY, self._mailbox.take(self._for_reservations))
        except StorageUnavailable as error:
            _log.error("mailbox_unreadable", actor=self.actor.id, error=error.message)
            await self._idle(WorkerStatus.READY, self._tools.clock.sleep(_STORAGE_PAUSE))
            return None

    @property
    def _for_reservations(self) -> WorkerId | None:
        """What it is reserved under; None for one that would not begin at once with what it is handed."""
        return self.id if self.actor.has_resident_hint and self.last_execution_time is not None else None

    async def _work(self, message: Queued) -> bool:
        """Execute one message; False if this worker's time is over."""
        if not self._stopping:
            self.status = WorkerStatus.BUSY
        self.executing = message.execution_id
        try:
            actor = await self._tools.current(self.actor)
            if actor is None or actor.revision != self.actor.revision:
                message = await self._tools.executor.wait_again(message)
                if actor is not None:
                    self._mailbox.put_back(message)
                return False  # the actor's deletion settles what waits
            self.actor = actor
            another_waits = bool(len(self._mailbox))
            match await self._tools.executor.execute(actor, self.id, message, another_waits=another_waits):
                case Next.TRY_AGAIN:
                    pause = self._tools.runs.start_retry_seconds * 2**message.attempts
                    again = replace(message.waiting, attempts=message.attempts + 1)
                    await self._put_back_after(self._tools.clock.sleep(pause), again)
                case Next.TAKE_ANOTHER:
                    self._mailbox.done(message)
                case Next.LEAVE_IT:
                    pass
        except EngineUnavailable as error:
            message = await self._tools.executor.wait_again(message)
            await self._put_back_after(self._engine_returns(error), message)
        except StorageUnavailable as error:
            _log.error("execution_delayed", execution=message.execution_id, error=error.message)
            message = await self._tools.executor.wait_again(message)
            await self._put_back_after(self._tools.clock.sleep(_STORAGE_PAUSE), message)
        except Exception as error:  # noqa: BLE001 - a defect of ours must cost this execution only, not the worker
            await self._tools.executor.give_up(message.execution_id, self.actor, error)
            self._mailbox.done(message)
        finally:
            self.executing = None
        self.last_execution_time = self._tools.clock.now()
        return True

    async def _put_back_after(self, wait: Coroutine[Any, Any, object], message: Queued) -> None:
        """Hold the actor's order: nobody gets the message, nor this worker another, until the wait is over."""
        try:
            await self._idle(WorkerStatus.BUSY, wait)
        finally:
            self._mailbox.put_back(message)

    async def _engine_returns(self, error: EngineUnavailable) -> None:
        self._tools.engine.lost(error)
        await self._tools.engine.until_up()

    async def _idle(self, status: WorkerStatus, wait: Coroutine[Any, Any, T]) -> T:
        """Wait for something, in a way that `stop` may interrupt."""
        if self._stopping:
            wait.close()
            raise asyncio.CancelledError
        self.status = status
        self._interruptible = True
        try:
            return await wait
        finally:
            self._interruptible = False
