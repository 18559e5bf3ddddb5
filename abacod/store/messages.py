"""The mailboxes' messages, in order."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence

from abacod.ids import ActorId, ExecutionId
from abacod.models.execution import Execution
from abacod.models.message import Message, Queued
from abacod.models.states import ExecutionStatus
from abacod.store.executions import execution_in
from abacod.store.rows import insert_rows


def append(tx: sqlite3.Connection, execution: Execution, message: Message) -> Queued:
    """Put a message at the end of its actor's mailbox; as it will come out of that."""
    (queued,) = append_all(tx, [(execution, message)])
    return queued


def append_all(tx: sqlite3.Connection, new: Sequence[tuple[Execution, Message]]) -> list[Queued]:
    """Put messages at the ends of their actors' mailboxes, in this order; as they will come out of them.

    Those of executions that run already never were in one: they are `begun`.
    """
    last = {actor_id: _last_waiting(tx, actor_id) for actor_id in {execution.actor_id for execution, _ in new}}
    numbers = insert_rows(
        tx,
        "messages",
        ("execution_id", "actor_id", "content_type", "body", "environment", "by_nonce", "started"),
        [
            (
                execution.id,
                execution.actor_id,
                message.content_type,
                message.body,
                json.dumps(dict(message.environment), ensure_ascii=False) if message.environment else "{}",
                message.by_nonce,
                execution.status is ExecutionStatus.RUNNING,
            )
            for execution, message in new
        ],
    )
    queued = []
    for seq, (execution, message) in zip(numbers, new, strict=True):
        one = Queued(
            seq,
            execution,
            message.content_type,
            message.body,
            message.environment,
            by_nonce=message.by_nonce,
            behind=last[execution.actor_id],
        )
        if not one.begun:
            last[execution.actor_id] = seq
        queued.append(one)
    return queued


def _last_waiting(tx: sqlite3.Connection, actor_id: ActorId) -> int:
    row = tx.execute("SELECT max(seq) FROM messages WHERE actor_id = ? AND started = 0", (actor_id,)).fetchone()
    return row[0] or 0


def waiting_after(tx: sqlite3.Connection, actor_id: ActorId, seq: int, limit: int) -> list[Queued]:
    """The first `limit` waiting messages of the actor behind number `seq`."""
    rows = tx.execute(
        """
        SELECT e.*, m.seq AS place, m.content_type, m.body, m.environment, m.attempts, m.by_nonce
        FROM messages m JOIN executions e ON e.id = m.execution_id
        WHERE m.actor_id = ? AND m.started = 0 AND m.seq > ? ORDER BY m.seq LIMIT ?
        """,
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
        seq=row["place"],
        execution=execution_in(row),
        content_type=row["content_type"],
        body=row["body"],
        environment={} if row["environment"] == "{}" else json.loads(row["environment"]),
        attempts=row["attempts"],
        by_nonce=bool(row["by_nonce"]),
    )
