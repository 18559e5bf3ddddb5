"""Look at executions and their logs; halt them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from abacod.clock import Clock
from abacod.errors import EngineUnavailable, NotRunning
from abacod.ids import ActorId, ExecutionId, Username
from abacod.models.execution import Execution, ExecutionSummary, Totals
from abacod.models.states import ExecutionStatus
from abacod.queue.mailboxes import Mailboxes
from abacod.services.events import Events
from abacod.services.executor import Executor
from abacod.services.news import News
from abacod.services.progress import decode
from abacod.store import executions, logs, messages, totals
from abacod.store.database import Database, Transaction

_log = structlog.get_logger()


class Executions:
    """The use-cases of executions."""

    def __init__(
        self,
        database: Database,
        mailboxes: Mailboxes,
        executor: Executor,
        clock: Clock,
        events: Events,
        *,
        news: News,
        list_limit: int,
        spawn: Callable[[Coroutine[Any, Any, None], str], object],
    ) -> None:
        """`list_limit` bounds an unfiltered list; `spawn` runs a named coroutine beside the requests."""
        self._database = database
        self._mailboxes = mailboxes
        self._executor = executor
        self._clock = clock
        self._news = news
        self._events = events
        self._list_limit = list_limit
        self._spawn = spawn

    async def listed(
        self, actor_id: ActorId, executor: Username | None = None
    ) -> tuple[list[ExecutionSummary], Totals]:
        """The newest executions, those of one user if that is given, the oldest of them first, and the sums over all."""
        return await self._database.read(
            lambda tx: (executions.newest(tx, actor_id, self._list_limit, executor), totals.of_actor(tx, actor_id))
        )

    async def get(self, actor_id: ActorId, execution_id: ExecutionId) -> Execution:
        """One execution.

        Raises:
            ExecutionNotFound: the actor has no such execution.
        """
        return await self._database.glance(partial(executions.get, actor_id=actor_id, execution_id=execution_id))

    async def log(self, actor_id: ActorId, execution_id: ExecutionId) -> str:
        """What the container has written so far; empty before its start and after the log's life time.

        Raises:
            ExecutionNotFound: the actor has no such execution.
        """
        progress = self._executor.progress_of(execution_id)
        # The memory first: what moves from there to the disk meanwhile is cut off again, so no byte shows twice.
        on_disk, in_memory = progress.snapshot() if progress else (None, b"")
        now = self._clock.now()

        def text(tx: Transaction) -> str:
            executions.get(tx, actor_id, execution_id)
            return decode(logs.whole(tx, execution_id, now)[:on_disk] + in_memory)

        return await self._database.read(text)

    async def halt(self, actor_id: ActorId, execution_id: ExecutionId) -> None:
        """Stop a running execution, in the background; take a waiting one out of the mailbox.

        Raises:
            ExecutionNotFound: the actor has no such execution.
            NotRunning: it has ended.
        """
        # A client that hangs up between the commit and the telling must not leave a mailbox that counts wrong.
        status = await asyncio.shield(self._cancelled(actor_id, execution_id))
        if status is ExecutionStatus.RUNNING:
            self._spawn(self._stop(actor_id, execution_id), f"halt-{execution_id}")
        elif status is not ExecutionStatus.SUBMITTED:
            raise NotRunning(
                f"Cannot force quit an execution not in RUNNING status. Execution was found in status: {status}"
            )

    async def _cancelled(self, actor_id: ActorId, execution_id: ExecutionId) -> ExecutionStatus:
        """Cancel the execution if it waits; the status it was found in."""

        def cancel(tx: Transaction) -> tuple[ExecutionStatus, bool]:
            execution = executions.get(tx, actor_id, execution_id)
            if execution.status is not ExecutionStatus.SUBMITTED:
                return execution.status, False
            messages.remove(tx, execution_id)
            executions.fail(tx, execution_id, {"reason": "Cancelled before its start."}, self._clock.now(), None)
            return execution.status, self._events.note_ends(tx, actor_id, [execution_id])

        status, told = await self._database.write(cancel)
        if told:
            self._events.wake(actor_id)
        if status is ExecutionStatus.SUBMITTED:
            self._mailboxes.of(actor_id).forget([execution_id])
            self._news.tell(execution_id)
        return status

    async def _stop(self, actor_id: ActorId, execution_id: ExecutionId) -> None:
        try:
            await self._executor.halt(execution_id, in_hand=execution_id in self._mailboxes.of(actor_id).in_hand)
        except EngineUnavailable as error:
            _log.warning("halt_failed", execution=execution_id, error=error.message)
