"""Which batch jobs were handed over to another service, and what it calls them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from abacod.clock import from_ms, to_ms
from abacod.ids import TenantId


@dataclass(frozen=True, slots=True)
class Launch:
    """One job that was to be handed over. `job_id` is None until the service has said it."""

    began: datetime
    job_id: str | None


def find(tx: sqlite3.Connection, tenant: TenantId, engine: str, key: str) -> Launch | None:
    """The launch with this key, None if there was none."""
    row = tx.execute(
        "SELECT began_ms, job_id FROM launches WHERE tenant = ? AND engine = ? AND key = ?", (tenant, engine, key)
    ).fetchone()
    return Launch(from_ms(row["began_ms"]), row["job_id"]) if row else None


def begin(tx: sqlite3.Connection, tenant: TenantId, engine: str, key: str, moment: datetime) -> None:
    """The service is about to be asked; to be called once for a key."""
    tx.execute(
        "INSERT INTO launches (tenant, engine, key, began_ms) VALUES (?, ?, ?, ?)", (tenant, engine, key, to_ms(moment))
    )


def settle(tx: sqlite3.Connection, tenant: TenantId, engine: str, key: str, job_id: str) -> None:
    """The service has the job, under this id."""
    tx.execute(
        "UPDATE launches SET job_id = ? WHERE tenant = ? AND engine = ? AND key = ?", (job_id, tenant, engine, key)
    )


def forget(tx: sqlite3.Connection, tenant: TenantId, engine: str, key: str) -> None:
    """The service has refused the job, so there is none."""
    tx.execute("DELETE FROM launches WHERE tenant = ? AND engine = ? AND key = ?", (tenant, engine, key))


def is_known(tx: sqlite3.Connection, engine: str, job_id: str) -> bool:
    """Whether the service's job came of a launch that is settled, of whatever tenant."""
    return tx.execute("SELECT 1 FROM launches WHERE engine = ? AND job_id = ?", (engine, job_id)).fetchone() is not None
