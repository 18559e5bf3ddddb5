"""Batch jobs of another service whose status is asked for now and then, and who has been told which."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from abacod.clock import to_ms
from abacod.ids import TenantId, Username


@dataclass(frozen=True, slots=True)
class Watch:
    """A job that has not ended, as far as was told.

    `definition` is sealed. `told` has for each status the numbers of the notifications that are done with it. `failures`
    are those in a row. `pause` is the time before the next look but one, in seconds.
    """

    seq: int
    tenant: TenantId
    job_id: str
    username: Username
    definition: str
    told: Mapping[str, Sequence[int]]
    failures: int
    pause: float


def insert(
    tx: sqlite3.Connection,
    engine: str,
    tenant: TenantId,
    job_id: str,
    username: Username,
    definition: str,
    due: datetime,
    pause: float,
) -> None:
    """Watch a job from `due` on; nothing changes if it is watched already."""
    tx.execute(
        """
        INSERT INTO watches (engine, tenant, job_id, username, definition, due_ms, pause_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT DO NOTHING
        """,
        (engine, tenant, job_id, username, definition, to_ms(due), int(pause * 1000)),
    )


def due(tx: sqlite3.Connection, engine: str, moment: datetime, limit: int) -> list[Watch]:
    """Those that are due, the longest first."""
    rows = tx.execute(
        "SELECT * FROM watches WHERE engine = ? AND due_ms <= ? ORDER BY due_ms LIMIT ?", (engine, to_ms(moment), limit)
    )
    return [
        Watch(
            seq=row["seq"],
            tenant=TenantId(row["tenant"]),
            job_id=row["job_id"],
            username=Username(row["username"]),
            definition=row["definition"],
            told=json.loads(row["told"]),
            failures=row["failures"],
            pause=row["pause_ms"] / 1000,
        )
        for row in rows
    ]


def note_told(tx: sqlite3.Connection, seq: int, told: Mapping[str, Sequence[int]]) -> None:
    """Keep who has been told what."""
    tx.execute("UPDATE watches SET told = ? WHERE seq = ?", (json.dumps(told), seq))


def postpone(tx: sqlite3.Connection, seq: int, due: datetime, pause: float, failures: int) -> None:
    """Look again at `due`."""
    tx.execute(
        "UPDATE watches SET due_ms = ?, pause_ms = ?, failures = ? WHERE seq = ?",
        (to_ms(due), int(pause * 1000), failures, seq),
    )


def end(tx: sqlite3.Connection, seq: int) -> None:
    """Watch the job no more."""
    tx.execute("DELETE FROM watches WHERE seq = ?", (seq,))
