"""The mailboxes' messages, in order."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from abacod.ids import ActorId, ExecutionId
from abacod.models.message import Message, Queued


def append(tx: sqlite3.Connection, actor_id: ActorId, execution_id: ExecutionId, message: Message) -> None:
    """Put a message at the end of the actor's mailbox."""
    tx.execute(
        "INSERT INTO messages (execution_id, actor_id, content_type, body, environment) VALUES (?, ?, ?, ?, ?)",
        (
            execution_id,
            actor_id,
            message.content_type,
            message.body,
            json.dumps(dict(message.environment), ensure_ascii=False),
        ),
    )


def waiting_after(tx: sqlite3.Connection, actor_id: ActorId, seq: int, limit: int) -> list[Queued]:
    """The first `limit` waiting messages of the actor behind number `seq`."""
    rows = tx.execute(
        "SELECT * FROM messages WHERE actor_id = ? AND started = 0 AND seq > ? ORDER BY seq LIMIT ?",
        (actor_id, seq, limit),
    )
    return [_from_row(row) for row in rows]


def waiting_counts(tx: sqlite3.Connection) -> dict[ActorId, int]:
    """How many messages wait, for every actor that has any."""
    rows = tx.execute("SELECT actor_id, count(*) AS waiting FROM messages WHERE started = 0 GROUP BY actor_id")
    return {ActorId(row["actor_id"]): row["waiting"] for row in rows}


def waiting_count(tx: sqlite3.Connection, actor_id: ActorId, in_hand: Collection[ExecutionId]) -> int:
    """How many messages of the actor wait, without those that workers have `in_hand` and are about to start."""
    row = tx.execute(
        """
        SELECT count(*) AS waiting FROM messages
        WHERE actor_id = ? AND started = 0 AND execution_id NOT IN (SELECT value FROM json_each(?))
        """,
        (actor_id, json.dumps(list(in_hand))),
    ).fetchone()
    return int(row["waiting"])


def mark_started(tx: sqlite3.Connection, execution_id: ExecutionId) -> None:
    """From here on the message is never handed out again."""
    tx.execute("UPDATE messages SET started = 1 WHERE execution_id = ?", (execution_id,))


def mark_waiting(tx: sqlite3.Connection, execution_id: ExecutionId, *, failed: bool) -> None:
    """The message was not started after all; `failed` counts the attempt."""
    tx.execute(
        "UPDATE messages SET started = 0, attempts = attempts + ? WHERE execution_id = ?", (int(failed), execution_id)
    )


def remove(tx: sqlite3.Connection, execution_id: ExecutionId) -> None:
    """Forget the message: its execution has ended, or is cancelled."""
    tx.execute("DELETE FROM messages WHERE execution_id = ?", (execution_id,))


def remove_waiting(tx: sqlite3.Connection, actor_id: ActorId) -> list[ExecutionId]:
    """Empty the actor's mailbox; the executions whose messages were in it."""
    rows = tx.execute("DELETE FROM messages WHERE actor_id = ? AND started = 0 RETURNING execution_id", (actor_id,))
    return [ExecutionId(row["execution_id"]) for row in rows.fetchall()]


def binary_executions(tx: sqlite3.Connection) -> set[ExecutionId]:
    """The executions whose message is a file."""
    rows = tx.execute("SELECT execution_id FROM messages WHERE body IS NULL")
    return {ExecutionId(row["execution_id"]) for row in rows}


def _from_row(row: sqlite3.Row) -> Queued:
    return Queued(
        seq=row["seq"],
        execution_id=ExecutionId(row["execution_id"]),
        actor_id=ActorId(row["actor_id"]),
        content_type=row["content_type"],
        body=row["body"],
        environment=json.loads(row["environment"]),
        attempts=row["attempts"],
    )
