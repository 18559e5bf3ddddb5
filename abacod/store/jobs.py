"""Pipeline jobs and their history; what jobs are linked to stands with all other links."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from abacod.clock import from_ms, to_ms
from abacod.errors import JobNotFound
from abacod.ids import TenantId
from abacod.models.job import JobFilter
from abacod.store import links
from reactors.pipelinejobs.records import HistoryEntry, Job
from reactors.pipelinejobs.states import JobState

# What is fixed at creation and only shown, as one JSON text.
_FIXED: Final = (
    *("agent", "archive_path", "archive_patterns", "archive_system", "data", "product_patterns", "session", "task"),
)

_CHILD_OF_ANY: Final = """
uuid IN (SELECT child FROM json_each(?) AS wanted
         CROSS JOIN links ON links.tenant = jobs.tenant AND links.parent = wanted.value AND links.link = 'child_of')
"""


def insert(tx: sqlite3.Connection, tenant: TenantId, job: Job, salt: str) -> None:
    """Add a job without history, with its links; `salt` goes into its update token. The tenant has no such job yet."""
    tx.execute(
        """
        INSERT INTO jobs (tenant, uuid, pipeline_uuid, state, last_event, document, owner, salt, revision, created_ms, updated_ms)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            tenant,
            job.uuid,
            job.pipeline_uuid,
            job.state,
            job.last_event,
            json.dumps(_fixed(job)),
            job.owner,
            salt,
            job.revision,
            to_ms(job.created),
            to_ms(job.updated),
        ),
    )
    for link, parents in job.links.items():
        links.add(tx, tenant, job.uuid, link, parents)


def find(tx: sqlite3.Connection, tenant: TenantId, uuid: str) -> Job | None:
    """The job with its links, None if the tenant has none with this UUID."""
    row = tx.execute("SELECT * FROM jobs WHERE tenant = ? AND uuid = ?", (tenant, uuid)).fetchone()
    return _from_row(row, links.parents(tx, tenant, uuid)) if row else None


def salt_of(tx: sqlite3.Connection, tenant: TenantId, uuid: str) -> str:
    """What goes into the job's update token; there must be such a job."""
    return str(tx.execute("SELECT salt FROM jobs WHERE tenant = ? AND uuid = ?", (tenant, uuid)).fetchone()[0])


def add_event(
    tx: sqlite3.Connection, tenant: TenantId, uuid: str, entry: HistoryEntry, execution_id: str | None
) -> None:
    """Add an entry to a job's history; `execution_id` is what brought it, None if it came over HTTP."""
    tx.execute(
        "INSERT INTO job_events (tenant, job, uuid, name, date_ms, data, execution_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (tenant, uuid, entry.uuid, entry.name, to_ms(entry.date), json.dumps(entry.data), execution_id),
    )


def has_event(tx: sqlite3.Connection, tenant: TenantId, uuid: str, execution_id: str, name: str) -> bool:
    """Whether the execution has brought an event of this name to the job already."""
    row = tx.execute(
        "SELECT 1 FROM job_events WHERE tenant = ? AND job = ? AND execution_id = ? AND name = ?",
        (tenant, uuid, execution_id, name),
    ).fetchone()
    return row is not None


def advance(tx: sqlite3.Connection, tenant: TenantId, job: Job) -> None:
    """Store the state, last event and time of a job, as its next revision."""
    tx.execute(
        """
        UPDATE jobs SET state = ?, last_event = ?, updated_ms = ?, revision = revision + 1
        WHERE tenant = ? AND uuid = ?
        """,
        (job.state, job.last_event, to_ms(job.updated), tenant, job.uuid),
    )


def delete(tx: sqlite3.Connection, tenant: TenantId, uuid: str) -> None:
    """Remove a job with its history and links."""
    links.remove_all(tx, tenant, uuid)
    tx.execute("DELETE FROM jobs WHERE tenant = ? AND uuid = ?", (tenant, uuid))


def count_events(tx: sqlite3.Connection, tenant: TenantId, uuid: str, name: str | None = None) -> int:
    """How many entries a job's history has, of this name or all."""
    row = tx.execute(
        "SELECT count(*) FROM job_events WHERE tenant = ?1 AND job = ?2 AND (?3 IS NULL OR name = ?3)",
        (tenant, uuid, name),
    ).fetchone()
    return int(row[0])


def history(
    tx: sqlite3.Connection, tenant: TenantId, uuid: str, *, after: str | None = None, limit: int = -1
) -> list[HistoryEntry]:
    """A job's history, oldest first: at most `limit` entries, -1 for all, of those behind the entry with the UUID `after`.

    Raises:
        JobNotFound: the job has no such entry.
    """
    start = 0
    if after is not None:
        row = tx.execute(
            "SELECT seq FROM job_events WHERE tenant = ? AND job = ? AND uuid = ?", (tenant, uuid, after)
        ).fetchone()
        if row is None:
            raise JobNotFound(f"The job {uuid} has no event {after} to go on after.")
        start = row["seq"]
    rows = tx.execute(
        "SELECT * FROM job_events WHERE tenant = ? AND job = ? AND seq > ? ORDER BY seq LIMIT ?",
        (tenant, uuid, start, limit),
    )
    return [HistoryEntry(row["uuid"], row["name"], from_ms(row["date_ms"]), json.loads(row["data"])) for row in rows]


def listed(tx: sqlite3.Connection, tenant: TenantId, wanted: JobFilter, *, after: str | None, limit: int) -> list[Job]:
    """Jobs, newest first: at most `limit` of those that are older than the one with the UUID `after`.

    Raises:
        JobNotFound: the tenant has no such job.
    """
    start = None
    if after is not None:
        row = tx.execute("SELECT seq FROM jobs WHERE tenant = ? AND uuid = ?", (tenant, after)).fetchone()
        if row is None:
            raise JobNotFound(f"There is no job {after} to go on after.")
        start = row["seq"]
    conditions = (
        ("seq < ?", start),
        ("state = ?", wanted.state),
        ("pipeline_uuid = ?", wanted.pipeline_uuid),
        ("pipeline_uuid = ?", wanted.pipeline),
        ("created_ms >= ?", _ms(wanted.created_after)),
        ("created_ms < ?", _ms(wanted.created_before)),
        ("updated_ms >= ?", _ms(wanted.updated_after)),
        ("updated_ms < ?", _ms(wanted.updated_before)),
        (_CHILD_OF_ANY, None if wanted.child_of is None else json.dumps(wanted.child_of)),
    )
    given = [(condition, value) for condition, value in conditions if value is not None]
    where = " AND ".join(["tenant = ?", *(condition for condition, _ in given)])
    rows = tx.execute(
        f"SELECT * FROM jobs WHERE {where} ORDER BY seq DESC LIMIT ?",  # noqa: S608 - of the texts above
        (tenant, *(value for _, value in given), limit),
    ).fetchall()
    linked = links.parents_of(tx, tenant, [row["uuid"] for row in rows])
    return [_from_row(row, linked.get(row["uuid"], {})) for row in rows]


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def _fixed(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in _FIXED}


def _from_row(row: sqlite3.Row, linked: Mapping[str, tuple[str, ...]]) -> Job:
    return Job(
        uuid=row["uuid"],
        pipeline_uuid=row["pipeline_uuid"],
        state=JobState(row["state"]),
        last_event=row["last_event"],
        owner=row["owner"],
        created=from_ms(row["created_ms"]),
        updated=from_ms(row["updated_ms"]),
        links=linked,
        revision=row["revision"],
        **json.loads(row["document"]),
    )
