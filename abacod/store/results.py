"""Results of executions: what containers sent, first in, first out, until it is fetched or its time has passed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from abacod.clock import to_ms
from abacod.ids import ActorId, ExecutionId


def append(
    tx: sqlite3.Connection,
    execution_id: ExecutionId,
    data: Sequence[bytes],
    *,
    now: datetime,
    expires: datetime,
    limit: int,
) -> int:
    """Add results in their order while the execution has fewer than `limit`; how many were kept."""
    row = tx.execute(
        "SELECT count(*) AS kept FROM results WHERE execution_id = ? AND expires_ms > ?", (execution_id, to_ms(now))
    ).fetchone()
    kept = data[: max(0, limit - row["kept"])]
    tx.executemany(
        "INSERT INTO results (execution_id, expires_ms, data) VALUES (?, ?, ?)",
        [(execution_id, to_ms(expires), each) for each in kept],
    )
    return len(kept)


def waiting(tx: sqlite3.Connection, execution_id: ExecutionId, now: datetime) -> bool:
    """Whether the execution has a result to fetch."""
    row = tx.execute(
        "SELECT 1 FROM results WHERE execution_id = ? AND expires_ms > ? LIMIT 1", (execution_id, to_ms(now))
    ).fetchone()
    return row is not None


def pop(tx: sqlite3.Connection, execution_id: ExecutionId, now: datetime) -> bytes | None:
    """Take the oldest result of the execution; None if there is none."""
    row = tx.execute(
        """
        DELETE FROM results WHERE seq = (
          SELECT seq FROM results WHERE execution_id = ? AND expires_ms > ? ORDER BY seq LIMIT 1)
        RETURNING data
        """,
        (execution_id, to_ms(now)),
    ).fetchone()
    return None if row is None else bytes(row["data"])


def remove_of_actor(tx: sqlite3.Connection, actor_id: ActorId) -> None:
    """Forget the results of all executions of an actor."""
    tx.execute("DELETE FROM results WHERE execution_id IN (SELECT id FROM executions WHERE actor_id = ?)", (actor_id,))


def remove_expired(tx: sqlite3.Connection, now: datetime, limit: int) -> int:
    """Forget up to `limit` results whose time has passed; how many it were."""
    removed = tx.execute(
        "DELETE FROM results WHERE seq IN (SELECT seq FROM results WHERE expires_ms <= ? LIMIT ?)", (to_ms(now), limit)
    )
    return removed.rowcount
