"""Batch jobs over HTTP: submit, list, look at and stop them, as Agave's clients ask."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypedDict

from aiohttp import web
from pydantic import BaseModel, Field

from abacod.api.apps import read_object
from abacod.api.calls import Call
from abacod.api.fields import Integer, validated
from abacod.api.reply import Replies, envelope
from abacod.clock import isoformat
from abacod.errors import InvalidField
from abacod.models.batch_job import BatchJob, BatchStatus
from abacod.services.batch.document import job_document
from abacod.services.batch.local import LocalEngine

_Time = Annotated[str, Field(description="With an offset.")]
_MOST: Final = 250


class BatchJobPage(BaseModel):
    """Which of the jobs are shown."""

    limit: Integer = Field(100, ge=1, le=_MOST, description=f"Most jobs in the answer, 1 to {_MOST}.")
    offset: Integer = Field(0, ge=0, description="Jobs left out at the beginning, a whole number.")


class BatchJobShown(TypedDict):
    """A batch job."""

    id: str
    name: str
    owner: str
    tenantId: str
    appId: str
    executionSystem: str
    batchQueue: Any
    nodeCount: Any
    processorsPerNode: Any
    memoryPerNode: Any
    maxRunTime: str | None
    archive: bool
    archiveSystem: str
    archivePath: str
    outputPath: None
    status: BatchStatus
    lastStatusMessage: Annotated[str | None, Field(description="Why it failed.")]
    created: _Time
    lastUpdated: _Time
    submitTime: _Time | None
    startTime: _Time | None
    endTime: _Time | None
    inputs: dict[str, Any]
    parameters: dict[str, Any]
    _links: dict[str, Any]


class BatchHistoryLine(TypedDict):
    """A status that a job had."""

    status: BatchStatus
    description: str
    created: _Time


class BatchJobLog(TypedDict):
    """What a job's container printed."""

    logs: str


class BatchJobsApi:
    """Handlers for batch jobs."""

    def __init__(self, engine: LocalEngine, replies: Replies, *, max_text_bytes: int) -> None:
        self._engine = engine
        self._replies = replies
        self._max_text_bytes = max_text_bytes

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /jobs/v2: List the caller's batch jobs, newest first."""
        page = validated(BatchJobPage, dict(call.query), "query")
        jobs = await self._engine.listed(call.caller, page.limit, page.offset)
        return self._replies.as_is([self._shown(job) for job in jobs], "Jobs retrieved successfully.")

    async def submit(self, call: Call) -> web.StreamResponse:
        """POST /jobs/v2: Run an app."""
        definition = await read_object(call, self._max_text_bytes)
        job = await self._engine.accept(call.caller.tenant, call.caller.username, definition)
        return envelope(self._shown(job), "Job submitted successfully.", status=201)

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /jobs/v2/{batch_job}: Show a batch job."""
        job = await self._engine.get(call.caller, call.parameters["batch_job"])
        return self._replies.as_is(self._shown(job), "Job retrieved successfully.")

    async def history(self, call: Call) -> web.StreamResponse:
        """GET /jobs/v2/{batch_job}/history: List the statuses that a batch job had."""
        entries = await self._engine.history(call.caller, call.parameters["batch_job"])
        shown = [
            {
                "status": entry.status,
                "description": entry.description,
                "created": isoformat(entry.created).removesuffix("Z") + "+00:00",
            }
            for entry in entries
        ]
        return self._replies.as_is(shown, "Job history retrieved successfully.")

    async def logs(self, call: Call) -> web.StreamResponse:
        """GET /jobs/v2/{batch_job}/logs: Get what a batch job's container printed."""
        text = await self._engine.log(call.caller, call.parameters["batch_job"])
        return await self._replies.long({"logs": text}, "Logs retrieved successfully.")

    async def act(self, call: Call) -> web.StreamResponse:
        """POST /jobs/v2/{batch_job}: Stop a batch job, with `{"action": "stop"}`."""
        fields = await read_object(call, self._max_text_bytes)
        if fields.get("action") not in ("stop", "cancel", "kill"):
            raise InvalidField("Invalid job action: action: give stop.")
        return await self.stop(call)

    async def stop(self, call: Call) -> web.StreamResponse:
        """DELETE /jobs/v2/{batch_job}: Stop a batch job; what it had is kept."""
        job = await self._engine.stop(call.caller, call.parameters["batch_job"])
        return self._replies.as_is(self._shown(job), "Job is being stopped.")

    def _shown(self, job: BatchJob) -> dict[str, Any]:
        return job_document(job, self._replies.public_url)
