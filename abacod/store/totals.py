"""Sums over all executions that actors ever had; they outlive the actors, so that what was done stays counted."""

from __future__ import annotations

import sqlite3

from abacod.ids import ActorId, TenantId
from abacod.models.execution import Totals
from abacod.models.overview import ActorSums


def begin(tx: sqlite3.Connection, tenant: TenantId, actor_id: ActorId) -> None:
    """Count a new actor, which has no executions yet."""
    tx.execute("INSERT INTO actor_totals (actor_id, tenant) VALUES (?, ?)", (actor_id, tenant))


def actors_ever(tx: sqlite3.Connection) -> int:
    """How many actors the users of all tenants together ever had."""
    return int(
        tx.execute(
            "SELECT count(*) FROM actor_totals WHERE actor_id NOT IN (SELECT id FROM actors WHERE builtin IS NOT NULL)"
        ).fetchone()[0]
    )


def of_tenant(tx: sqlite3.Connection, tenant: TenantId, *, existing: bool = False) -> ActorSums:
    """The sums over all actors that the tenant's users ever had, or only over those that they have now."""
    row = tx.execute(
        """
        SELECT count(*) AS actors, coalesce(sum(executions > 0), 0) AS with_executions,
               coalesce(sum(executions), 0) AS executions, coalesce(sum(runtime_s), 0) AS runtime_s,
               coalesce(sum(cpu_ns), 0) AS cpu_ns, coalesce(sum(io_bytes), 0) AS io_bytes
        FROM actor_totals
        WHERE tenant = :tenant AND actor_id NOT IN (SELECT id FROM actors WHERE builtin IS NOT NULL)
          AND (NOT :existing OR actor_id IN (SELECT id FROM actors WHERE tenant = :tenant))
        """,
        {"tenant": tenant, "existing": existing},
    ).fetchone()
    return ActorSums(row["actors"], row["with_executions"], _totals(row))


def of_actor(tx: sqlite3.Connection, actor_id: ActorId) -> Totals:
    """The sums of one actor; of one that never was, nothing."""
    row = tx.execute("SELECT * FROM actor_totals WHERE actor_id = ?", (actor_id,)).fetchone()
    return _totals(row) if row else Totals()


def by_actor(tx: sqlite3.Connection, tenant: TenantId) -> dict[ActorId, Totals]:
    """The sums of each actor that the tenant ever had."""
    rows = tx.execute("SELECT * FROM actor_totals WHERE tenant = ?", (tenant,))
    return {ActorId(row["actor_id"]): _totals(row) for row in rows}


def _totals(row: sqlite3.Row) -> Totals:
    return Totals(executions=row["executions"], runtime=row["runtime_s"], cpu=row["cpu_ns"], io=row["io_bytes"])
