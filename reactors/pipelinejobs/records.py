"""Pipelines and jobs as records, and as people see them (spec/pipelinejobs 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from reactors.pipelinejobs.states import JobState

LINKS: Final = ("child_of", "derived_from", "derived_using", "generated_by", "acted_on", "acted_using")
"""How records are linked (spec/pipelinejobs 1.8); a link goes from the child to its parents."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A registered pipeline. `document` is what its author gave; a retired one is not `visible`."""

    uuid: str
    document: Mapping[str, Any]
    owner: str
    created: datetime
    modified: datetime
    visible: bool = True
    revision: int = 0

    @property
    def id(self) -> str | None:
        """Its readable id, such as that of an app."""
        return self.document.get("id")


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An event that came to a job."""

    uuid: str
    name: str
    date: datetime
    data: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Job:
    """A pipeline job. Its history is kept apart, for it grows.

    `agent` and `task` are URLs of who manages it; `archive_patterns` are the indexing requests it was made with (6.2);
    `links` are sorted UUIDs by the name of the link.
    """

    uuid: str
    pipeline_uuid: str
    state: JobState
    last_event: str
    data: Mapping[str, Any]
    archive_system: str
    archive_path: str
    session: str
    owner: str
    created: datetime
    updated: datetime
    agent: str = ""
    task: str = ""
    archive_patterns: Sequence[Mapping[str, Any]] = ()
    product_patterns: Sequence[Mapping[str, Any]] = ()
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    revision: int = 0

    @property
    def archive_uri(self) -> str:
        """Where its products are."""
        return f"agave://{self.archive_system}{self.archive_path}"


def date_text(moment: datetime) -> str:
    """A time as records show it: UTC, whole seconds, `2018-12-08T00:08:32.000+0000`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def shown_event(entry: HistoryEntry) -> dict[str, Any]:
    """An entry of the history as people see it."""
    return {"data": entry.data, "date": date_text(entry.date), "name": entry.name, "uuid": entry.uuid}


def shown_job(job: Job, history: Sequence[HistoryEntry]) -> dict[str, Any]:
    """The whole record as the documentation prints one (seeds: Job Life Cycle); nothing private is in it."""
    links = {name: list(parents) for name, parents in job.links.items() if parents}
    shown: dict[str, Any] = {
        "agent": job.agent,
        "archive_path": job.archive_path,
        "archive_patterns": list(job.archive_patterns),
        "archive_system": job.archive_system,
        "data": job.data,
        **links,
        "history": [shown_event(entry) for entry in history],
        "last_event": job.last_event,
        "pipeline_uuid": job.pipeline_uuid,
        "product_patterns": list(job.product_patterns),
        "session": job.session,
        "state": job.state,
        "task": job.task,
        "updated": date_text(job.updated),
        "uuid": job.uuid,
    }
    return dict(sorted(shown.items()))


def shown_pipeline(pipeline: Pipeline) -> dict[str, Any]:
    """A pipeline as people see it."""
    return dict(sorted({**pipeline.document, "uuid": pipeline.uuid}.items()))


def merged(left: Any, right: Any) -> Any:
    """`right` over `left`: objects merge at every depth, all else is replaced (spec/pipelinejobs 9.3)."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return {**left, **{key: merged(left.get(key), value) for key, value in right.items()}}
    return right
