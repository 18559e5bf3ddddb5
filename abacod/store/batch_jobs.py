"""Batch jobs and their history."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from typing import Any

from abacod.clock import from_ms, to_ms
from abacod.errors import BatchJobNotFound
from abacod.ids import ActorId, ExecutionId, TenantId, Username
from abacod.models.batch_job import Archive, BatchJob, BatchStatus, HistoryEntry


def insert(tx: sqlite3.Connection, job: BatchJob) -> None:
    """Add a new job."""
    tx.execute(
        """
        INSERT INTO batch_jobs (id, tenant, owner, app_id, name, status, key, definition, app, inputs, parameters,
                                archive_system, archive_path, run_s, created_ms, updated_ms)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            job.id,
            job.tenant,
            job.owner,
            job.app_id,
            job.name,
            job.status,
            job.key,
            _json(job.definition),
            _json(job.app),
            _json(job.inputs),
            _json(job.parameters),
            job.archive and job.archive.system,
            job.archive and job.archive.path,
            job.run_seconds,
            to_ms(job.created),
            to_ms(job.updated),
        ),
    )


def get(tx: sqlite3.Connection, tenant: TenantId, job_id: str) -> BatchJob:
    """The job.

    Raises:
        BatchJobNotFound: the tenant has none with this id.
    """
    row = tx.execute("SELECT * FROM batch_jobs WHERE id = ? AND tenant = ?", (job_id, tenant)).fetchone()
    if row is None:
        raise BatchJobNotFound(f"There is no batch job {job_id}.")
    return _from_row(row)


def find(tx: sqlite3.Connection, job_id: str) -> BatchJob | None:
    """The job of any tenant, None if there is none."""
    row = tx.execute("SELECT * FROM batch_jobs WHERE id = ?", (job_id,)).fetchone()
    return _from_row(row) if row else None


def of_key(tx: sqlite3.Connection, tenant: TenantId, key: str) -> BatchJob | None:
    """The job that was submitted with this key."""
    row = tx.execute("SELECT * FROM batch_jobs WHERE tenant = ? AND key = ?", (tenant, key)).fetchone()
    return _from_row(row) if row else None


def of_execution(tx: sqlite3.Connection, execution_id: ExecutionId) -> BatchJob | None:
    """The job that this execution runs."""
    row = tx.execute("SELECT * FROM batch_jobs WHERE execution_id = ?", (execution_id,)).fetchone()
    return _from_row(row) if row else None


def of_owner(tx: sqlite3.Connection, tenant: TenantId, owner: Username, limit: int, offset: int) -> list[BatchJob]:
    """A page of the user's jobs, newest first."""
    rows = tx.execute(
        "SELECT * FROM batch_jobs WHERE tenant = ? AND owner = ? ORDER BY seq DESC LIMIT ? OFFSET ?",
        (tenant, owner, limit, offset),
    )
    return [_from_row(row) for row in rows]


def live(tx: sqlite3.Connection) -> list[str]:
    """The ids of all jobs of all tenants that have not ended, oldest first."""
    return [row["id"] for row in tx.execute("SELECT id FROM batch_jobs WHERE ended = 0 ORDER BY seq")]


def runs_app(tx: sqlite3.Connection, tenant: TenantId, app_id: str) -> bool:
    """Whether a job of the app has not ended."""
    row = tx.execute(
        "SELECT 1 FROM batch_jobs WHERE ended = 0 AND tenant = ? AND app_id = ? LIMIT 1", (tenant, app_id)
    ).fetchone()
    return row is not None


def move(
    tx: sqlite3.Connection, job: BatchJob, status: BatchStatus, moment: datetime, description: str, **changes: Any
) -> bool:
    """From the job's status to another one, with a line in its history; False if it has another one by now.

    `changes` are columns: `error`, `actor_id`, `execution_id`, `submitted_ms`, `started_ms`, `ended_ms`.
    """
    columns = {"status": status, "ended": status.ended, "updated_ms": to_ms(moment), **changes}
    setting = ", ".join(f"{name} = :{name}" for name in columns)
    changed = tx.execute(
        f"UPDATE batch_jobs SET {setting} WHERE id = :id AND status = :before",  # noqa: S608 - names of ours
        {**columns, "id": job.id, "before": job.status},
    )
    if changed.rowcount:
        note(tx, job.id, HistoryEntry(status, description, moment))
    return bool(changed.rowcount)


def note(tx: sqlite3.Connection, job_id: str, entry: HistoryEntry) -> None:
    """Add to the job's history."""
    tx.execute(
        "INSERT INTO batch_history (job_id, status, description, created_ms) VALUES (?, ?, ?, ?)",
        (job_id, entry.status, entry.description, to_ms(entry.created)),
    )


def stop(tx: sqlite3.Connection, job_id: str) -> bool:
    """Note that the job is to end; False if it has ended, or is to end already."""
    changed = tx.execute("UPDATE batch_jobs SET stopping = 1 WHERE id = ? AND ended = 0 AND stopping = 0", (job_id,))
    return bool(changed.rowcount)


def history(tx: sqlite3.Connection, job_id: str) -> list[HistoryEntry]:
    """All statuses that the job had, in order."""
    rows = tx.execute("SELECT * FROM batch_history WHERE job_id = ? ORDER BY seq", (job_id,))
    return [HistoryEntry(BatchStatus(row["status"]), row["description"], from_ms(row["created_ms"])) for row in rows]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)


def _from_row(row: sqlite3.Row) -> BatchJob:
    archive = None if row["archive_system"] is None else Archive(row["archive_system"], row["archive_path"])
    return BatchJob(
        id=row["id"],
        tenant=TenantId(row["tenant"]),
        owner=Username(row["owner"]),
        app_id=row["app_id"],
        name=row["name"],
        status=BatchStatus(row["status"]),
        definition=json.loads(row["definition"]),
        app=json.loads(row["app"]),
        inputs={name: tuple(uris) for name, uris in json.loads(row["inputs"]).items()},
        parameters=json.loads(row["parameters"]),
        archive=archive,
        run_seconds=row["run_s"],
        created=from_ms(row["created_ms"]),
        updated=from_ms(row["updated_ms"]),
        key=row["key"],
        error=row["error"],
        stopping=bool(row["stopping"]),
        actor_id=ActorId(row["actor_id"]) if row["actor_id"] else None,
        execution_id=ExecutionId(row["execution_id"]) if row["execution_id"] else None,
        submitted=_moment(row["submitted_ms"]),
        started=_moment(row["started_ms"]),
        ended=_moment(row["ended_ms"]),
    )
