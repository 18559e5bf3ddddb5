"""Pipeline jobs over HTTP: set up, show, send events, reset, cancel, delete (spec/pipelinejobs 8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, NotRequired, TypedDict, TypeVar, cast

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from abacod.api.body import read_fields
from abacod.api.calls import Call
from abacod.api.fields import Boolean, Integer, Objects, OneObject, Text, Texts, Time, validated
from abacod.api.reply import Replies
from abacod.errors import InvalidField
from abacod.models.job import JobFilter
from abacod.services.pipelinejobs.job_setup import JobSetup
from abacod.services.pipelinejobs.jobs import JobRecord, Jobs
from reactors.pipelinejobs import validation
from reactors.pipelinejobs.linkage import given_linkage
from reactors.pipelinejobs.records import HistoryEntry, Job, shown_event, shown_job
from reactors.pipelinejobs.states import JobState
from reactors.ports import JobRequest

_DEFAULT_LIMIT: Final = 100
_MAX_LIMIT: Final = 1000
_NONCE: Final = "x-nonce"

_Ids = Texts | None
_State = Annotated[JobState, BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)]
_LINKAGE_HELP: Final = "ids or UUIDs of the records that it is for."

M = TypeVar("M", bound=BaseModel)


class LinkageFields(BaseModel):
    """Records of the data catalog, by id or UUID; each a text or a list of texts."""

    experiment_design_id: _Ids = Field(None, description=f"Experiment designs: {_LINKAGE_HELP}")
    experiment_id: _Ids = Field(None, description=f"Experiments: {_LINKAGE_HELP}")
    sample_id: _Ids = Field(None, description=f"Samples: {_LINKAGE_HELP}")
    measurement_id: _Ids = Field(None, description=f"Measurements: {_LINKAGE_HELP}")

    def given(self) -> dict[str, tuple[str, ...]]:
        """The ids by their keys.

        Raises:
            InvalidField: a value is no id of what its key is for.
        """
        try:
            return given_linkage(self.model_dump())
        except ValueError as error:
            raise InvalidField(str(error)) from error


class NewJob(LinkageFields):
    """What a job is made of."""

    pipeline_uuid: Text = Field("", description="UUID of the pipeline.")
    data: OneObject = Field({}, description="The job's parameters; they decide its archive path.")
    setup_data: OneObject = Field({}, description="Merged over `data`; together they decide the job's UUID.")
    inputs: Texts = Field((), description="Further files that the job reads, as texts.")
    archive_system: Text | None = Field(
        None, description="Storage system of the archive; the default one if not given."
    )
    archive_path: Text | None = Field(None, description="Absolute path of the archive; generated if not given.")
    archive_patterns: Objects = Field(
        (), description="What to index when the job is finished: index requests or patterns."
    )
    product_patterns: Objects = Field((), description="Index requests with `derived_from`.")
    instanced: Boolean = Field(False, description="Whether the generated path gets a directory for this run alone.")
    setup_archive_path: Boolean = Field(True, description="Whether the archive directory is made.")
    session: Text = Field("", description="Name of the session; a fresh one if it has fewer than 4 characters.")
    agent: Text = Field("", description="What manages the job: the id of an actor or app, or a URL.")
    task: Text = Field("", description="Its execution or batch job: an id or a URL.")


class JobEventFields(BaseModel):
    """An event of a job."""

    name: Text = Field(description="The name of the event, such as `run`.")
    data: OneObject | None = Field(None, description="What is kept of it in the history, an object.")
    token: Text = Field(description="The job's update token, or an administrative one.")


class ResetFields(BaseModel):
    """A reset."""

    token: Text = Field(description="An administrative token.")
    no_clear_path: Boolean = Field(False, description="Whether the archive directory is left as it is.")
    data: OneObject | None = Field(None, description="What is kept of it in the history, an object.")


class TokenFields(BaseModel):
    """What allows it."""

    token: Text = Field(description="A token, as the address says which.")


class JobQuery(LinkageFields):
    """Which jobs are listed."""

    model_config = ConfigDict(extra="forbid")

    state: _State | None = Field(None, description="Only those in this state.")
    pipeline_uuid: Text | None = Field(None, description="Only those of this pipeline.")
    pipeline: Text | None = Field(None, description="Only those of the pipeline with this UUID or id.")
    child_of: Text | None = Field(None, description="Only those linked to this UUID.")
    created_after: Time | None = Field(None, description="Only those created at this time or later.")
    created_before: Time | None = Field(None, description="Only those created before this time.")
    updated_after: Time | None = Field(None, description="Only those whose last event came at this time or later.")
    updated_before: Time | None = Field(None, description="Only those whose last event came before this time.")
    limit: Integer = Field(_DEFAULT_LIMIT, ge=1, le=_MAX_LIMIT, description="Most jobs in the answer.")
    after: Text | None = Field(None, description="The UUID of the last job of the page before.")


class HistoryQuery(BaseModel):
    """Which part of a history is listed."""

    model_config = ConfigDict(extra="forbid")

    limit: Integer = Field(_DEFAULT_LIMIT, ge=1, le=_MAX_LIMIT, description="Most events in the answer.")
    after: Text | None = Field(None, description="The UUID of the last event of the page before.")


class JobEventShown(TypedDict):
    """An event in a job's history."""

    uuid: str
    name: str
    date: str
    data: dict[str, Any] | None


