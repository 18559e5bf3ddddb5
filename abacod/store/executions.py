"""Execution records and the sums over them."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from abacod.clock import from_ms, to_ms
from abacod.errors import ExecutionNotFound, IllegalTransition
from abacod.ids import ActorId, ExecutionId, TenantId, Username, WorkerId
from abacod.models.execution import Execution, ExecutionSummary
from abacod.models.states import ExecutionStatus
from abacod.store.rows import insert_rows

# Among how many executions of an actor those of one user are looked for.
_LOOKED_AT: Final = 10_000


def insert(tx: sqlite3.Connection, *new: Execution) -> None:
    """Add new executions, in this order; they wait in their actors' mailboxes, but for those that run already."""
    columns = (
        "id",
        "actor_id",
        "tenant",
        "executor",
        "executor_uid",
        "executor_gid",
        "status",
        "revision",
        "received_ms",
        "worker_id",
        "start_ms",
    )
    insert_rows(
        tx,
        "executions",
        columns,
        [
            (
                each.id,
                each.actor_id,
                each.tenant,
                each.executor,
                each.executor_uid,
                each.executor_gid,
                each.status,
                each.revision,
                to_ms(each.message_received_time),
                each.worker_id,
                None if each.start_time is None else to_ms(each.start_time),
            )
            for each in new
        ],
    )
    for (actor_id, tenant), count in Counter((each.actor_id, each.tenant) for each in new).items():
        tx.execute(
            """
            INSERT INTO actor_totals (actor_id, tenant, executions) VALUES (?1, ?2, ?3)
            ON CONFLICT DO UPDATE SET executions = executions + ?3
            """,
            (actor_id, tenant, count),
        )


def get(tx: sqlite3.Connection, actor_id: ActorId, execution_id: ExecutionId) -> Execution:
    """The execution.

    Raises:
        ExecutionNotFound: the actor has no such execution.
    """
    row = tx.execute("SELECT * FROM executions WHERE id = ? AND actor_id = ?", (execution_id, actor_id)).fetchone()
    if row is None:
        raise ExecutionNotFound(f"No executions found with actor id of {actor_id} and execution id of {execution_id}.")
    return execution_in(row)


def find(tx: sqlite3.Connection, execution_id: ExecutionId) -> Execution | None:
    """The execution of any actor, None if there is none."""
    row = tx.execute("SELECT * FROM executions WHERE id = ?", (execution_id,)).fetchone()
    return execution_in(row) if row else None


def newest(
    tx: sqlite3.Connection, actor_id: ActorId, limit: int, executor: Username | None = None
) -> list[ExecutionSummary]:
    """The actor's `limit` newest executions, the oldest of them first; with `executor` that user's, if they are not too old."""
    rows = tx.execute(
        """
        SELECT * FROM (
          SELECT * FROM (
            SELECT seq, id, executor, status, received_ms, start_ms, finish_ms FROM executions
            WHERE actor_id = :actor ORDER BY seq DESC LIMIT :looked_at)
          WHERE :executor IS NULL OR executor = :executor
          ORDER BY seq DESC LIMIT :limit)
        ORDER BY seq
        """,
        {
            "actor": actor_id,
            "looked_at": limit if executor is None else max(limit, _LOOKED_AT),
            "executor": executor,
            "limit": limit,
        },
    )
    return [
        ExecutionSummary(
            id=ExecutionId(row["id"]),
            status=ExecutionStatus(row["status"]),
            message_received_time=from_ms(row["received_ms"]),
            start_time=_moment(row["start_ms"]),
            finish_time=_moment(row["finish_ms"]),
        )
        for row in rows
    ]


def numbered(tx: sqlite3.Connection, numbers: Sequence[int]) -> list[Execution]:
    """The executions with these `seq`, in the order given."""
    rows = tx.execute("SELECT * FROM executions WHERE seq IN (SELECT value FROM json_each(?))", (json.dumps(numbers),))
    found = {row["seq"]: execution_in(row) for row in rows}
    return [found[number] for number in numbers if number in found]


def running(tx: sqlite3.Connection) -> list[Execution]:
    """All executions that are marked RUNNING, oldest first."""
    return [execution_in(row) for row in tx.execute("SELECT * FROM executions WHERE status = 'RUNNING' ORDER BY seq")]


