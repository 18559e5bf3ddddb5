"""One message, one run, one settled execution."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from pathlib import Path

import structlog

from abacod.clock import Clock
from abacod.config import LogSettings, ResultSettings, RunSettings
from abacod.errors import EngineUnavailable, IllegalTransition, RunLost, RunNotStarted, SealBroken, TooLarge
from abacod.ids import ExecutionId, WorkerId, new_worker_id
from abacod.models.actor import Actor
from abacod.models.config import Config
from abacod.models.execution import Execution
from abacod.models.message import Queued
from abacod.models.user import User
from abacod.runtime.run import Keep, RunSpec, Runtime
from abacod.services.batch.plan import Planner, RunPlan, no_plans
from abacod.services.configs import config_text
from abacod.services.engine_watch import EngineWatch
from abacod.services.environment import ValueStyle, environment, run_spec, time_limit
from abacod.services.news import News
from abacod.services.progress import Progress
from abacod.services.sealing import Seal
from abacod.services.settle import Settlement
from abacod.services.tokens import Tokens
from abacod.store import actors, configs, users
from abacod.store.database import Database, Transaction
from abacod.store.remembered import Remembered

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What runs of an actor have beside it and their message: its configs, and the owner's account if they need a token."""

    owner: User | None
    configs: list[Config]


class Next(Enum):
    """What a worker does after an execution."""

    TAKE_ANOTHER = "take another"
    LEAVE_IT = "leave it"
    """The message was dropped before its start (cancelled, purged), and whoever did that settled its execution."""
    TRY_AGAIN = "try again"
    """The container was not started; the same message may succeed later."""


