"""What lists of jobs are narrowed by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shall show: those that have all of what is given here.

    `pipeline` is a pipeline's UUID or, for the use-case, its id. `child_of` are UUIDs of which they are linked to at least
    one. Times include `after`, and not `before`.
    """

    state: str | None = None
    pipeline_uuid: str | None = None
    pipeline: str | None = None
    child_of: tuple[str, ...] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
