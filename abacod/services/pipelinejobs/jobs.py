"""Pipeline jobs: bring events to them, reset, cancel, delete and show them (spec/pipelinejobs 3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from abacod.clock import Clock
from abacod.errors import (
    AbacoError,
    ActorNotFound,
    EventRefused,
    IllegalTransition,
    JobNotFound,
    PipelineNotFound,
    TokenRefused,
    Unavailable,
)
from abacod.ids import ActorId, ExecutionId, TenantId, Username
from abacod.models.builtin import INDEXER
from abacod.models.job import JobFilter
from abacod.models.message import Message
from abacod.queue.mailboxes import Mailboxes
from abacod.services.enqueue import enqueue
from abacod.services.pipelinejobs import linkage
from abacod.services.pipelinejobs.document_tokens import DocumentTokens
from abacod.services.storage.systems import Systems
from abacod.store import actors, executions, jobs, pipelines, updates
from abacod.store.database import Database, Transaction, in_one_view
from reactors.pipelinejobs.identifiers import Identifiers, Kind, is_typed
from reactors.pipelinejobs.records import HistoryEntry, Job
from reactors.pipelinejobs.states import ADMINISTRATIVE, IllegalEvent, JobEvent, JobState, after, event_named
from reactors.pipelinejobs.tokens import may_be_token
from reactors.ports import Handled

# What the Indexer may bring without a token, once it has found out itself that whoever asks may.
_OF_INDEXER: Final = frozenset({JobEvent.INDEX, JobEvent.INDEXED, JobEvent.UPDATE})
# What whoever runs a job's work tells of it; it may arrive late, and is then of no use.
_NEWS: Final = frozenset({JobEvent.RESOURCE, JobEvent.UPDATE})
# Only what is below these is ever emptied (spec/pipelinejobs 3.5).
_EMPTIED: Final = ("/products/v2/", "/sample/tacc-cloud/")
_SHOWN: Final = 100

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job with all of its history, and its update token where the asker may have it."""

    job: Job
    history: tuple[HistoryEntry, ...]
    token: str = ""


