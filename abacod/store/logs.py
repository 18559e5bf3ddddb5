"""What containers wrote, in pieces: as it comes, and behind the end of the execution as `log_archive` packs it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from abacod.clock import to_ms
from abacod.ids import ActorId, ExecutionId
from abacod.store import log_archive

# Logs removed in one transaction, and bytes of them after which it removes no more: requests wait for it.
_AT_ONCE: Final = 200
_BYTES_AT_ONCE: Final = 262_144


def append(tx: sqlite3.Connection, execution_id: ExecutionId, position: int, data: bytes) -> None:
    """Add a piece that begins at `position` bytes of the log."""
    tx.execute(
        "INSERT OR REPLACE INTO log_pieces (execution_id, position, data) VALUES (?, ?, ?)",
        (execution_id, position, data),
    )


def whole(tx: sqlite3.Connection, execution_id: ExecutionId, now: datetime) -> bytes:
    """Everything stored of the log; empty if there is none or its time has passed."""
    seq, over = _state(tx, execution_id, now)
    if over:
        return b""
    rows = tx.execute("SELECT data FROM log_pieces WHERE execution_id = ? ORDER BY position", (execution_id,))
    return b"".join([log_archive.whole(tx, seq), *(row["data"] for row in rows)])


def behind(tx: sqlite3.Connection, execution_id: ExecutionId, position: int, now: datetime) -> bytes:
    """What is stored of the log from `position` on, to the end of one piece; empty if nothing is, or its time has passed."""
    seq, over = _state(tx, execution_id, now)
    if over:
        return b""
    row = tx.execute(
        """
        SELECT position, data FROM log_pieces
        WHERE execution_id = ? AND position <= ? ORDER BY position DESC LIMIT 1
        """,
        (execution_id, position),
    ).fetchone()
    if row is None:
        return log_archive.behind(tx, seq, position)
    return bytes(row["data"][position - row["position"] :])


def size_of(tx: sqlite3.Connection, numbers: Sequence[int]) -> int:
    """How many bytes the logs of these executions, given by their `seq`, have together."""
    found: tuple[int] = tx.execute(
        """
        SELECT
          (SELECT coalesce(sum(size), 0) FROM log_archive WHERE execution IN (SELECT value FROM json_each(:numbers)))
          + (SELECT coalesce(sum(length(data)), 0) FROM log_pieces WHERE execution_id IN (
               SELECT id FROM executions WHERE seq IN (SELECT value FROM json_each(:numbers))))
        """,
        {"numbers": json.dumps(numbers)},
    ).fetchone()
    return found[0]


def remove(tx: sqlite3.Connection, execution_id: ExecutionId) -> None:
    """Forget what was written of the log of an execution that has not ended."""
    tx.execute("DELETE FROM log_pieces WHERE execution_id = ?", (execution_id,))


def remove_some_of_actor(tx: sqlite3.Connection, actor_id: ActorId, behind: int) -> int | None:
    """Forget logs of an actor's executions whose `seq` is greater than `behind`: a few, or a part of a large one.

    Returns behind which to go on; None if there are no more.
    """
    rows = tx.execute(
        "SELECT seq, id FROM executions WHERE actor_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        (actor_id, behind, _AT_ONCE),
    ).fetchall()
    room = _BYTES_AT_ONCE
    for row in rows:
        room -= (step := _remove_some(tx, row["seq"], row["id"], room)).size
        if not step.done:
            return behind
        behind = row["seq"]
    return behind if rows else None


def remove_expired(tx: sqlite3.Connection, now: datetime) -> bool:
    """Forget logs whose time has passed: a few, or a part of a large one; whether there may be more."""
    rows = tx.execute(
        "SELECT seq, id FROM executions WHERE log_expires_ms <= ? LIMIT ?", (to_ms(now), _AT_ONCE)
    ).fetchall()
    room = _BYTES_AT_ONCE
    for row in rows:
        room -= (step := _remove_some(tx, row["seq"], row["id"], room)).size
        if not step.done:
            return True
        tx.execute("UPDATE executions SET log_expires_ms = NULL, log_gone = 1 WHERE seq = ?", (row["seq"],))
    return len(rows) == _AT_ONCE


def _remove_some(tx: sqlite3.Connection, seq: int, execution_id: ExecutionId, most: int) -> log_archive.Step:
    remove(tx, execution_id)
    return log_archive.remove(tx, seq, most)


def _state(tx: sqlite3.Connection, execution_id: ExecutionId, now: datetime) -> tuple[int, bool]:
    """The `seq` of the execution, and whether the time of its log is over; without a record there is no such number."""
    row = tx.execute(
        "SELECT seq, log_expires_ms <= ? AS over FROM executions WHERE id = ?", (to_ms(now), execution_id)
    ).fetchone()
    return (-1, False) if row is None else (row["seq"], bool(row["over"]))
