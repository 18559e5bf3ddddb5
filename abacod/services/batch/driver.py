"""One batch job from its acceptance to its end, step by step; each status is on disk before what follows from it is done.

Every step can be begun anew after a crash: staging and archiving start over, and the run itself is an execution, which is
put into its mailbox in the same transaction in which the job becomes QUEUED (docs/explanation/architecture.md).
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog

from abacod.clock import Clock, to_ms
from abacod.errors import (
    AbacoError,
    EngineUnavailable,
    ExecutionNotFound,
    ImageMissing,
    NotRunning,
    Stopping,
    StorageUnavailable,
)
from abacod.ids import ActorId, ExecutionId, Username, new_execution_id
from abacod.models.batch_job import DESCRIPTIONS, BatchJob, BatchStatus
from abacod.models.execution import Execution
from abacod.models.message import Message
from abacod.models.states import ActorStatus, ExecutionStatus
from abacod.queue.mailboxes import Mailboxes
from abacod.runtime.run import Runtime
from abacod.services.batch.apps import ensure_actor
from abacod.services.batch.description import described
from abacod.services.batch.notifications import Notifications
from abacod.services.batch.work import Work
from abacod.services.engine_watch import EngineWatch
from abacod.services.enqueue import enqueue
from abacod.services.executions import Executions
from abacod.services.news import News
from abacod.services.storage.copying import Broken
from abacod.store import actors, batch_jobs, executions
from abacod.store.database import Database, Transaction

_STORAGE_PAUSE: Final = 1.0
# Longest pause before files are copied again to a disk that was full, in seconds.
_LONGEST_PAUSE: Final = 30.0
# What a disk says that has room for no more at the moment; what is copied is not lost because of it.
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
# Statuses in which the job has an execution that has to end before it can.
_RUNS: Final = frozenset({BatchStatus.QUEUED, BatchStatus.RUNNING})
# What follows statuses in which there is nothing to do.
_NEXT: Final = {
    BatchStatus.PENDING: BatchStatus.PROCESSING_INPUTS,
    BatchStatus.PROCESSING_INPUTS: BatchStatus.STAGING_INPUTS,
    BatchStatus.STAGED: BatchStatus.SUBMITTING,
    BatchStatus.CLEANING_UP: BatchStatus.ARCHIVING,
}

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DriverTools:
    """What every driver uses; `copies` bounds how many jobs copy at a time."""

    database: Database
    runtime: Runtime
    engine: EngineWatch
    mailboxes: Mailboxes
    news: News
    notifications: Notifications
    work: Work
    clock: Clock
    copies: asyncio.Semaphore
    actor_owner: Username
    executions: Executions


class Driver:
    """Drives one job. `run` is its life, as one task; `stop` ends the job."""

    def __init__(self, job_id: str, tools: DriverTools) -> None:
        self._id = job_id
        self._tools = tools
        self._wanted = True
        self._pause = _STORAGE_PAUSE

    def stop(self) -> None:
        """The job is to stop, or the daemon: copying ends soon. What is to become of the job is on disk."""
        self._wanted = False

    async def run(self) -> None:
        """Take step after step until the job has ended, or the daemon stops."""
        tools = self._tools
        while True:
            job = None
            try:
                job = await tools.database.read(partial(batch_jobs.find, job_id=self._id))
                if job is None or job.status.ended:
                    return
                await self._step(job)
            except Stopping:
                return
            except Broken:
                if not await self._is_stopping():
                    return
            except EngineUnavailable as error:
                tools.engine.lost(error)
                await tools.engine.until_up()
            except (StorageUnavailable, _NoRoom) as error:
                await self._delayed(error)
            except Exception as error:  # noqa: BLE001 - a defect of ours must cost this job only
                _log.exception("batch_job_crashed", job=self._id)
                if job is not None:
                    await self._fail(job, f"Internal error: {type(error).__name__}.")

    async def _delayed(self, error: Exception) -> None:
        """Wait before the step is tried again."""
        pause = _STORAGE_PAUSE
        if isinstance(error, _NoRoom):
            # What is copied again may be much.
            pause = self._pause
            self._pause = min(2 * pause, _LONGEST_PAUSE)
        _log.error("batch_job_delayed", job=self._id, error=_said(error))
        await self._tools.clock.sleep(pause)

    async def _is_stopping(self) -> bool:
        job = await self._tools.database.read(partial(batch_jobs.find, job_id=self._id))
        return job is not None and job.stopping

    async def _step(self, job: BatchJob) -> None:
        if job.stopping and job.status is not BatchStatus.ARCHIVING_FINISHED:
            await self._stopped(job)
            return
        works = {
            BatchStatus.STAGING_INPUTS: self._stage,
            BatchStatus.SUBMITTING: self._submit,
            BatchStatus.QUEUED: self._queued,
            BatchStatus.RUNNING: self._running,
            BatchStatus.ARCHIVING: self._archive,
        }
        if job.status in works:
            await works[job.status](job)
        elif job.status in _NEXT and (job.archive or job.status is not BatchStatus.CLEANING_UP):
            await self._move(job, _NEXT[job.status])
        else:
            await self._remove_work()
            await self._move(job, BatchStatus.FINISHED)

    # --- the steps ------------------------------------------------------------------------------------------------

    async def _stage(self, job: BatchJob) -> None:
        template = described(job.app).template
        async with self._tools.copies:
            try:
                await asyncio.to_thread(self._tools.work.stage, job, template, lambda: self._wanted)
            except (AbacoError, OSError) as error:
                _require_room(error)
                await self._fail(job, f"The inputs could not be staged: {_said(error)}")
            else:
                await self._move(job, BatchStatus.STAGED)

    async def _submit(self, job: BatchJob) -> None:
        """Have the image ready, so that the execution does not wait for one that does not come, and put it into its mailbox."""
        app = described(job.app)
        try:
            await self._tools.runtime.prepare(app.image or "", fresh=False)
        except ImageMissing as error:
            await self._fail(job, error.message)
            return
        now = self._tools.clock.now()
        message = Message("application/json", f'{{"job": "{job.id}"}}', None)
        execution_id = new_execution_id()

        def put(tx: Transaction) -> ActorId | None:
            actor = ensure_actor(tx, job.tenant, app, self._tools.actor_owner, now, keep_image=True)
            known: dict[str, Any] = {"actor_id": actor.id, "execution_id": execution_id, "submitted_ms": to_ms(now)}
            if not self._moved(tx, job, BatchStatus.QUEUED, now, **known):
                return None
            if actor.status is ActorStatus.ERROR:  # of an image that was missing, and is here now
                actors.set_status(tx, actor.id, ActorStatus.SUBMITTED, "")
            enqueue(tx, actor, job.owner, message, now, execution_id)
            return actor.id

        actor_id = await asyncio.shield(self._enqueued(put))
        if actor_id is not None:
            _log.info("batch_job_moved", job=job.id, status=BatchStatus.QUEUED, execution=execution_id)
            await self._tools.notifications.wake(job.id)

    async def _enqueued(self, put: Callable[[Transaction], ActorId | None]) -> ActorId | None:
        """Nobody may end this between the commit and the bell."""
        actor_id = await self._tools.database.write(put)
        if actor_id is not None:
            self._tools.mailboxes.ring(actor_id)
        return actor_id

    async def _queued(self, job: BatchJob) -> None:
        actor_id = job.actor_id
        actor = await self._tools.database.read(lambda tx: actors.find(tx, actor_id) if actor_id else None)
        if actor is None or actor.status is ActorStatus.ERROR:  # its image is gone since it was made ready
            await self._halted(job)
            await self._fail(job, actor.status_message if actor else "The app was removed.")
            return
        execution = await self._news_of(job, lambda found: found.status is not ExecutionStatus.SUBMITTED)
        if execution is None:
            return
        if execution.start_time is None:
            await self._fail(job, _reason(execution))
        else:
            started = to_ms(execution.start_time)
            await self._move(job, BatchStatus.RUNNING, started_ms=started)

    async def _running(self, job: BatchJob) -> None:
        execution = await self._news_of(job, lambda found: found.status.ended)
        if execution is None:
            return
        problem = _problem(job, execution)
        ended = to_ms(execution.finish_time or self._tools.clock.now())
        if problem:
            await self._fail(job, problem, ended_ms=ended)
        else:
            await self._move(job, BatchStatus.CLEANING_UP, ended_ms=ended)

    async def _archive(self, job: BatchJob) -> None:
        async with self._tools.copies:
            try:
                files = await asyncio.to_thread(self._tools.work.archive, job, lambda: self._wanted)
            except (AbacoError, OSError) as error:
                _require_room(error)
                await self._fail(job, f"The outputs could not be archived: {_said(error)}")
            else:
                _log.info("batch_job_archived", job=job.id, files=files)
                await self._move(job, BatchStatus.ARCHIVING_FINISHED)

    async def _stopped(self, job: BatchJob) -> None:
        """End the job, once its execution has ended."""
        if job.status in _RUNS and job.execution_id:
            with self._tools.news.of(job.execution_id) as watch:
                watch.clear()
                if not await self._halted(job):
                    await watch.wait()
                    return
        await self._remove_work()
        await self._move(job, BatchStatus.STOPPED, ended_ms=to_ms(self._tools.clock.now()))

    async def _halted(self, job: BatchJob) -> bool:
        """Ask the job's execution to end; whether it has."""
        if job.actor_id and job.execution_id:
            with suppress(NotRunning, ExecutionNotFound):
                await self._tools.executions.halt(job.actor_id, job.execution_id)
        execution = await self._execution(job)
        return execution is None or execution.status.ended

    # --- parts of them ----------------------------------------------------------------------------------------------

    async def _news_of(self, job: BatchJob, suffices: Callable[[Execution], bool]) -> Execution | None:
        """The job's execution if it suffices; else None, after there has been news of it or of the job."""
        with self._tools.news.of(job.execution_id or ExecutionId("")) as watch:
            watch.clear()
            execution = await self._execution(job)
            if execution is None:
                await self._fail(job, "The execution of the job is not there any more.")
            elif suffices(execution):
                return execution
            elif not await self._is_stopping():
                await watch.wait()
        return None

    async def _execution(self, job: BatchJob) -> Execution | None:
        execution_id = job.execution_id
        return await self._tools.database.read(lambda tx: executions.find(tx, execution_id) if execution_id else None)

    async def _fail(self, job: BatchJob, reason: str, **changes: Any) -> None:
        await self._remove_work()
        failed = BatchStatus.ARCHIVING_FAILED if job.status is BatchStatus.ARCHIVING else BatchStatus.FAILED
        changes.setdefault("ended_ms", to_ms(self._tools.clock.now()))
        await self._move(job, failed, reason, error=reason, **changes)

    async def _remove_work(self) -> None:
        try:
            await asyncio.to_thread(self._tools.work.remove, self._id)
        except OSError as error:
            # Files of another user, for instance; the sweep tries again.
            _log.warning("work_not_removed", job=self._id, error=error.strerror)

    async def _move(self, job: BatchJob, status: BatchStatus, description: str | None = None, **changes: Any) -> None:
        now = self._tools.clock.now()
        moved = await self._tools.database.write(lambda tx: self._moved(tx, job, status, now, description, **changes))
        if moved:
            _log.info("batch_job_moved", job=job.id, status=status, reason=description)
            await self._tools.notifications.wake(job.id)

    def _moved(
        self,
        tx: Transaction,
        job: BatchJob,
        status: BatchStatus,
        now: datetime,
        description: str | None = None,
        **changes: Any,
    ) -> bool:
        if not batch_jobs.move(tx, job, status, now, description or DESCRIPTIONS[status], **changes):
            return False
        self._tools.notifications.note(tx, batch_jobs.get(tx, job.tenant, job.id), now)
        return True