def start(tx: sqlite3.Connection, execution_id: ExecutionId, worker_id: WorkerId, moment: datetime) -> None:
    """SUBMITTED to RUNNING.

    Raises:
        IllegalTransition: it is not waiting any more (cancelled, or its actor was deleted).
    """
    changed = tx.execute(
        "UPDATE executions SET status = 'RUNNING', worker_id = ?, start_ms = ? WHERE id = ? AND status = 'SUBMITTED'",
        (worker_id, to_ms(moment), execution_id),
    )
    if not changed.rowcount:
        raise IllegalTransition(f"Execution {execution_id} is not waiting any more.")


def is_running(tx: sqlite3.Connection, execution_id: ExecutionId) -> bool:
    """Whether there is such an execution, and it has begun and not ended."""
    row = tx.execute("SELECT 1 FROM executions WHERE id = ? AND status = 'RUNNING'", (execution_id,)).fetchone()
    return row is not None


def submit_again(tx: sqlite3.Connection, execution_id: ExecutionId) -> None:
    """RUNNING back to SUBMITTED: its container was never started."""
    tx.execute(
        "UPDATE executions SET status = 'SUBMITTED', worker_id = NULL, start_ms = NULL WHERE id = ? AND status = 'RUNNING'",
        (execution_id,),
    )


def complete(tx: sqlite3.Connection, execution: Execution, log_expires: datetime | None) -> None:
    """RUNNING to COMPLETE with what is known of its end, which is added to the actor's totals.

    Raises:
        IllegalTransition: it has ended already.
    """
    changed = tx.execute(
        """
        UPDATE executions
        SET status = 'COMPLETE', start_ms = :start_ms, finish_ms = :finish_ms, runtime_s = :runtime_s, cpu_ns = :cpu_ns,
            io_bytes = :io_bytes, exit_code = :exit_code, final_state = :final_state, log_expires_ms = :log_expires_ms
        WHERE id = :id AND status = 'RUNNING'
        """,
        {
            "id": execution.id,
            "start_ms": execution.start_time and to_ms(execution.start_time),
            "finish_ms": execution.finish_time and to_ms(execution.finish_time),
            "runtime_s": execution.runtime,
            "cpu_ns": execution.cpu,
            "io_bytes": execution.io,
            "exit_code": execution.exit_code,
            "final_state": _json(execution.final_state),
            "log_expires_ms": log_expires and to_ms(log_expires),
        },
    )
    if not changed.rowcount:
        raise IllegalTransition(f"Execution {execution.id} has ended already.")
    tx.execute(
        """
        UPDATE actor_totals SET runtime_s = runtime_s + ?, cpu_ns = cpu_ns + ?, io_bytes = io_bytes + ? WHERE actor_id = ?
        """,
        (execution.runtime, execution.cpu, execution.io, execution.actor_id),
    )


def fail(
    tx: sqlite3.Connection,
    execution_id: ExecutionId,
    final_state: Mapping[str, Any],
    finished: datetime,
    log_expires: datetime | None,
) -> bool:
    """SUBMITTED or RUNNING to ERROR; False if it has ended already."""
    changed = tx.execute(
        """
        UPDATE executions SET status = 'ERROR', finish_ms = ?, final_state = ?, log_expires_ms = ?
        WHERE id = ? AND status IN ('SUBMITTED', 'RUNNING')
        """,
        (to_ms(finished), _json(final_state), log_expires and to_ms(log_expires), execution_id),
    )
    return bool(changed.rowcount)


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)


def execution_in(row: sqlite3.Row) -> Execution:
    """The record in a row with all columns of `executions`."""
    return Execution(
        id=ExecutionId(row["id"]),
        actor_id=ActorId(row["actor_id"]),
        tenant=TenantId(row["tenant"]),
        executor=Username(row["executor"]),
        status=ExecutionStatus(row["status"]),
        message_received_time=from_ms(row["received_ms"]),
        revision=row["revision"],
        executor_uid=row["executor_uid"],
        executor_gid=row["executor_gid"],
        worker_id=WorkerId(row["worker_id"]) if row["worker_id"] else None,
        start_time=_moment(row["start_ms"]),
        finish_time=_moment(row["finish_ms"]),
        runtime=row["runtime_s"],
        cpu=row["cpu_ns"],
        io=row["io_bytes"],
        exit_code=row["exit_code"],
        final_state=None if row["final_state"] is None else json.loads(row["final_state"]),
    )
