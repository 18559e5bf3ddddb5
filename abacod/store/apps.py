"""Apps."""

from __future__ import annotations

import json
import sqlite3

from abacod.clock import from_ms, to_ms
from abacod.errors import AppNotFound
from abacod.ids import TenantId, Username
from abacod.models.app import App


def put(tx: sqlite3.Connection, app: App) -> App:
    """Add an app, or put it in the place of the one with its id, whose owner and creation stay; the app as it is then."""
    tx.execute(
        """
        INSERT INTO apps (tenant, id, owner, document, created_ms, modified_ms)
        VALUES (:tenant, :id, :owner, :document, :moment, :moment)
        ON CONFLICT (tenant, id) DO UPDATE SET document = :document, modified_ms = :moment, revision = revision + 1
        """,
        {
            "tenant": app.tenant,
            "id": app.id,
            "owner": app.owner,
            "document": json.dumps(app.document, ensure_ascii=False),
            "moment": to_ms(app.modified),
        },
    )
    return get(tx, app.tenant, app.id)


def get(tx: sqlite3.Connection, tenant: TenantId, app_id: str) -> App:
    """The app.

    Raises:
        AppNotFound: the tenant has none with this id.
    """
    row = tx.execute("SELECT * FROM apps WHERE tenant = ? AND id = ?", (tenant, app_id)).fetchone()
    if row is None:
        raise AppNotFound(f"There is no app {app_id}.")
    return _from_row(row)


def listed(tx: sqlite3.Connection, tenant: TenantId) -> list[App]:
    """All apps of the tenant, oldest first."""
    return [_from_row(row) for row in tx.execute("SELECT * FROM apps WHERE tenant = ? ORDER BY seq", (tenant,))]


def delete(tx: sqlite3.Connection, tenant: TenantId, app_id: str) -> None:
    """Remove the app.

    Raises:
        AppNotFound: the tenant has none with this id.
    """
    removed = tx.execute("DELETE FROM apps WHERE tenant = ? AND id = ?", (tenant, app_id))
    if not removed.rowcount:
        raise AppNotFound(f"There is no app {app_id}.")


def _from_row(row: sqlite3.Row) -> App:
    return App(
        tenant=TenantId(row["tenant"]),
        id=row["id"],
        owner=Username(row["owner"]),
        document=json.loads(row["document"]),
        revision=row["revision"],
        created=from_ms(row["created_ms"]),
        modified=from_ms(row["modified_ms"]),
    )