class _NoRoom(Exception):
    """A disk is full; once there is room, what was to be written can be."""


def _require_room(error: Exception) -> None:
    """Raise `_NoRoom` if the trouble is a disk that is full."""
    if isinstance(error, OSError) and error.errno in _FULL:
        raise _NoRoom(error.strerror) from error


def _said(error: Exception) -> str:
    """What went wrong, without paths of this machine."""
    return error.message if isinstance(error, AbacoError) else f"{getattr(error, 'strerror', None) or error}."


def _reason(execution: Execution) -> str:
    state: Mapping[str, Any] = execution.final_state or {}
    return str(state.get("reason") or "The app could not be run.")


def _problem(job: BatchJob, execution: Execution) -> str | None:
    """Why the run counts as failed, None if it does not."""
    if execution.status is ExecutionStatus.ERROR:
        return _reason(execution)
    state: Mapping[str, Any] = execution.final_state or {}
    if job.run_seconds is not None and _seconds(state) >= job.run_seconds:
        return f"The app was stopped after its maxRunTime of {job.run_seconds} s."
    if state.get("OOMKilled"):
        return "The app ran out of memory."
    if execution.exit_code:
        return f"The app ended with exit code {execution.exit_code}."
    return None


def _seconds(state: Mapping[str, Any]) -> float:
    """How long the container ran, in seconds, as the engine saw it."""
    try:
        began, ended = (datetime.fromisoformat(_cut(str(state[name]))) for name in ("StartedAt", "FinishedAt"))
        return (ended - began).total_seconds()
    except (KeyError, ValueError, TypeError):
        return 0.0


def _cut(text: str) -> str:
    """An engine's time, of which Python reads no more than microseconds."""
    whole, dot, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return f"{whole}{dot}{digits[:6]}{rest[len(digits) :]}" if dot else text
