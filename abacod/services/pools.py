"""The workers of every actor: made when a message arrives, asked to end, replaced when the actor changes."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.config import RunSettings
from abacod.config_workers import WorkerSettings
from abacod.errors import ActorShuttingDown, ImageMissing, StorageUnavailable
from abacod.ids import ActorId, WorkerId
from abacod.models.actor import READY_MESSAGE, Actor
from abacod.models.execution import Execution
from abacod.models.states import ActorStatus, WorkerStatus
from abacod.queue.mailboxes import Mailboxes
from abacod.runtime.run import Runtime
from abacod.services.engine_watch import EngineWatch
from abacod.services.events import Events
from abacod.services.executor import Executor
from abacod.services.places import Places
from abacod.services.worker import Worker, WorkerTools
from abacod.store import actors
from abacod.store.database import Database, Transaction
from abacod.store.remembered import Remembered

# Pause before an actor is looked at again after the database refused or a worker crashed, in seconds.
_TROUBLE_PAUSE: Final = 1.0

_log = structlog.get_logger()


class Pools:
    """All workers. `run` is the task in whose group they live.

    No worker starts before `open_for_work`, and those of built-in reactors not before `open_for_builtins`.
    """

    def __init__(
        self,
        database: Database,
        mailboxes: Mailboxes,
        executor: Executor,
        runtime: Runtime,
        engine: EngineWatch,
        events: Events,
        *,
        workers: WorkerSettings,
        runs: RunSettings,
        clock: Clock,
    ) -> None:
        self._database = database
        self._actors: Remembered[Actor | None] = Remembered(database, clock)
        self._mailboxes = mailboxes
        self._executor = executor
        self._runtime = runtime
        self._events = events
        self._settings = workers
        self._clock = clock
        self._tools = WorkerTools(
            executor,
            engine,
            clock,
            runs,
            prepare=self._prepare,
            current=self._current,
            idle=self._wake_starved,
            gives_way=self._gives_way,
        )
        self._pools: dict[ActorId, dict[WorkerId, Worker]] = {}
        self._starved: dict[ActorId, str] = {}
        """The queues of the actors that have no worker for want of a place, the one that waits longest first."""
        self._builtins_open = asyncio.Event()
        self._open = False
        self._early: dict[ActorId, None] = {}
        """The actors with messages that came before workers may start for them."""
        self._draining = False
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Give every actor a worker as soon as something arrives for it."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await self._builtins_open.wait()
            while True:
                for actor_id in await self._mailboxes.arrivals():
                    try:
                        await self._ensure_one(actor_id)
                    except StorageUnavailable as error:
                        _log.error("actor_unreadable", actor=actor_id, error=error.message)
                        self._mailboxes.wake(actor_id)
                        await self._clock.sleep(_TROUBLE_PAUSE)

    def open_for_builtins(self) -> None:
        """Let workers of built-in reactors start, which need no engine: what they had begun waits again."""
        self._builtins_open.set()

    def open_for_work(self) -> None:
        """Let all workers start: what an earlier daemon left running has been taken up."""
        self._open = True
        self._builtins_open.set()
        for actor_id in self._early:
            self._mailboxes.wake(actor_id)
        self._early.clear()

    # --- asked by others ----------------------------------------------------------------------------------------

    def workers_of(self, actor_id: ActorId) -> list[Worker]:
        """The actor's workers, oldest first."""
        return list(self._pools.get(actor_id, {}).values())

    def all_workers(self) -> list[Worker]:
        """The workers of all actors."""
        return [worker for pool in self._pools.values() for worker in pool.values()]

    @property
    def requests(self) -> int:
        """Workers that have been asked for and are not at work yet: those that start, and those for which there is no place."""
        return sum(worker.status.starting for worker in self.all_workers()) + len(self._starved)

    def adopt(self, actor: Actor, execution: Execution) -> None:
        """Give an execution that runs already to a worker."""
        self._start(actor, adopted=execution)

    def limit_of(self, actor: Actor) -> int:
        """How many workers the actor may have (spec/actors-api 6.3)."""
        if not actor.definition.stateless:
            return 1
        return actor.definition.max_workers or self._settings.max_per_actor

    def viable(self, actor_id: ActorId) -> list[Worker]:
        """The actor's workers that take messages now or will."""
        return [worker for worker in self.workers_of(actor_id) if worker.status.viable]

    def grow(self, actor: Actor, wanted: int) -> int:
        """Start workers until the actor has `wanted` viable ones, as far as the machine's limit allows; how many started."""
        started = 0
        while self.may_start and len(self.viable(actor.id)) < wanted:
            if self._others_come_first(actor) or not self._has_room(actor):
                break
            self._start(actor)
            started += 1
        return started

    def renew(self, actor: Actor) -> None:
        """The actor has a new revision: a new worker fetches its image, the old ones end after what they do now."""
        for worker in self.workers_of(actor.id):
            worker.stop()
        if self.may_start:
            self._start_or_starve(actor)
        else:
            self._mailboxes.wake(actor.id)

    async def close(self, actor_id: ActorId, timeout: float) -> bool:
        """End all workers of an actor that is being deleted, halting what they run; False if some still end after `timeout`
        seconds.

        Raises:
            EngineUnavailable: what runs could not be halted.
        """
        self._starves_no_more(actor_id)
        workers = self.workers_of(actor_id)
        for worker in workers:
            worker.stop()
        tasks = [worker.task for worker in workers if worker.task]
        try:
            async with asyncio.timeout(timeout):
                await asyncio.gather(*(self._executor.halt(each.executing) for each in workers if each.executing))
                if tasks:
                    await asyncio.wait(tasks)
        except TimeoutError:
            return False
        return True

    async def drain(self, timeout: float) -> None:
        """Let running executions end for up to `timeout` seconds; those that still run then go on without the daemon."""
        self._draining = True
        workers = self.all_workers()
        for worker in workers:
            worker.stop()
        tasks = [worker.task for worker in workers if worker.task]
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=timeout)
            if pending:
                _log.warning("executions_left_running", executions=sorted(self._executor.running))

    # --- starting and ending ------------------------------------------------------------------------------------

    async def _ensure_one(self, actor_id: ActorId) -> None:
        if self._draining or self.viable(actor_id):
            return
        actor = await self._database.read(partial(actors.find, actor_id=actor_id))
        if actor is None or actor.status in (ActorStatus.ERROR, ActorStatus.SHUTTING_DOWN):
            self._starves_no_more(actor_id)
        elif not self._open and not actor.is_native:
            self._early[actor_id] = None
        elif not self.viable(actor_id):  # else an update or a request for workers was faster
            self._start_or_starve(actor)

    def _start_or_starve(self, actor: Actor) -> None:
        """Start a worker now, or as soon as there is a place for it."""
        if self._others_come_first(actor):
            self._starve(actor)
            self._wake_starved()
        elif self._has_room(actor):
            self._start(actor)
        else:
            self._starve(actor)

    def _starve(self, actor: Actor) -> None:
        # One that starves already keeps its turn.
        self._starved[actor.id] = actor.definition.queue

    @property
    def may_start(self) -> bool:
        """Whether workers are started now. Before that, an actor that is woken gets one as soon as they are."""
        return self._open and not self._draining

    def _in_places(self) -> list[Worker]:
        """The workers that take a place; those of built-in reactors have no containers, and take none."""
        return [worker for worker in self.all_workers() if not worker.actor.is_native]

    def _places(self) -> Places:
        counted = [worker for worker in self._in_places() if worker.status.viable or worker.executing]
        return Places(self._settings, [worker.actor.definition.queue for worker in counted])

    def _others_come_first(self, actor: Actor) -> bool:
        """Whether a place that is free now is for an actor that has starved longer, and has been woken for it."""
        if actor.is_native:
            return False
        places = self._places()
        for actor_id, queue in self._starved.items():
            if actor_id == actor.id:
                return False
            if places.fits(queue):
                return True
        return False

    def _has_room(self, actor: Actor) -> bool:
        """Whether one more worker of the actor has a place; an idle worker of another actor makes place."""
        if actor.is_native:
            return True
        places, queue = self._places(), actor.definition.queue
        if places.fits(queue):
            return True
        idle = [
            worker
            for worker in self._in_places()
            if worker.status is WorkerStatus.READY
            and worker.actor.id != actor.id
            and not len(self._mailboxes.of(worker.actor.id))
            and places.freed_by(worker.actor.definition.queue, queue)
        ]
        if idle:
            min(idle, key=lambda worker: worker.last_active).stop()
        return bool(idle)

    def _start(self, actor: Actor, *, adopted: Execution | None = None) -> None:
        if self._draining or self._group is None:
            return
        pool = self._pools.setdefault(actor.id, {})
        worker = Worker(
            actor,
            self._mailboxes.of(actor.id),
            self._tools,
            adopted=adopted,
            predecessors=[other.task for other in pool.values() if other.task],
        )
        pool[worker.id] = worker
        self._starves_no_more(actor.id)
        worker.task = self._group.create_task(self._live(worker), name=f"worker-{worker.id}")

    async def _live(self, worker: Worker) -> None:
        try:
            await worker.run()
        except Exception:  # noqa: BLE001 - see below
            # A defect in one worker must not take the others along, which share its task group.
            _log.exception("worker_crashed", worker=worker.id, actor=worker.actor.id)
            await self._clock.sleep(_TROUBLE_PAUSE)
        finally:
            self._runtime.worker_ended(worker.id)
            pool = self._pools[worker.actor.id]
            del pool[worker.id]
            if not pool:
                del self._pools[worker.actor.id]
            self._look_again(worker.actor.id)

    def _look_again(self, ended_for: ActorId) -> None:
        """A place is free: wake those who wait for one, then the actor itself if it has messages."""
        self._wake_starved()
        if len(self._mailboxes.of(ended_for)):
            self._mailboxes.wake(ended_for)

    def _wake_starved(self) -> None:
        """Let those who wait longest, one of each queue, try again; each that gets its place wakes the next."""
        first = {queue: actor_id for actor_id, queue in reversed(self._starved.items())}
        for actor_id in first.values():
            self._mailboxes.wake(actor_id)

    def _starves_no_more(self, actor_id: ActorId) -> None:
        if self._starved.pop(actor_id, None) is not None:
            self._wake_starved()

    # --- tools of the workers -----------------------------------------------------------------------------------

    def _gives_way(self, worker: Worker) -> bool:
        """Whether an actor waits for just this worker's place, which it may have between two messages.

        Without that an actor whose mailbox never empties would keep the others out for ever.
        """
        if not self._starved or worker.actor.is_native:
            return False
        places, queue = self._places(), worker.actor.definition.queue
        return any(
            places.freed_by(queue, wanted) for actor_id, wanted in self._starved.items() if actor_id != worker.actor.id
        )

    async def _current(self, actor: Actor) -> Actor | None:
        now = await self._actors.ask(actor.id, partial(actors.find, actor_id=actor.id))
        return None if now is None or now.status is ActorStatus.SHUTTING_DOWN else now

    async def _prepare(self, actor: Actor) -> None:
        now = await self._current(actor)
        if now is None:
            raise ActorShuttingDown
        image = actor.definition.image
        try:
            # Once READY the image is here; asking the registry at every start would only cost time.
            await self._runtime.prepare(image, fresh=now.status is not ActorStatus.READY)
        except ImageMissing as error:
            await self._set_status(actor, ActorStatus.ERROR, error.message)
            _log.warning("image_missing", actor=actor.id, image=image, error=error.message)
            raise
        if now.status is not ActorStatus.READY:
            await self._set_status(actor, ActorStatus.READY, READY_MESSAGE)

    async def _set_status(self, actor: Actor, status: ActorStatus, message: str) -> None:
        def change(tx: Transaction) -> bool:
            changed = actors.set_status(tx, actor.id, status, message, revision=actor.revision)
            return changed and self._events.note_status(tx, actor.id)

        if await self._database.write(change):
            self._events.wake(actor.id)