class Jobs:
    """The use-cases of jobs that there are; `JobSetup` makes them."""

    def __init__(
        self,
        database: Database,
        mailboxes: Mailboxes,
        tokens: DocumentTokens,
        identifiers: Identifiers,
        systems: Systems,
        clock: Clock,
    ) -> None:
        self._database = database
        self._mailboxes = mailboxes
        self._tokens = tokens
        self._identifiers = identifiers
        self._systems = systems
        self._clock = clock

    async def handle(
        self,
        tenant: TenantId,
        by: Username,
        uuid: str,
        event: str,
        token: str | None,
        data: Mapping[str, Any] | None,
        execution_id: str | None = None,
    ) -> Handled:
        """Bring an event to a job (spec/pipelinejobs 3.4); a `finish` that really ends it asks the Indexer to index it.

        All in one transaction. Brought again by the same execution, the event changes nothing. `data` is `storable`; a field
        `token` of it that may be one is not kept. `token` None is for what the Indexer brings without one.

        Raises:
            JobNotFound: there is no such job.
            TokenRefused: the token does not allow the event.
            IllegalTransition: the execution is not running, or not any more.
            EventRefused: the event is none, is reserved, or may not come in the job's state.
        """
        rung: list[ActorId] = []

        def bring(tx: Transaction) -> Handled:
            if execution_id is not None and not executions.is_running(tx, ExecutionId(execution_id)):
                raise IllegalTransition(f"Execution {execution_id} is not running.")
            job = self._found(tx, tenant, uuid)
            named = _named(event)
            if execution_id is not None and jobs.has_event(tx, tenant, uuid, execution_id, named):
                return Handled(job, job.state)
            self._require(tx, tenant, job, named, token)
            try:
                state = after(job.state, named)
            except IllegalEvent as error:
                if named in _NEWS:
                    return Handled(job, job.state, late=True)
                raise EventRefused(str(error)) from error
            changed = self._apply(tx, tenant, by, job, named, state, _public(data), execution_id)
            unsent = ""
            if named is JobEvent.FINISH and job.state is not JobState.FINISHED:
                unsent = self._ask_for_indexing(tx, tenant, by, uuid, rung)
            return Handled(changed, job.state, unsent=unsent)

        def ring(_: object) -> None:
            for actor_id in rung:
                self._mailboxes.ring(actor_id)

        return await self._database.write(bring, after=ring)

    async def reset(
        self,
        tenant: TenantId,
        by: Username,
        uuid: str,
        token: str,
        data: Mapping[str, Any] | None = None,
        *,
        no_clear_path: bool = False,
    ) -> JobRecord:
        """Make a job ready to run again: RESET, its archive directory emptied, CREATED (spec/pipelinejobs 3.5).

        A directory elsewhere than below `/products/v2` or `/sample/tacc-cloud` is left as it is.

        Raises:
            JobNotFound: there is no such job.
            TokenRefused: the token is no administrative one.
            Unavailable: the directory could not be emptied; the job stays in RESET.
        """
        job = (await self.handle(tenant, by, uuid, JobEvent.RESET, token, data)).job
        if not no_clear_path and job.archive_path.startswith(_EMPTIED):
            try:
                await asyncio.to_thread(self._systems.empty_directory, job.archive_system, job.archive_path)
            except (AbacoError, OSError) as error:
                _log.error("archive_not_emptied", job=uuid, archive=job.archive_uri, error=str(error))
                raise Unavailable(
                    f"The directory {job.archive_uri} could not be emptied, and the job stays in RESET; see the server's log, "
                    "then reset it again."
                ) from error

        def make_ready(tx: Transaction) -> JobRecord:
            now = self._found(tx, tenant, uuid)
            # Somebody else may have done so meanwhile.
            if now.state is JobState.RESET:
                self._apply(tx, tenant, by, now, JobEvent.READY, JobState.CREATED, None, None)
            return self._record(tx, tenant, uuid)

        return await self._database.write(make_ready)

    async def cancel(self, tenant: TenantId, by: Username, uuid: str, token: str) -> None:
        """Delete a job to which nothing has happened yet.

        Raises:
            JobNotFound: there is no such job.
            TokenRefused: the token is not the job's, nor an administrative one.
            EventRefused: something has happened.
        """

        def remove(tx: Transaction) -> None:
            job = self._found(tx, tenant, uuid)
            self._tokens.require(tenant, uuid, jobs.salt_of(tx, tenant, uuid), token)
            if jobs.count_events(tx, tenant, uuid) > 1:
                raise EventRefused(f"{uuid} has had events since it was created; send it the event fail instead.")
            self._delete(tx, tenant, by, job)

        await self._database.write(remove)
        _log.info("job_cancelled", job=uuid, tenant=tenant, by=by)

    async def delete(self, tenant: TenantId, by: Username, uuid: str, token: str) -> None:
        """Delete a job with its history. Its files stay.

        Raises:
            JobNotFound: there is no such job.
            TokenRefused: the token is no administrative one.
        """

        def remove(tx: Transaction) -> None:
            job = self._found(tx, tenant, uuid)
            self._tokens.require_administrative(token)
            self._delete(tx, tenant, by, job)

        await self._database.write(remove)
        _log.info("job_deleted", job=uuid, tenant=tenant, by=by)

    async def get(self, tenant: TenantId, uuid: str) -> Job:
        """The job.

        Raises:
            JobNotFound: there is none.
        """
        return await self._database.read(lambda tx: self._found(tx, tenant, uuid))

    async def record(self, tenant: TenantId, uuid: str) -> JobRecord:
        """The job with all of its history and its update token, which is for those only who have changed the job.

        Raises:
            JobNotFound: there is none.
        """
        return await self._database.read(lambda tx: in_one_view(tx, lambda tx: self._record(tx, tenant, uuid)))

    async def history(self, tenant: TenantId, uuid: str, *, after: str | None, limit: int) -> Sequence[HistoryEntry]:
        """At most `limit` entries of a job's history, oldest first, of those behind the entry `after`.

        Raises:
            JobNotFound: there is no such job, or it has no such entry.
        """

        def look(tx: Transaction) -> Sequence[HistoryEntry]:
            self._found(tx, tenant, uuid)
            return jobs.history(tx, tenant, uuid, after=after, limit=limit)

        return await self._database.read(look)

    async def listed(
        self,
        tenant: TenantId,
        wanted: JobFilter,
        given: Mapping[str, Sequence[str]],
        *,
        after: str | None,
        limit: int,
    ) -> Sequence[Job]:
        """At most `limit` jobs, newest first, of those older than the job `after`.

        `given` are ids by linkage keys: jobs are meant that are linked to any of these records, or to a measurement below.

        Raises:
            JobNotFound: there is no job `after`.
            PipelineNotFound: no pipeline has the UUID or id that is wanted.
            InvalidField, RecordNotFound: as in `linkage.resolve`.
        """

        def look(tx: Transaction) -> Sequence[Job]:
            narrowed = wanted
            if wanted.pipeline is not None:
                narrowed = replace(wanted, pipeline=_pipeline(tx, tenant, wanted.pipeline))
            if given:
                found = linkage.resolve(tx, tenant, self._identifiers, given)
                linked = {*found.child_of, *found.identity}
                both = linked if wanted.child_of is None else linked & {*wanted.child_of}
                narrowed = replace(narrowed, child_of=tuple(sorted(both)))
            return jobs.listed(tx, tenant, narrowed, after=after, limit=limit)

        return await self._database.read(look)

    # --- parts --------------------------------------------------------------------------------------------------

    def _found(self, tx: Transaction, tenant: TenantId, uuid: str) -> Job:
        job = jobs.find(tx, tenant, uuid) if is_typed(uuid, Kind.PIPELINEJOB) else None
        if job is None:
            raise JobNotFound(f"{uuid[:_SHOWN]} is not a valid job ID")
        return job

    def _record(self, tx: Transaction, tenant: TenantId, uuid: str) -> JobRecord:
        job = self._found(tx, tenant, uuid)
        token = self._tokens.of(tenant, uuid, jobs.salt_of(tx, tenant, uuid))
        return JobRecord(job, tuple(jobs.history(tx, tenant, uuid)), token)

    def _require(self, tx: Transaction, tenant: TenantId, job: Job, event: JobEvent, token: str | None) -> None:
        if event is JobEvent.CREATE:
            raise EventRefused("create is reserved")
        if event in ADMINISTRATIVE:
            self._tokens.require_administrative(token)
        elif token is not None:
            self._tokens.require(tenant, job.uuid, jobs.salt_of(tx, tenant, job.uuid), token)
        elif event not in _OF_INDEXER:
            raise TokenRefused("token: this event needs the job's update token.")

    def _apply(
        self,
        tx: Transaction,
        tenant: TenantId,
        by: Username,
        job: Job,
        event: JobEvent,
        state: JobState,
        data: Mapping[str, Any] | None,
        execution_id: str | None,
    ) -> Job:
        now = max(self._clock.now(), job.updated)
        changed = replace(job, state=state, last_event=event, updated=now, revision=job.revision + 1)
        jobs.advance(tx, tenant, changed)
        jobs.add_event(tx, tenant, job.uuid, HistoryEntry(self._identifiers.event(), event, now, data), execution_id)
        changes = {"state": state, "last_event": event}
        updates.append(tx, tenant, job.uuid, "update", by=by, now=now, changes=changes)
        return changed

    def _ask_for_indexing(self, tx: Transaction, tenant: TenantId, by: Username, uuid: str, rung: list[ActorId]) -> str:
        """Put an index request into the Indexer's mailbox; why it could not be done, which does not undo the event."""
        token = self._tokens.of(tenant, uuid, jobs.salt_of(tx, tenant, uuid))
        request = {"name": JobEvent.INDEX.value, "uuid": uuid, "token": token}
        try:
            indexer = actors.builtin(tx, tenant, INDEXER)
            if indexer is None:
                raise ActorNotFound(f"The built-in reactor {INDEXER} is switched off here.")
            enqueue(tx, indexer, by, Message("application/json", json.dumps(request), request), self._clock.now())
        except AbacoError as error:
            _log.warning("indexing_not_requested", job=uuid, error=error.message)
            return error.message
        rung.append(indexer.id)
        return ""

    def _delete(self, tx: Transaction, tenant: TenantId, by: Username, job: Job) -> None:
        jobs.delete(tx, tenant, job.uuid)
        updates.append(tx, tenant, job.uuid, "delete", by=by, now=self._clock.now(), changes={"state": job.state})


def _pipeline(tx: Transaction, tenant: TenantId, named: str) -> str:
    """The UUID of the pipeline with this UUID or id."""
    found = pipelines.find(tx, tenant, named) or pipelines.find_id(tx, tenant, named)
    if found is None:
        raise PipelineNotFound(f"pipeline: there is none with the UUID or id {named[:_SHOWN]!a}; list them all.")
    return found.uuid


def _public(data: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What everybody may read of an event's data: a history has no tokens."""
    if data is None or not may_be_token(data.get("token")):
        return data
    return {name: value for name, value in data.items() if name != "token"}


def _named(event: str) -> JobEvent:
    try:
        return event_named(event[:_SHOWN])
    except IllegalEvent as error:
        raise EventRefused(str(error)) from error