class JobListed(TypedDict):
    """A job without its history."""

    uuid: str
    pipeline_uuid: str
    state: JobState
    last_event: str
    updated: str
    data: dict[str, Any]
    session: str
    agent: str
    task: str
    archive_system: str
    archive_path: str
    archive_patterns: list[dict[str, Any]]
    product_patterns: list[dict[str, Any]]
    child_of: NotRequired[list[str]]
    generated_by: NotRequired[list[str]]
    acted_on: NotRequired[list[str]]
    acted_using: NotRequired[list[str]]
    derived_from: NotRequired[list[str]]
    derived_using: NotRequired[list[str]]


class JobShown(JobListed):
    """A job."""

    history: list[JobEventShown]


class JobPreview(TypedDict):
    """What a request would make."""

    job: JobShown
    exists: Annotated[bool, Field(description="Whether there is such a job; it is shown as it is.")]


class JobSetUp(TypedDict):
    """A job that is there."""

    job: JobShown
    token: Annotated[str, Field(description="Its update token; empty for a job that somebody else has set up.")]
    callback: Annotated[
        str, Field(description="Where its events may be posted without further credentials; empty as the token is.")
    ]
    created: Annotated[bool, Field(description="Whether it was not there before.")]


class JobChanged(TypedDict):
    """A job after an event."""

    job: JobShown
    token: Annotated[str, Field(description="Its update token.")]


