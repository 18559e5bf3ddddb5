"""Sets up pipeline jobs: from a request to a record in CREATED (spec/pipelinejobs 1.4, 1.6, 5, 8.1)."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

import structlog

from abacod.clock import Clock
from abacod.errors import AbacoError, InvalidField, PipelineNotFound
from abacod.ids import TenantId, Username
from abacod.services.pipelinejobs import linkage
from abacod.services.pipelinejobs.callbacks import Callbacks
from abacod.services.pipelinejobs.document_tokens import DocumentTokens
from abacod.services.pipelinejobs.storable import storable
from abacod.services.storage.systems import Place, Systems
from abacod.store import jobs, pipelines, updates
from abacod.store.database import Database, Transaction
from reactors.pipelinejobs.archive import archive_path, instance
from reactors.pipelinejobs.identifiers import Identifiers, Kind, is_typed
from reactors.pipelinejobs.linkage import used_files
from reactors.pipelinejobs.records import HistoryEntry, Job, merged
from reactors.pipelinejobs.sessions import session as fresh_session
from reactors.pipelinejobs.states import JobEvent, JobState
from reactors.ports import JobRequest, SetUp

# Sessions shorter than that get a fresh name, in characters.
_SHORTEST_SESSION: Final = 4
_LONGEST_APP: Final = 64
_APP: Final = re.compile(r"[a-zA-Z0-9_.-]+-(?:0|[1-9][0-9]*)[.0-9]+(u[0-9]+)?")
_BATCH_JOB: Final = "-007"
# How much of a wrong value an answer repeats, in characters.
_SHOWN: Final = 100

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Preview:
    """The job that a request describes; if it `exists`, as it is."""

    job: Job
    history: tuple[HistoryEntry, ...]
    exists: bool


class JobSetup:
    """Makes jobs, and says what they would be."""

    def __init__(
        self,
        database: Database,
        tokens: DocumentTokens,
        identifiers: Identifiers,
        systems: Systems,
        callbacks: Callbacks,
        clock: Clock,
        *,
        public_url: str,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._identifiers = identifiers
        self._systems = systems
        self._callbacks = callbacks
        self._clock = clock
        self._public_url = public_url

    async def set_up(
        self, tenant: TenantId, by: Username, request: JobRequest, execution_id: str | None = None
    ) -> SetUp:
        """The job that the request describes, made in CREATED if there is none; one that there is stays as it is.

        `execution_id` is the execution that asks, None over HTTP; asked again by the same one, `created` says the same.

        Raises:
            PipelineNotFound: there is no such pipeline.
            InvalidField: it is retired, or a field is wrong.
            RecordNotFound: the catalog has not all that the linkage names.
            PathRefused: the archive is on no storage system of this server, or its path leads out of it.
        """
        draft = await self._database.read(lambda tx: self._draft(tx, tenant, by, request))

        def make(tx: Transaction) -> SetUp:
            job = jobs.find(tx, tenant, draft.uuid)
            if job is None:
                job = draft
                _require_in_service(tx, tenant, job.pipeline_uuid)
                self._insert(tx, tenant, by, job, execution_id)
                created = True
            else:
                created = execution_id is not None and jobs.has_event(
                    tx, tenant, job.uuid, execution_id, JobEvent.CREATE
                )
            token = self._tokens.of(tenant, job.uuid, jobs.salt_of(tx, tenant, job.uuid))
            generation = jobs.count_events(tx, tenant, job.uuid, JobEvent.READY)
            return SetUp(job, token, self._callbacks.url(tx, tenant, job.uuid, token), created, generation)

        done = await self._database.write(make)
        if done.created:
            _log.info("job_created", job=done.job.uuid, pipeline=done.job.pipeline_uuid, tenant=tenant, by=by)
        if request.make_directory:
            await self._make_directory(done.job)
        return done

    async def preview(self, tenant: TenantId, by: Username, request: JobRequest) -> Preview:
        """What `set_up` would give; nothing is changed. Raises as it does."""

        def look(tx: Transaction) -> Preview:
            draft = self._draft(tx, tenant, by, request)
            job = jobs.find(tx, tenant, draft.uuid)
            if job is not None:
                return Preview(job, tuple(jobs.history(tx, tenant, job.uuid)), exists=True)
            _require_in_service(tx, tenant, draft.pipeline_uuid)
            return Preview(draft, (self._created(draft),), exists=False)

        return await self._database.read(look)

    # --- parts --------------------------------------------------------------------------------------------------

    def _draft(self, tx: Transaction, tenant: TenantId, by: Username, request: JobRequest) -> Job:
        """The job as it would be made now."""
        _require_pipeline(tx, tenant, request.pipeline_uuid)
        linked = linkage.resolve(tx, tenant, self._identifiers, request.linkage)
        at_construction = storable("data", request.data)
        data = storable("data", merged(at_construction, storable("setup_data", request.setup_data)))
        session = request.session if len(request.session) >= _SHORTEST_SESSION else fresh_session()
        now = self._clock.now()
        place = self._place(request, linked.path, at_construction, session, now)
        named = used_files(data, self._identifiers.default_system)
        used = linkage.find_used(tx, tenant, self._identifiers, [*named, *request.inputs])
        links = {
            "child_of": linked.child_of,
            "generated_by": (request.pipeline_uuid,),
            "acted_on": used.acted_on,
            "acted_using": used.acted_using,
        }
        agent = agent_url(self._public_url, request.agent)
        return Job(
            uuid=self._identifiers.job(request.pipeline_uuid, linked.identity, data),
            pipeline_uuid=request.pipeline_uuid,
            state=JobState.CREATED,
            last_event=JobEvent.CREATE,
            data=data,
            archive_system=place.system,
            archive_path=place.path,
            session=session,
            owner=by,
            created=now,
            updated=now,
            agent=agent,
            task=task_url(self._public_url, agent, request.task),
            archive_patterns=[storable("archive_patterns", each) for each in request.archive_patterns],
            product_patterns=[storable("product_patterns", each) for each in request.product_patterns],
            links={name: parents for name, parents in links.items() if parents},
        )

    def _place(
        self, request: JobRequest, linked: tuple[str, ...], data: dict[str, object], session: str, now: datetime
    ) -> Place:
        """Where the job's products go."""
        system = request.archive_system or self._identifiers.default_system
        if request.archive_path is not None:
            if not request.archive_path.startswith("/"):
                raise InvalidField(
                    f"archive_path: {request.archive_path[:_SHOWN]!r} is not absolute; begin with a slash."
                )
            return self._systems.place(system, request.archive_path)
        try:
            last = instance(session, now) if request.instanced else None
        except ValueError as error:
            raise InvalidField(f"session: {error}") from error
        return self._systems.place(
            system, archive_path(self._identifiers, request.pipeline_uuid, linked, data, instance=last)
        )

    def _insert(self, tx: Transaction, tenant: TenantId, by: Username, job: Job, execution_id: str | None) -> None:
        jobs.insert(tx, tenant, job, self._tokens.new_salt())
        jobs.add_event(tx, tenant, job.uuid, self._created(job), execution_id)
        changes = {"state": job.state, "pipeline_uuid": job.pipeline_uuid, "archive_path": job.archive_path}
        updates.append(tx, tenant, job.uuid, "create", by=by, now=job.created, changes=changes)

    def _created(self, job: Job) -> HistoryEntry:
        return HistoryEntry(self._identifiers.event(), JobEvent.CREATE, job.created, job.data)

    async def _make_directory(self, job: Job) -> None:
        try:
            await asyncio.to_thread(self._systems.make_directory, job.archive_system, job.archive_path)
        except (AbacoError, OSError) as error:
            _log.warning("archive_not_made", job=job.uuid, archive=job.archive_uri, error=str(error))


