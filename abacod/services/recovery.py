"""What a start does about what an earlier daemon left, and how leftovers are removed later on.

The rule (docs/explanation/recovery.md): an execution is marked RUNNING on disk before its container is started. So a
container that was never started, or a RUNNING mark without a start, can be told from a run that happened, and no message
runs twice.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.errors import EngineUnavailable, StorageUnavailable
from abacod.ids import ExecutionId
from abacod.models.actor import Actor
from abacod.models.execution import Execution
from abacod.models.states import ActorStatus
from abacod.queue.mailboxes import Mailboxes
from abacod.runtime.run import FoundState, Runtime
from abacod.services.engine_watch import EngineWatch
from abacod.services.executor import Executor
from abacod.services.pools import Pools
from abacod.services.settle import Settlement
from abacod.store import actors, executions, messages
from abacod.store.database import Database

_VANISHED: Final = (
    "The container vanished while the daemon was down, and its result with it; whether it did its work is unknown. "
    "Send the message again if it must run."
)

# Pause before another try after the database refused, in seconds.
_STORAGE_PAUSE: Final = 1.0

_log = structlog.get_logger()


class Recovery:
    """Takes up executions at a start; removes containers and files that belong to nothing."""

    def __init__(
        self,
        *,
        database: Database,
        runtime: Runtime,
        engine: EngineWatch,
        mailboxes: Mailboxes,
        pools: Pools,
        executor: Executor,
        settlement: Settlement,
        clock: Clock,
        messages_dir: Path,
    ) -> None:
        self._database = database
        self._runtime = runtime
        self._engine = engine
        self._mailboxes = mailboxes
        self._pools = pools
        self._executor = executor
        self._settlement = settlement
        self._clock = clock
        self._messages_dir = messages_dir

    async def take_up(self) -> None:
        """Let built-in reactors go on; wait for the engine, settle or follow all else that was running, let workers start."""
        while True:
            try:
                await self._builtins_again()
                break
            except StorageUnavailable as error:
                await self._storage_returns(error)
        self._pools.open_for_builtins()
        while True:
            await self._engine.until_up()
            try:
                running = await self._sort_out()
                submitted = await self._database.read(lambda tx: actors.in_status(tx, ActorStatus.SUBMITTED))
                break
            except EngineUnavailable as error:
                self._engine.lost(error)
            except StorageUnavailable as error:
                await self._storage_returns(error)
        # Last, and all at once: a worker that is done with what it adopted takes messages, whose order stands only now.
        for actor, execution in running:
            self._pools.adopt(actor, execution)
        self._pools.open_for_work()
        for actor in submitted:
            self._mailboxes.wake(actor.id)
        with suppress(EngineUnavailable):  # the next sweep is a minute away
            await self._runtime.sweep()
        _log.info("recovered", executions=sorted(execution.id for _, execution in running))

    async def remove_files(self) -> None:
        """Remove bodies of binary messages that no message refers to; before any request comes in."""
        wanted = await self._database.read(messages.binary_executions)
        for path in await asyncio.to_thread(lambda: list(self._messages_dir.iterdir())):
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    async def _storage_returns(self, error: StorageUnavailable) -> None:
        _log.error("recovery_delayed", error=error.message)
        await self._clock.sleep(_STORAGE_PAUSE)

    async def _builtins_again(self) -> None:
        """Enqueue again what built-in reactors had begun: it ran in the daemon that is gone.

        What it had done already, it does not do a second time.
        """
        for execution, actor in await self._left_running():
            if actor is not None and actor.is_native:
                await self._settlement.wait_again(execution.id, failed=False)
                self._mailboxes.ring(execution.actor_id)

    async def _left_running(self) -> list[tuple[Execution, Actor | None]]:
        return await self._database.read(
            lambda tx: [(each, actors.find(tx, each.actor_id)) for each in executions.running(tx)]
        )

    async def _sort_out(self) -> list[tuple[Actor, Execution]]:
        """Settle or enqueue again what does not run any more, remove leftovers; what runs, or ended unseen, is returned."""
        to_follow: list[tuple[Actor, Execution]] = []
        found = {run.execution_id: run for run in await self._runtime.found()}
        for execution, actor in await self._left_running():
            if actor is not None and actor.is_native:
                continue  # it runs now, in this daemon
            run = found.pop(execution.id, None)
            if run is None:
                await self._settlement.fail(execution.id, actor, _VANISHED)
            elif actor is None:
                await self._runtime.discard(execution.id)
                await self._settlement.fail(execution.id, actor, "The actor was deleted.")
            elif run.state is FoundState.NEVER_STARTED:
                # In this order: a daemon that is killed between the two leaves no mark of a run without a container.
                await self._settlement.wait_again(execution.id, failed=False)
                self._mailboxes.ring(execution.actor_id)
                await self._runtime.discard(execution.id)
            else:
                to_follow.append((actor, execution))
        for run in found.values():
            await self._runtime.discard(run.execution_id)
        return to_follow

    async def sweep(self) -> None:
        """Remove containers and bodies of messages whose execution has ended but which could not be removed then."""
        for path in await asyncio.to_thread(lambda: list(self._messages_dir.iterdir())):
            # A file without an execution is one that is being received.
            execution = await self._database.read(partial(executions.find, execution_id=ExecutionId(path.name)))
            if execution is not None and execution.status.ended:
                path.unlink(missing_ok=True)
        for run in await self._runtime.found():
            if run.execution_id in self._executor.running:
                continue
            execution = await self._database.read(partial(executions.find, execution_id=run.execution_id))
            if execution is None or execution.status.ended:
                await self._runtime.discard(run.execution_id)
        await self._runtime.sweep()
