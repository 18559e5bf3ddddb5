"""What the statuses of batch jobs mean for the job that they belong to (spec/pipelinejobs 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reactors.pipelinejobs.states import JobEvent

_RESOURCE: Final = (
    *("CREATED", "PENDING", "PROCESSING_INPUTS", "STAGING_INPUTS", "STAGED", "STAGING_JOB", "SUBMITTING", "QUEUED"),
    *("PAUSED", "BLOCKED", "ARCHIVING", "ARCHIVING_FINISHED", "CLEANING_UP", "PERMISSION_GRANT", "PERMISSION_REVOKE"),
)

EVENTS: Final[Mapping[str, JobEvent]] = {
    "RUNNING": JobEvent.RUN,
    "FINISHED": JobEvent.FINISH,
    **dict.fromkeys(("FAILED", "STOPPED", "DELETED", "ARCHIVING_FAILED", "KILLED", "CANCELLED"), JobEvent.FAIL),
    **dict.fromkeys(_RESOURCE, JobEvent.RESOURCE),
}
"""The event for each status; HEARTBEAT, UPDATED and what is not known here is an `update`."""


def event_of(status: str) -> JobEvent:
    """The event that a status, in whatever case, stands for."""
    return EVENTS.get(status.upper(), JobEvent.UPDATE)
