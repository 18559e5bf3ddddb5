"""What a start does about what an earlier daemon left, and how leftovers are removed later on.

The rule (docs/explanation/recovery.md): an execution is marked RUNNING on disk before its container is started. So a
container that was never started, or a RUNNING mark without a start, can be told from a run that happened, and no message
runs twice.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from abacod.errors import EngineUnavailable
from abacod.ids import ExecutionId
from abacod.models.execution import Execution
from abacod.models.states import ActorStatus
from abacod.queue.mailboxes import Mailboxes
from abacod.runtime.run import FoundRun, FoundState, Runtime
from abacod.services.engine_watch import EngineWatch
from abacod.services.executor import Executor
from abacod.services.pools import Pools
from abacod.services.settle import Settlement
from abacod.store import actors, executions, messages
from abacod.store.database import Database, Transaction

_VANISHED: Final = (
    "The container vanished while the daemon was down, and its result with it; whether it did its work is unknown. "
    "Send the message again if it must run."
)

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
        messages_dir: Path,
    ) -> None:
        self._database = database
        self._runtime = runtime
        self._engine = engine
        self._mailboxes = mailboxes
        self._pools = pools
        self._executor = executor
        self._settlement = settlement
        self._messages_dir = messages_dir

    async def take_up(self) -> None:
        """Wait for the engine, then settle or follow everything that was running, and let workers start."""
        taken_up: set[ExecutionId] = set()
        while True:
            await self._engine.until_up()
            try:
                await self._take_up_all(taken_up)
                break
            except EngineUnavailable as error:
                self._engine.lost(error)
        self._pools.open_for_work()
        for actor in await self._database.read(lambda tx: actors.in_status(tx, ActorStatus.SUBMITTED)):
            self._mailboxes.wake(actor.id)
        _log.info("recovered", executions=sorted(taken_up))

    async def remove_files(self) -> None:
        """Remove bodies of binary messages that no message refers to; before any request comes in."""
        wanted = await self._database.read(messages.binary_executions)
        for path in await asyncio.to_thread(lambda: list(self._messages_dir.iterdir())):
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    async def _take_up_all(self, taken_up: set[ExecutionId]) -> None:
        found = {run.execution_id: run for run in await self._runtime.found()}
        for execution in await self._database.read(executions.running):
            run = found.pop(execution.id, None)
            if execution.id not in taken_up:
                await self._take_up(execution, run)
                taken_up.add(execution.id)
        for run in found.values():
            await self._runtime.discard(run.execution_id)

    async def _take_up(self, execution: Execution, run: FoundRun | None) -> None:
        actor = await self._database.read(lambda tx: actors.find(tx, execution.actor_id))
        if run is None:
            await self._settlement.fail(execution.id, actor, _VANISHED)
        elif run.state is FoundState.NEVER_STARTED:
            await self._runtime.discard(execution.id)
            await self._database.write(lambda tx: _wait_again(tx, execution.id))
            self._mailboxes.ring(execution.actor_id)
        elif actor is None:
            await self._settlement.fail(execution.id, actor, "The actor was deleted.")
            await self._runtime.discard(execution.id)
        else:
            self._pools.adopt(actor, execution)

    async def sweep(self) -> None:
        """Remove containers whose execution has ended but which could not be removed then."""
        for run in await self._runtime.found():
            if run.execution_id in self._executor.running:
                continue
            execution = await self._database.read(partial(executions.find, execution_id=run.execution_id))
            if execution is None or execution.status.ended:
                await self._runtime.discard(run.execution_id)


def _wait_again(tx: Transaction, execution_id: ExecutionId) -> None:
    executions.submit_again(tx, execution_id)
    messages.mark_waiting(tx, execution_id, failed=False)