class Executor:
    """Runs messages on the runtime and settles them; knows what is running now."""

    def __init__(
        self,
        database: Database,
        runtime: Runtime,
        settlement: Settlement,
        tokens: Tokens,
        seal: Seal,
        engine: EngineWatch,
        *,
        news: News,
        runs: RunSettings,
        logs: LogSettings,
        results: ResultSettings,
        clock: Clock,
        api_server: Callable[[], Awaitable[str]],
        messages_dir: Path,
        style: ValueStyle,
        plan_of: Planner = no_plans,
    ) -> None:
        """`plan_of` knows what runs of the actors behind apps are given."""
        self._database = database
        self._surroundings: Remembered[_Surroundings] = Remembered(database, clock)
        self._runtime = runtime
        self._settlement = settlement
        self._tokens = tokens
        self._seal = seal
        self._engine = engine
        self._news = news
        self._runs = runs
        self._logs = logs
        self._results = results
        self._clock = clock
        self._api_server = api_server
        self._messages_dir = messages_dir
        self._style = style
        self._plan_of = plan_of
        self._live: dict[ExecutionId, Progress] = {}
        # Those that are to end before they are started.
        self._halted: set[ExecutionId] = set()

    async def execute(self, actor: Actor, worker_id: WorkerId, message: Queued, *, another_waits: bool = False) -> Next:
        """Run the message and settle its execution; `another_waits` tells that there is a next one already.

        Raises:
            EngineUnavailable: the engine went away before the container was started; see `wait_again`.
        """
        execution = message.execution
        plan = None
        if actor.is_behind_app:
            plan = await self._database.read(lambda tx: self._plan_of(tx, execution.id))
            if plan is None:
                await self._settlement.fail(execution.id, actor, "This actor runs batch jobs; submit one to /jobs/v2.")
                return Next.TAKE_ANOTHER
        surroundings = await self._surroundings.ask(actor.id, lambda tx: self._surroundings_of(tx, actor))
        try:
            configs_text = config_text(surroundings.configs, self._seal, self._style)
        except (TooLarge, SealBroken) as error:
            await self._settlement.fail(execution.id, actor, error.message)
            return Next.TAKE_ANOTHER
        # A built-in reactor is in the daemon already, and does not wait for an engine that may not answer.
        api_server = "" if actor.is_native else await self._api_server()
        spec = self._spec(actor, message, worker_id, surroundings.owner, api_server, configs_text)
        spec = _fitted(spec, plan, another_waits=another_waits)
        with self._following(execution.id, worker_id, execution.start_time) as progress:
            if execution.id in self._halted:
                self._halted.discard(execution.id)
                await self._settlement.fail(execution.id, actor, "Cancelled before its start.", progress)
                return Next.TAKE_ANOTHER
            try:
                outcome = await self._runtime.run(spec, progress)
            except IllegalTransition:
                _log.info("execution_cancelled", execution=execution.id)
                return Next.LEAVE_IT
            except EngineUnavailable:
                await self._settlement.wait_again(execution.id, failed=False)
                raise
            except RunNotStarted as error:
                return await self._not_started(actor, message, error, progress)
            except RunLost as error:
                await self._settlement.fail(execution.id, actor, error.message, progress)
            else:
                begun = replace(execution, worker_id=worker_id, start_time=progress.started_at)
                await self._settlement.complete(begun, actor, outcome, progress)
        await self._discard(execution.id, actor)
        return Next.TAKE_ANOTHER

    async def resume(self, execution: Execution) -> None:
        """Follow a container that an earlier daemon started to its end and settle its execution."""
        actor, plan = await self._database.read(
            lambda tx: (actors.find(tx, execution.actor_id), self._plan_of(tx, execution.id))
        )
        limit: float | None = time_limit(self._runs)
        if plan is not None:
            limit = plan.limit(limit)
        with self._following(execution.id, execution.worker_id or new_worker_id()) as progress:
            await progress.log_restarts()
            try:
                outcome = await self._runtime.resume(execution.id, progress, time_limit=limit)
            except RunLost as error:
                await self._settlement.fail(execution.id, actor, error.message, progress)
            else:
                await self._settlement.complete(execution, actor, outcome, progress)
        await self._discard(execution.id, actor)

    async def give_up(self, execution_id: ExecutionId, actor: Actor, error: Exception) -> None:
        """End an execution in ERROR because of a defect of abacod's own, which goes to the log with its traceback."""
        _log.exception("execution_crashed", execution=execution_id, exc_info=error)
        await self._settlement.fail(execution_id, actor, f"Internal error: {type(error).__name__}.")
        await self._discard(execution_id, actor)

    async def wait_again(self, message: Queued) -> Queued:
        """Let a message wait whose execution is marked as running, and has not been started; as it waits then."""
        if message.begun:
            await self._settlement.wait_again(message.execution_id, failed=False)
        return message.waiting

    async def halt(self, execution_id: ExecutionId, *, in_hand: bool = False) -> None:
        """Ask the container to end, then force it (spec/actors-api 4.3); the execution is settled as usual.

        `in_hand` tells that a worker has its message, so that it will be started if it has not been yet.
        """
        if in_hand and execution_id not in self._live:
            self._halted.add(execution_id)
        else:
            await self._runtime.halt(execution_id)

    def progress_of(self, execution_id: ExecutionId) -> Progress | None:
        """What is known of an execution that runs now."""
        return self._live.get(execution_id)

    @property
    def running(self) -> frozenset[ExecutionId]:
        """The executions that this daemon follows now."""
        return frozenset(self._live)

    def _spec(
        self,
        actor: Actor,
        message: Queued,
        worker_id: WorkerId,
        owner: User | None,
        api_server: str,
        configs_text: str,
    ) -> RunSpec:
        access_token = ""
        if self._wants_token(actor):
            account = owner or User(actor.tenant, actor.owner, frozenset(), actor.create_time)
            access_token = self._tokens.issue(account, "access").text
        variables = environment(
            actor,
            message.execution,
            message,
            worker_id,
            api_server=api_server,
            access_token=access_token,
            style=self._style,
            configs=configs_text,
        )
        binary_message = self._messages_dir / message.execution_id if message.body is None else None
        return run_spec(actor, message.execution, worker_id, variables, self._runs, message, binary_message)

    def _surroundings_of(self, tx: Transaction, actor: Actor) -> _Surroundings:
        owner = users.find(tx, actor.tenant, actor.owner) if self._wants_token(actor) else None
        return _Surroundings(owner, configs.of_actor(tx, actor.tenant, actor.id))

    def _wants_token(self, actor: Actor) -> bool:
        wanted = actor.definition.token
        return self._runs.default_token if wanted is None else wanted

    @contextmanager
    def _following(
        self, execution_id: ExecutionId, worker_id: WorkerId, started_at: datetime | None = None
    ) -> Iterator[Progress]:
        progress = Progress(
            execution_id,
            worker_id,
            self._database,
            self._logs,
            self._clock,
            kept_results=self._results,
            news=self._news,
            started_at=started_at,
        )
        self._live[execution_id] = progress
        try:
            yield progress
        finally:
            del self._live[execution_id]
            # Who follows the log finds the end of it on disk from now on.
            self._news.tell(execution_id)

    async def _not_started(self, actor: Actor, message: Queued, error: RunNotStarted, progress: Progress) -> Next:
        """Let the message wait for another try, or end its execution: never the actor's other messages (4.6)."""
        if error.retryable and message.attempts + 1 < self._runs.start_attempts:
            _log.warning("start_failed", execution=message.execution_id, error=error.message, hint=error.hint)
            await self._settlement.wait_again(message.execution_id, failed=True)
            return Next.TRY_AGAIN
        await self._settlement.fail(message.execution_id, actor, error.message, progress)
        return Next.TAKE_ANOTHER

    async def _discard(self, execution_id: ExecutionId, actor: Actor | None) -> None:
        """Remove the container, once the engine lets; until then there is nothing else that the worker could do."""
        if actor is not None and actor.is_native:
            return  # it had none, and the actor goes on while the engine is away
        while True:
            try:
                await self._runtime.discard(execution_id)
            except EngineUnavailable as error:
                self._engine.lost(error)
                await self._engine.until_up()
            else:
                return


def _fitted(spec: RunSpec, plan: RunPlan | None, *, another_waits: bool) -> RunSpec:
    if plan is not None:
        return plan.applied(spec)
    return replace(spec, keep=Keep.NEXT) if another_waits and spec.keep is Keep.NOTHING else spec
