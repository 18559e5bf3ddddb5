"""Batch jobs of the engine on this machine: their statuses are those that Agave had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from abacod.ids import ActorId, ExecutionId, TenantId, Username


class BatchStatus(StrEnum):
    """Where a batch job stands."""

    PENDING = "PENDING"
    PROCESSING_INPUTS = "PROCESSING_INPUTS"
    STAGING_INPUTS = "STAGING_INPUTS"
    STAGED = "STAGED"
    SUBMITTING = "SUBMITTING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CLEANING_UP = "CLEANING_UP"
    ARCHIVING = "ARCHIVING"
    ARCHIVING_FINISHED = "ARCHIVING_FINISHED"
    ARCHIVING_FAILED = "ARCHIVING_FAILED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        return not TRANSITIONS[self]


_S = BatchStatus
_BROKEN: Final = frozenset({_S.FAILED, _S.STOPPED})

TRANSITIONS: Final[Mapping[BatchStatus, frozenset[BatchStatus]]] = {
    _S.PENDING: frozenset({_S.PROCESSING_INPUTS}) | _BROKEN,
    _S.PROCESSING_INPUTS: frozenset({_S.STAGING_INPUTS}) | _BROKEN,
    _S.STAGING_INPUTS: frozenset({_S.STAGED}) | _BROKEN,
    _S.STAGED: frozenset({_S.SUBMITTING}) | _BROKEN,
    _S.SUBMITTING: frozenset({_S.QUEUED}) | _BROKEN,
    # A short run may be over before anybody sees it run; RUNNING is told nevertheless.
    _S.QUEUED: frozenset({_S.RUNNING}) | _BROKEN,
    _S.RUNNING: frozenset({_S.CLEANING_UP}) | _BROKEN,
    _S.CLEANING_UP: frozenset({_S.ARCHIVING, _S.FINISHED}) | _BROKEN,
    _S.ARCHIVING: frozenset({_S.ARCHIVING_FINISHED, _S.ARCHIVING_FAILED, _S.STOPPED}),
    _S.ARCHIVING_FINISHED: frozenset({_S.FINISHED}),
    _S.ARCHIVING_FAILED: frozenset(),
    _S.FINISHED: frozenset(),
    _S.FAILED: frozenset(),
    _S.STOPPED: frozenset(),
}
"""What may follow each status."""

DESCRIPTIONS: Final[Mapping[BatchStatus, str]] = {
    _S.PENDING: "Job accepted and queued for submission.",
    _S.PROCESSING_INPUTS: "Identifying input files for staging.",
    _S.STAGING_INPUTS: "Copying inputs to the work directory.",
    _S.STAGED: "Job inputs staged to the work directory.",
    _S.SUBMITTING: "Preparing the app's image for execution.",
    _S.QUEUED: "Job waits for a worker.",
    _S.RUNNING: "Job started running.",
    _S.CLEANING_UP: "Job completed execution.",
    _S.ARCHIVING: "Archiving the job's output files.",
    _S.ARCHIVING_FINISHED: "Job archiving completed.",
    _S.ARCHIVING_FAILED: "The job's output files could not be archived.",
    _S.FINISHED: "Job complete.",
    _S.FAILED: "Job failed.",
    _S.STOPPED: "Job was stopped.",
}
"""What the history says of a status, where there is nothing more to say."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Where the outputs go."""

    system: str
    path: str


@dataclass(frozen=True, slots=True)
class Hook:
    """Who wants to be told of a status. `event` is one of the statuses, or `*`; one that is not `persistent` is told once.

    `site` is the part of the address that is no secret: scheme, host and port.
    """

    url: str
    site: str
    event: str
    persistent: bool


@dataclass(frozen=True, slots=True)
class BatchJob:
    """A batch job. `definition` is as it was sent, with defaults, without notifications; `app` is the app's description then.

    `inputs` are URIs, `parameters` values, both by name. `run_seconds` is the time limit. `error` says why it failed.
    `stopping` is set once somebody wants it to end.
    """

    id: str
    tenant: TenantId
    owner: Username
    app_id: str
    name: str
    status: BatchStatus
    definition: Mapping[str, Any]
    app: Mapping[str, Any]
    inputs: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, Any]
    archive: Archive | None
    run_seconds: int | None
    created: datetime
    updated: datetime
    key: str | None = None
    error: str | None = None
    stopping: bool = False
    actor_id: ActorId | None = None
    execution_id: ExecutionId | None = None
    submitted: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One status that a job had."""

    status: BatchStatus
    description: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification that waits for delivery. `sealed_url` is the address before its macros are replaced; `body` is JSON."""

    seq: int
    job_id: str
    site: str
    status: BatchStatus
    sealed_url: str
    body: str
    created: datetime
