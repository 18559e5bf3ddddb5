"""Pipelines."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from abacod.clock import from_ms, to_ms
from abacod.errors import BadRequest, PipelineNotFound, PipelineTaken
from abacod.ids import TenantId
from reactors.pipelinejobs.records import Pipeline

_UNIQUE: Final = "SQLITE_CONSTRAINT_UNIQUE"
# A list is put together in memory. In bytes.
_MOST_BYTES: Final = 50_000_000

_LISTED: Final = """
    SELECT * FROM pipelines
    WHERE tenant = :tenant AND seq > :behind AND (visible OR :retired)
      AND (:id IS NULL OR id = :id) AND (:name IS NULL OR document ->> '$.name' = :name)
    ORDER BY seq LIMIT :limit
"""


def insert(tx: sqlite3.Connection, tenant: TenantId, pipeline: Pipeline, salt: str) -> None:
    """Add a pipeline; `salt` goes into its update token.

    Raises:
        PipelineTaken: another pipeline of the tenant has its id.
    """
    try:
        tx.execute(
            """
            INSERT INTO pipelines (tenant, uuid, id, document, visible, owner, salt, revision, created_ms, modified_ms)
            VALUES (:tenant, :uuid, :id, :document, :visible, :owner, :salt, :revision, :created_ms, :modified_ms)
            """,
            {
                "tenant": tenant,
                "uuid": pipeline.uuid,
                "id": pipeline.id,
                "document": json.dumps(pipeline.document),
                "visible": pipeline.visible,
                "owner": pipeline.owner,
                "salt": salt,
                "revision": pipeline.revision,
                "created_ms": to_ms(pipeline.created),
                "modified_ms": to_ms(pipeline.modified),
            },
        )
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname != _UNIQUE:
            raise
        raise PipelineTaken(f"id: another pipeline is called {pipeline.id} already; choose another id.") from error


def find(tx: sqlite3.Connection, tenant: TenantId, uuid: str) -> Pipeline | None:
    """The pipeline, retired or not; None if the tenant has none with this UUID."""
    row = tx.execute("SELECT * FROM pipelines WHERE tenant = ? AND uuid = ?", (tenant, uuid)).fetchone()
    return _from_row(row) if row else None


def find_id(tx: sqlite3.Connection, tenant: TenantId, identifier: str) -> Pipeline | None:
    """The pipeline with this readable id, retired or not; None if the tenant has none."""
    row = tx.execute("SELECT * FROM pipelines WHERE tenant = ? AND id = ?", (tenant, identifier)).fetchone()
    return _from_row(row) if row else None


def listed(
    tx: sqlite3.Connection,
    tenant: TenantId,
    *,
    limit: int,
    after: str | None = None,
    identifier: str | None = None,
    name: str | None = None,
    retired: bool = False,
) -> list[Pipeline]:
    """Pipelines, oldest first: at most `limit` of those behind the one with the UUID `after`; retired ones only if asked for.

    Raises:
        PipelineNotFound: there is no pipeline `after`.
        BadRequest: they are too large for one answer.
    """
    behind = 0
    if after is not None:
        row = tx.execute("SELECT seq FROM pipelines WHERE tenant = ? AND uuid = ?", (tenant, after)).fetchone()
        if row is None:
            raise PipelineNotFound(f"after: there is no pipeline {after} to go on behind.")
        behind = row["seq"]
    given = {"tenant": tenant, "behind": behind, "retired": retired, "id": identifier, "name": name, "limit": limit}
    size = tx.execute(f"SELECT ifnull(sum(length(document)), 0) FROM ({_LISTED})", given).fetchone()[0]  # noqa: S608 - ours
    if size > _MOST_BYTES:
        raise BadRequest(f"The pipelines have more than {_MOST_BYTES} bytes together. Give a smaller limit.")
    return [_from_row(row) for row in tx.execute(_LISTED, given)]


def salt_of(tx: sqlite3.Connection, tenant: TenantId, uuid: str) -> str:
    """What goes into the pipeline's update token; there must be such a pipeline."""
    return str(tx.execute("SELECT salt FROM pipelines WHERE tenant = ? AND uuid = ?", (tenant, uuid)).fetchone()[0])


def change(
    tx: sqlite3.Connection, tenant: TenantId, uuid: str, document: Mapping[str, Any], *, visible: bool, now: datetime
) -> None:
    """Store another document or visibility as the next revision."""
    tx.execute(
        """
        UPDATE pipelines SET document = ?, visible = ?, modified_ms = ?, revision = revision + 1
        WHERE tenant = ? AND uuid = ?
        """,
        (json.dumps(document), visible, to_ms(now), tenant, uuid),
    )


def is_referred_to(tx: sqlite3.Connection, tenant: TenantId, uuid: str) -> bool:
    """Whether a job is of this pipeline, or anything else has a link to it."""
    row = tx.execute(
        """
        SELECT EXISTS (SELECT 1 FROM jobs WHERE tenant = :tenant AND pipeline_uuid = :uuid)
            OR EXISTS (SELECT 1 FROM links WHERE tenant = :tenant AND parent = :uuid)
        """,
        {"tenant": tenant, "uuid": uuid},
    ).fetchone()
    return bool(row[0])


def delete(tx: sqlite3.Connection, tenant: TenantId, uuid: str) -> None:
    """Remove a pipeline to which nothing refers, with its own links."""
    tx.execute("DELETE FROM links WHERE tenant = ? AND child = ?", (tenant, uuid))
    tx.execute("DELETE FROM pipelines WHERE tenant = ? AND uuid = ?", (tenant, uuid))


def _from_row(row: sqlite3.Row) -> Pipeline:
    return Pipeline(
        uuid=row["uuid"],
        document=json.loads(row["document"]),
        owner=row["owner"],
        created=from_ms(row["created_ms"]),
        modified=from_ms(row["modified_ms"]),
        visible=bool(row["visible"]),
        revision=row["revision"],
    )
