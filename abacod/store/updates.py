"""The log of changes of pipelines, jobs and records: one row for each."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from abacod.clock import to_ms
from abacod.ids import TenantId, Username

Action = Literal["create", "update", "replace", "delete"]


def append(
    tx: sqlite3.Connection,
    tenant: TenantId,
    uuid: str,
    action: Action,
    *,
    by: Username,
    now: datetime,
    changes: Mapping[str, Any],
) -> None:
    """Note a change; `changes` are the fields that changed, as they are now."""
    tx.execute(
        "INSERT INTO updates (tenant, uuid, action, by_user, date_ms, changes) VALUES (?, ?, ?, ?, ?, ?)",
        (tenant, uuid, action, by, to_ms(now), json.dumps(changes, ensure_ascii=False)),
    )


def last(tx: sqlite3.Connection) -> int:
    """The number of the newest change of all tenants, 0 if there is none."""
    return int(tx.execute("SELECT ifnull(max(seq), 0) FROM updates").fetchone()[0])


def since(tx: sqlite3.Connection, tenant: TenantId, number: int) -> set[str]:
    """The UUIDs of what changed after the change of that number."""
    rows = tx.execute("SELECT DISTINCT uuid FROM updates WHERE seq > ? AND tenant = ?", (number, tenant))
    return {row["uuid"] for row in rows}
