"""What containers wrote, in pieces."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from abacod.clock import to_ms
from abacod.ids import ActorId, ExecutionId


def append(tx: sqlite3.Connection, execution_id: ExecutionId, position: int, data: bytes) -> None:
    """Add a piece that begins at `position` bytes of the log."""
    tx.execute(
        "INSERT OR REPLACE INTO log_pieces (execution_id, position, data) VALUES (?, ?, ?)",
        (execution_id, position, data),
    )


def whole(tx: sqlite3.Connection, execution_id: ExecutionId, now: datetime) -> bytes:
    """Everything stored of the log; empty if there is none or its time has passed."""
    rows = tx.execute(
        """
        SELECT data FROM log_pieces
        WHERE execution_id = :id AND NOT EXISTS (
          SELECT 1 FROM executions WHERE id = :id AND log_expires_ms <= :now)
        ORDER BY position
        """,
        {"id": execution_id, "now": to_ms(now)},
    )
    return b"".join(row["data"] for row in rows)


def behind(tx: sqlite3.Connection, execution_id: ExecutionId, position: int, now: datetime) -> bytes:
    """What is stored of the log from `position` on, to the end of one piece; empty if nothing is, or its time has passed."""
    row = tx.execute(
        """
        SELECT position, data FROM log_pieces
        WHERE execution_id = :id AND position <= :position AND NOT EXISTS (
          SELECT 1 FROM executions WHERE id = :id AND log_expires_ms <= :now)
        ORDER BY position DESC LIMIT 1
        """,
        {"id": execution_id, "position": position, "now": to_ms(now)},
    ).fetchone()
    return b"" if row is None else bytes(row["data"][position - row["position"] :])


def remove(tx: sqlite3.Connection, execution_id: ExecutionId) -> None:
    """Forget the log of one execution."""
    tx.execute("DELETE FROM log_pieces WHERE execution_id = ?", (execution_id,))


def remove_of_actor(tx: sqlite3.Connection, actor_id: ActorId) -> None:
    """Forget the logs of all executions of an actor."""
    tx.execute("DELETE FROM log_words WHERE rowid IN (SELECT seq FROM executions WHERE actor_id = ?)", (actor_id,))
    tx.execute(
        "DELETE FROM log_pieces WHERE execution_id IN (SELECT id FROM executions WHERE actor_id = ?)", (actor_id,)
    )


def remove_expired(tx: sqlite3.Connection, now: datetime, limit: int) -> int:
    """Forget up to `limit` logs whose time has passed; how many it were."""
    rows = tx.execute(
        """
        UPDATE executions SET log_expires_ms = NULL, log_gone = 1 WHERE seq IN (
          SELECT seq FROM executions WHERE log_expires_ms <= ? LIMIT ?)
        RETURNING id
        """,
        (to_ms(now), limit),
    ).fetchall()
    tx.executemany("DELETE FROM log_pieces WHERE execution_id = ?", [(row["id"],) for row in rows])
    return len(rows)