class JobsApi:
    """Handlers for jobs. The caller's level is that on the Jobs Manager."""

    def __init__(self, jobs: Jobs, setup: JobSetup, replies: Replies, *, max_text_bytes: int) -> None:
        self._jobs = jobs
        self._setup = setup
        self._replies = replies
        self._max_text_bytes = max_text_bytes

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /v3/jobs: List jobs, newest first, page by page."""
        query = validated(JobQuery, _queried(call, linkage=True), "list")
        wanted = JobFilter(
            state=query.state,
            pipeline_uuid=query.pipeline_uuid,
            pipeline=query.pipeline,
            child_of=None if query.child_of is None else (query.child_of,),
            created_after=query.created_after,
            created_before=query.created_before,
            updated_after=query.updated_after,
            updated_before=query.updated_before,
        )
        tenant = call.caller.tenant
        found = await self._jobs.listed(tenant, wanted, query.given(), after=query.after, limit=query.limit)
        return await self._replies.long([_listed(job) for job in found], "Jobs retrieved successfully.")

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /v3/jobs/{job}: Show a job with its history."""
        found = await self._jobs.record(call.caller.tenant, call.parameters["job"])
        return await self._replies.long(_shown(found.job, found.history), "Job retrieved successfully.")

    async def history(self, call: Call) -> web.StreamResponse:
        """GET /v3/jobs/{job}/history: List the events of a job, oldest first, page by page."""
        query = validated(HistoryQuery, _queried(call), "list")
        tenant, job = call.caller.tenant, call.parameters["job"]
        found = await self._jobs.history(tenant, job, after=query.after, limit=query.limit)
        return await self._replies.long([shown_event(entry) for entry in found], "History retrieved successfully.")

    async def preview(self, call: Call) -> web.StreamResponse:
        """POST /v3/jobs/preview: Show the job that a request would make, without making it."""
        request = _request(await self._fields(call, NewJob, "job"))
        found = await self._setup.preview(call.caller.tenant, call.caller.username, request)
        result: JobPreview = {"job": _shown(found.job, found.history), "exists": found.exists}
        return await self._replies.long(result, "Job previewed successfully.")

    async def create(self, call: Call) -> web.StreamResponse:
        """POST /v3/jobs: Set up a job; one that there is already is given as it is, with 200."""
        request = _request(await self._fields(call, NewJob, "job"))
        tenant = call.caller.tenant
        done = await self._setup.set_up(tenant, call.caller.username, request)
        found = await self._jobs.record(tenant, done.job.uuid)
        # What a request must say to find a job of somebody else is no secret. Nor does an administrator who gives a nonce
        # of the Manager away give the jobs of all others with it.
        own = done.job.owner == call.caller.username or (call.caller.is_admin and not call.caller.by_nonce)
        result: JobSetUp = {
            "job": _shown(found.job, found.history),
            "token": done.token if own else "",
            "callback": done.callback if own else "",
            "created": done.created,
        }
        if done.created:
            return self._replies.created(call, result, "Job created successfully.")
        return await self._replies.long(result, "The job exists already.")

    async def send_event(self, call: Call) -> web.StreamResponse:
        """POST /v3/jobs/{job}/events: Bring an event to a job."""
        given = await self._fields(call, JobEventFields, "event")
        tenant, job = call.caller.tenant, call.parameters["job"]
        handled = await self._jobs.handle(tenant, call.caller.username, job, given.name, given.token, given.data)
        late = "The event came too late, and was passed over."
        return await self._changed(
            await self._jobs.record(tenant, job), late if handled.late else "Event processed successfully."
        )

    async def reset(self, call: Call) -> web.StreamResponse:
        """POST /v3/jobs/{job}/reset: Make a job ready to run again, and empty its archive directory."""
        given = await self._fields(call, ResetFields, "reset")
        tenant, job = call.caller.tenant, call.parameters["job"]
        record = await self._jobs.reset(
            tenant, call.caller.username, job, given.token, given.data, no_clear_path=given.no_clear_path
        )
        return await self._changed(record, "Job reset successfully.")

    async def cancel(self, call: Call) -> web.StreamResponse:
        """POST /v3/jobs/{job}/cancel: Delete a job to which nothing has happened yet."""
        given = await self._fields(call, TokenFields, "cancellation")
        await self._jobs.cancel(call.caller.tenant, call.caller.username, call.parameters["job"], given.token)
        return self._replies.ok(call, None, "Job cancelled successfully.")

    async def delete(self, call: Call) -> web.StreamResponse:
        """DELETE /v3/jobs/{job}: Delete a job with its history; its files stay. Needs an administrative token."""
        given = await self._fields(call, TokenFields, "deletion")
        await self._jobs.delete(call.caller.tenant, call.caller.username, call.parameters["job"], given.token)
        return self._replies.ok(call, None, "Job deleted successfully.")

    # --- parts --------------------------------------------------------------------------------------------------

    async def _fields(self, call: Call, model: type[M], kind: str) -> M:
        return validated(model, await read_fields(call.request, call.query, self._max_text_bytes), kind)

    async def _changed(self, record: JobRecord, message: str) -> web.StreamResponse:
        result: JobChanged = {"job": _shown(record.job, record.history), "token": record.token}
        return await self._replies.long(result, message)


def _queried(call: Call, *, linkage: bool = False) -> dict[str, Any]:
    """The parameters of a query; only linkage keys may come several times.

    Raises:
        InvalidField: another one does. Whichever counted, the answer would be to less than what was asked.
    """
    given: dict[str, Any] = {}
    for name, value in call.query:
        if name == _NONCE:
            continue
        if linkage and name in LinkageFields.model_fields:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise InvalidField(f"{name[:100]}: it stands in the query more than once; give it once.")
        else:
            given[name] = value
    return given


def _request(given: NewJob) -> JobRequest:
    return JobRequest(
        pipeline_uuid=given.pipeline_uuid,
        data=given.data,
        setup_data=given.setup_data,
        linkage=given.given(),
        inputs=given.inputs,
        archive_system=given.archive_system,
        archive_path=given.archive_path,
        archive_patterns=_patterns("archive_patterns", "index_request_archive", given.archive_patterns),
        product_patterns=_patterns("product_patterns", "index_request_product", given.product_patterns),
        instanced=given.instanced,
        make_directory=given.setup_archive_path,
        session=given.session,
        agent=given.agent,
        task=given.task,
    )


def _patterns(field: str, schema: str, given: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Index requests; bare patterns among them become one at the default level."""
    bare = [each for each in given if isinstance(each, str)]
    requests = [each for each in given if not isinstance(each, str)]
    if bare and schema == "index_request_archive":
        requests.append({"level": "1", "patterns": bare})
    elif bare:
        raise InvalidField(f"{field}: give objects with `patterns` and `derived_from`, not texts.")
    for each in requests:
        if why := validation.violation(schema, each):
            raise InvalidField(f"{field}: {why}")
    return requests


def _listed(job: Job) -> JobListed:
    shown = shown_job(job, ())
    del shown["history"]
    return cast("JobListed", shown)


def _shown(job: Job, history: Iterable[HistoryEntry]) -> JobShown:
    return cast("JobShown", shown_job(job, tuple(history)))
