"""The engine on this machine: an app's job is an execution of the app's hidden actor, with files around it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog

from abacod.errors import AppNotFound, BatchJobRefused, NotPermitted, PathRefused, StorageUnavailable
from abacod.ids import TenantId, Username
from abacod.models.app import App
from abacod.models.batch_job import DESCRIPTIONS, Archive, BatchJob, BatchStatus, HistoryEntry
from abacod.models.user import Caller
from abacod.services.batch import apps
from abacod.services.batch.definition import Wanted, checked
from abacod.services.batch.description import described
from abacod.services.batch.document import app_document
from abacod.services.batch.driver import Driver, DriverTools
from abacod.services.batch.engine import Submitted
from abacod.services.storage.systems import Systems
from abacod.store import batch_jobs
from abacod.store.database import Transaction

_STORAGE_PAUSE: Final = 1.0

_log = structlog.get_logger()


def new_job_id() -> str:
    """A fresh id in Agave's form, which ends in the type of what it names (spec/pipelinejobs 1.2)."""
    return f"{secrets.randbits(63)}-{secrets.token_hex(4)}-0001-007"


@dataclass(frozen=True, slots=True)
class Places:
    """Where jobs and files are: URLs without a slash at their end."""

    systems: Systems
    default_system: str
    public_url: str


