"""The end of an execution: its record, the rest of its log, its message's acknowledgement and its event, in one transaction."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol, TypeVar

import structlog

from abacod.clock import Clock
from abacod.config import LogSettings
from abacod.errors import StorageUnavailable
from abacod.ids import ExecutionId
from abacod.models.actor import Actor
from abacod.models.execution import Execution
from abacod.runtime.run import Outcome
from abacod.services.events import Events
from abacod.services.news import News
from abacod.services.progress import Progress
from abacod.store import executions, messages
from abacod.store.database import Database, Transaction

# Pauses between tries to write a result while the disk refuses, in seconds.
_FIRST_RETRY: Final = 0.5
_LAST_RETRY: Final = 30.0

T = TypeVar("T")

_log = structlog.get_logger()


class Observer(Protocol):
    """Is told how executions end."""

    def execution_completed(self, start_latency: float, duration: float) -> None:
        """A container ran to its end: seconds from the message's arrival to its start, and from there to its end."""
        ...

    def execution_failed(self) -> None:
        """An execution ended without a complete run."""
        ...


class Settlement:
    """Writes how executions ended, and does not give up: a result that is not on disk would be lost."""

    def __init__(
        self,
        database: Database,
        settings: LogSettings,
        clock: Clock,
        events: Events,
        messages_dir: Path,
        observer: Observer | None = None,
        *,
        news: News,
    ) -> None:
        self._observer = observer
        self._database = database
        self._settings = settings
        self._clock = clock
        self._events = events
        self._messages_dir = messages_dir
        self._news = news

    async def complete(self, execution: Execution, actor: Actor | None, outcome: Outcome, progress: Progress) -> None:
        """The container ended, whatever its exit code.

        Raises:
            IllegalTransition: the execution was settled before.
        """
        record = replace(
            execution,
            start_time=execution.start_time or outcome.started_at,
            finish_time=outcome.finished_at,
            runtime=max(0, int((outcome.finished_at - outcome.started_at).total_seconds())),
            cpu=outcome.cpu,
            io=outcome.io,
            exit_code=outcome.exit_code,
            final_state=outcome.final_state,
        )
        log_expires = self._log_expires(actor)

        def settle(tx: Transaction) -> bool:
            executions.complete(tx, record, log_expires)
            progress.finish(tx)
            messages.remove(tx, execution.id)
            return self._events.note_ends(tx, execution.actor_id, [execution.id])

        if await self._write(settle, execution.id, progress):
            self._events.wake(execution.actor_id)
        self._remove_file(execution.id)
        if self._observer:
            latency = (outcome.started_at - execution.message_received_time).total_seconds()
            duration = (outcome.finished_at - outcome.started_at).total_seconds()
            self._observer.execution_completed(latency, duration)
        _log.info("execution_complete", execution=execution.id, actor=execution.actor_id, exit_code=outcome.exit_code)

    async def fail(
        self, execution_id: ExecutionId, actor: Actor | None, reason: str, progress: Progress | None = None
    ) -> None:
        """The platform could not run the execution to its end; `reason` is shown in its `final_state`."""
        log_expires = self._log_expires(actor)
        finished = self._clock.now()

        def settle(tx: Transaction) -> tuple[bool, bool]:
            failed = executions.fail(tx, execution_id, {"reason": reason}, finished, log_expires)
            if not failed:
                return False, False
            messages.remove(tx, execution_id)
            if progress:
                progress.finish(tx)
            return True, actor is not None and self._events.note_ends(tx, actor.id, [execution_id])

        failed, told = await self._write(settle, execution_id, progress)
        self._remove_file(execution_id)
        if actor is not None and told:
            self._events.wake(actor.id)
        if failed:
            if self._observer:
                self._observer.execution_failed()
            _log.warning("execution_failed", execution=execution_id, reason=reason)

    async def wait_again(self, execution_id: ExecutionId, *, failed: bool) -> None:
        """The container was not started after all: the message waits for another try; `failed` counts this one."""

        def back(tx: Transaction) -> None:
            executions.submit_again(tx, execution_id)
            messages.mark_waiting(tx, execution_id, failed=failed)

        await self._write(back, execution_id)

    async def _write(
        self, settle: Callable[[Transaction], T], execution_id: ExecutionId, ended: Progress | None = None
    ) -> T:
        pause = _FIRST_RETRY
        if ended:
            ended.settling()
        while True:
            try:
                settled = await self._database.write(settle)
            except StorageUnavailable as error:
                _log.error("execution_not_settled", execution=execution_id, error=error.message)
                await self._clock.sleep(pause)
                pause = min(2 * pause, _LAST_RETRY)
            else:
                if ended:
                    await ended.answered()
                else:
                    self._news.tell(execution_id)
                return settled

    def _remove_file(self, execution_id: ExecutionId) -> None:
        with suppress(FileNotFoundError):
            os.unlink(f"{self._messages_dir}/{execution_id}")  # noqa: PTH108 - for each message, and most are no files

    def _log_expires(self, actor: Actor | None) -> datetime | None:
        """When the log's time has passed; None is never (spec/actors-api 4.4)."""
        wanted = actor.definition.log_ex if actor else None
        seconds = self._settings.ttl_seconds if wanted is None else min(wanted, self._settings.ttl_limit_seconds)
        return None if seconds <= 0 else self._clock.now() + timedelta(seconds=seconds)