def agent_url(api: str, agent: str) -> str:
    """The URL of what manages a job: of an app if it is called like one, else of an actor; a URL stays as it is."""
    if not agent or _is_url(agent):
        return agent
    is_app = len(agent) <= _LONGEST_APP and _APP.fullmatch(agent) is not None
    return f"{api}/{'apps' if is_app else 'actors'}/v2/{_quoted(agent)}"


def task_url(api: str, agent: str, task: str) -> str:
    """The URL of the execution or batch job that manages a job; `agent` is the URL of who does."""
    if not task or _is_url(task):
        return task
    if task.endswith(_BATCH_JOB):
        return f"{api}/jobs/v2/{_quoted(task)}"
    return f"{agent}/executions/{_quoted(task)}" if agent else task


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _require_pipeline(tx: Transaction, tenant: TenantId, uuid: str) -> None:
    if not uuid:
        raise InvalidField('Parameter "pipeline_uuid" is required')
    if not is_typed(uuid, Kind.PIPELINE) or pipelines.find(tx, tenant, uuid) is None:
        raise PipelineNotFound(f"Failed to verify pipeline_uuid:{uuid[:_SHOWN]} exists in store pipeline")


def _require_in_service(tx: Transaction, tenant: TenantId, uuid: str) -> None:
    """Before a job is made: pipelines that are retired, or have been deleted meanwhile, get none."""
    _require_pipeline(tx, tenant, uuid)
    pipeline = pipelines.find(tx, tenant, uuid)
    if pipeline is not None and not pipeline.visible:
        raise InvalidField(f"Pipeline {uuid} is retired")