class LocalEngine:
    """A `BatchEngine`, with the use-cases of its jobs. `run` is the task in which its drivers live."""

    def __init__(self, tools: DriverTools, places: Places) -> None:
        self._tools = tools
        self._database = tools.database
        self._places = places
        self._drivers: dict[str, tuple[Driver, asyncio.Task[None]]] = {}
        self._woken: set[str] = set()
        self._group: asyncio.TaskGroup | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._draining = False

    # --- what every engine can do ---------------------------------------------------------------------------------

    async def app(self, tenant: TenantId, app_id: str) -> Mapping[str, Any]:
        """See `BatchEngine.app`."""
        app = await self._database.read(partial(_public_app, tenant=tenant, app_id=app_id))
        return app_document(app, self._places.public_url)

    async def submit(self, tenant: TenantId, username: Username, definition: Mapping[str, Any], key: str) -> Submitted:
        """See `BatchEngine.submit`."""
        job = await self.accept(tenant, username, definition, key)
        return Submitted(job.id, f"{self._places.public_url}/jobs/v2/{job.id}")

    # --- the use-cases of jobs --------------------------------------------------------------------------------------

    async def accept(
        self, tenant: TenantId, username: Username, definition: Mapping[str, Any], key: str | None = None
    ) -> BatchJob:
        """Accept a job; it is on disk when this returns.

        Raises:
            BatchJobRefused: the definition does not fit the app, or there is no such app.
        """
        known = await self._database.read(lambda tx: batch_jobs.of_key(tx, tenant, key) if key else None)
        if known is not None:
            return known
        app_id = definition.get("appId") or definition.get("softwareName")
        if not isinstance(app_id, str):
            raise BatchJobRefused("Invalid job definition: appId: name the app to run.")
        try:
            app = await self._database.read(partial(apps.runnable, tenant=tenant, username=username, app_id=app_id))
        except AppNotFound as error:
            raise BatchJobRefused(f"Invalid job definition: appId: {error.message} GET /apps/v2 lists them.") from error
        # Regular expressions of the app's author may take their time.
        wanted = await asyncio.to_thread(self._fitted, definition, app.document)
        job = self._new_job(tenant, username, app_id, app.document, wanted, key)
        return await asyncio.shield(self._recorded(job, wanted))

    async def get(self, caller: Caller, job_id: str) -> BatchJob:
        """A job of the caller's, or for an administrator any of the tenant.

        Raises:
            BatchJobNotFound: there is none.
            NotPermitted: it is somebody else's.
        """
        job = await self._database.read(partial(batch_jobs.get, tenant=caller.tenant, job_id=job_id))
        if job.owner != caller.username and not caller.is_admin:
            raise NotPermitted("Not authorized -- you do not have access to this job.")
        return job

    async def listed(self, caller: Caller, limit: int, offset: int) -> list[BatchJob]:
        """A page of the caller's own jobs, newest first."""
        return await self._database.read(
            lambda tx: batch_jobs.of_owner(tx, caller.tenant, caller.username, limit, offset)
        )

    async def history(self, caller: Caller, job_id: str) -> list[HistoryEntry]:
        """All statuses that the job had. Raises as `get`."""
        await self.get(caller, job_id)
        return await self._database.read(partial(batch_jobs.history, job_id=job_id))

    async def log(self, caller: Caller, job_id: str) -> str:
        """What the job's container printed; empty before it runs. Raises as `get`."""
        job = await self.get(caller, job_id)
        if job.actor_id is None or job.execution_id is None:
            return ""
        return await self._tools.executions.log(job.actor_id, job.execution_id)

    async def stop(self, caller: Caller, job_id: str) -> BatchJob:
        """End a job; one that has ended stays as it is. Returns before it has ended. Raises as `get`."""
        job = await self.get(caller, job_id)
        await asyncio.shield(self._told_to_stop(job))
        return await self.get(caller, job_id)

    # --- its life -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Drive what an earlier daemon left and whatever comes."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for job_id in {*await self._left(), *self._woken}:
                    self._drive(job_id)
                await asyncio.Event().wait()
        finally:
            self._group = None

    async def drain(self) -> None:
        """Begin nothing more, and break off what is being copied; the next start begins it anew."""
        self._draining = True
        for driver, _ in self._drivers.values():
            driver.stop()

    async def sweep(self) -> None:
        """Remove work directories of jobs that have ended, or that there are not; look again at those that run."""
        for job_id in await asyncio.to_thread(self._tools.work.all):
            job = await self._database.read(partial(batch_jobs.find, job_id=job_id))
            if (job is None or job.status.ended) and job_id not in self._drivers:
                try:
                    await asyncio.to_thread(self._tools.work.remove, job_id)
                except OSError as error:
                    _log.warning("work_not_removed", job=job_id, error=error.strerror)
        for job_id in list(self._drivers):
            job = await self._database.read(partial(batch_jobs.find, job_id=job_id))
            if job is not None and job.execution_id is not None:
                self._tools.news.tell(job.execution_id)

    def spawn(self, errand: Coroutine[Any, Any, None], name: str) -> None:
        """Run an errand of a driver's beside it."""
        if self._group is None:
            errand.close()  # the daemon ends; the next one begins anew
            return
        self._errands.add(task := self._group.create_task(errand, name=name))
        task.add_done_callback(self._errands.discard)

    async def _left(self) -> list[str]:
        while True:
            try:
                return await self._database.read(batch_jobs.live)
            except StorageUnavailable as error:
                _log.error("batch_jobs_unreadable", error=error.message)
                await self._tools.clock.sleep(_STORAGE_PAUSE)

    def _drive(self, job_id: str) -> None:
        if self._group is None:
            self._woken.add(job_id)
        elif job_id not in self._drivers and not self._draining:
            driver = Driver(job_id, self._tools)
            task = self._group.create_task(driver.run(), name=f"batch-{job_id}")
            self._drivers[job_id] = driver, task
            task.add_done_callback(lambda _: self._drivers.pop(job_id, None))

    # --- parts of the use-cases -----------------------------------------------------------------------------------------

    def _fitted(self, definition: Mapping[str, Any], document: Mapping[str, Any]) -> Wanted:
        app = described(document)
        if app.image is None:
            raise BatchJobRefused(f"Invalid job definition: appId: the app {app.id} names no image to run here.")
        return checked(definition, app, self._places.systems.split)

    def _new_job(
        self,
        tenant: TenantId,
        username: Username,
        app_id: str,
        app: Mapping[str, Any],
        wanted: Wanted,
        key: str | None,
    ) -> BatchJob:
        now, job_id = self._tools.clock.now(), new_job_id()
        archive = None
        if wanted.archive:
            system = wanted.archive_system or self._places.default_system
            path = wanted.archive_path or f"/{username}/archive/jobs/job-{job_id}"
            try:
                place = self._places.systems.place(system, path)
            except PathRefused as error:
                raise BatchJobRefused(f"Invalid job definition: archivePath: {error.message}") from error
            if place.path == "/":
                raise BatchJobRefused("Invalid job definition: archivePath: name a directory in the storage system.")
            archive = Archive(place.system, place.path)
        return BatchJob(
            id=job_id,
            tenant=tenant,
            owner=username,
            app_id=app_id,
            name=wanted.name,
            status=BatchStatus.PENDING,
            definition=wanted.rest,
            app=app,
            inputs=wanted.inputs,
            parameters=wanted.parameters,
            archive=archive,
            run_seconds=wanted.run_seconds,
            created=now,
            updated=now,
            key=key,
        )

    async def _recorded(self, job: BatchJob, wanted: Wanted) -> BatchJob:
        notifications = self._tools.notifications

        def record(tx: Transaction) -> BatchJob:
            earlier = batch_jobs.of_key(tx, job.tenant, job.key) if job.key else None
            if earlier is not None:
                return earlier
            batch_jobs.insert(tx, job)
            batch_jobs.note(tx, job.id, HistoryEntry(job.status, DESCRIPTIONS[job.status], job.created))
            notifications.note_hooks(tx, job.id, wanted.hooks)
            notifications.note(tx, job, job.created)
            return job

        accepted = await self._database.write(record)
        if accepted.id == job.id:
            _log.info("batch_job_accepted", job=job.id, app=job.app_id, tenant=job.tenant, by=job.owner)
            self._drive(job.id)
            await notifications.wake(job.id)
        return accepted

    async def _told_to_stop(self, job: BatchJob) -> None:
        if await self._database.write(partial(batch_jobs.stop, job_id=job.id)):
            _log.info("batch_job_stopping", job=job.id)
            if job.id in self._drivers:
                self._drivers[job.id][0].stop()
            now = await self._database.read(partial(batch_jobs.find, job_id=job.id))
            if now is not None and now.execution_id is not None:
                self._tools.news.tell(now.execution_id)


def _public_app(tx: Transaction, tenant: TenantId, app_id: str) -> App:
    return apps.runnable(tx, tenant, Username(""), app_id)
