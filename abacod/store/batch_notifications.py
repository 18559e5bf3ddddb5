"""Who is told of the statuses of batch jobs, and what waits to be told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from abacod.clock import from_ms, to_ms
from abacod.models.batch_job import BatchStatus, Hook, Notice


def add_hooks(tx: sqlite3.Connection, job_id: str, hooks: Iterable[Hook]) -> None:
    """Note who wants to be told of the job; their addresses are sealed already."""
    tx.executemany(
        "INSERT INTO batch_hooks (job_id, sealed_url, site, event, persistent) VALUES (?, ?, ?, ?, ?)",
        [(job_id, hook.url, hook.site, hook.event, hook.persistent) for hook in hooks],
    )


def tell(tx: sqlite3.Connection, job_id: str, status: BatchStatus, body: str, moment: datetime) -> None:
    """Put a notification for everybody who wants this status behind those that wait."""
    hooks = tx.execute(
        """
        UPDATE batch_hooks SET used = 1 WHERE job_id = ? AND event IN ('*', ?) AND (persistent OR NOT used)
        RETURNING seq, site
        """,
        (job_id, status),
    ).fetchall()
    for hook in sorted(hooks, key=lambda row: int(row["seq"])):
        tx.execute(
            "INSERT INTO batch_notifications (job_id, hook, site, status, body, created_ms) VALUES (?, ?, ?, ?, ?, ?)",
            (job_id, hook["seq"], hook["site"], status, body, to_ms(moment)),
        )


def waiting(tx: sqlite3.Connection, job_id: str | None = None) -> list[tuple[str, str]]:
    """Jobs of which something is to be told yet, each with a site that is to be told; of one job, or of all."""
    rows = tx.execute(
        """
        SELECT DISTINCT job_id, site FROM batch_notifications
        WHERE done_ms IS NULL AND (:job IS NULL OR job_id = :job)
        """,
        {"job": job_id},
    )
    return [(row["job_id"], row["site"]) for row in rows]


def next_waiting(tx: sqlite3.Connection, job_id: str, site: str) -> Notice | None:
    """The next notification of the job for the site."""
    row = tx.execute(
        """
        SELECT n.*, h.sealed_url FROM batch_notifications n JOIN batch_hooks h ON h.seq = n.hook
        WHERE n.job_id = ? AND n.site = ? AND n.done_ms IS NULL ORDER BY n.seq LIMIT 1
        """,
        (job_id, site),
    ).fetchone()
    if row is None:
        return None
    return Notice(
        row["seq"],
        row["job_id"],
        row["site"],
        BatchStatus(row["status"]),
        row["sealed_url"],
        row["body"],
        from_ms(row["created_ms"]),
    )


def finish(tx: sqlite3.Connection, seq: int, moment: datetime, outcome: str) -> None:
    """The notification was delivered, or is given up; what it said is not kept."""
    tx.execute(
        "UPDATE batch_notifications SET done_ms = ?, outcome = ?, body = '{}' WHERE seq = ?",
        (to_ms(moment), outcome, seq),
    )
