"""Records of files: those that a job made, those of a measurement, those under a path."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from abacod.errors import RecordNotFound
from abacod.ids import TenantId
from abacod.models.catalog import RecordKind, StoredRecord
from abacod.models.files import FileConditions
from abacod.store import records
from reactors.pipelinejobs.identifiers import PREFIXES, Kind

_STEPS: Final = ", ".join(
    f"'{PREFIXES[kind]}'"
    for kind in (Kind.EXPERIMENT_DESIGN, Kind.EXPERIMENT, Kind.SAMPLE, Kind.MEASUREMENT, Kind.PIPELINEJOB)
)
_JOB: Final = PREFIXES[Kind.PIPELINEJOB]
# UUIDs of files lie between these.
_FIRST: Final = PREFIXES[Kind.FILE]
_BEHIND: Final = str(int(_FIRST) + 1)

# Below a job are files only, of which there may be very many.
_BELOW: Final = f"""
WITH RECURSIVE parents (uuid) AS (
  SELECT :below
  UNION
  SELECT links.child FROM parents
  JOIN links ON links.tenant = :tenant AND links.parent = parents.uuid AND links.link = 'child_of'
  WHERE substr(parents.uuid, 1, 3) <> '{_JOB}' AND substr(links.child, 1, 3) IN ({_STEPS})
)
"""  # noqa: S608 - prefixes of ours
_ONE: Final = "WITH parents (uuid) AS (SELECT :child_of)"
_CHILDREN: Final = """
SELECT DISTINCT links.child FROM parents
CROSS JOIN links ON links.tenant = :tenant AND links.parent = parents.uuid AND links.link = 'child_of'
WHERE links.child > :after AND links.child < :behind ORDER BY links.child
"""
_CONDITIONS: Final = """
  AND (:type IS NULL OR records.document ->> '$.type' = :type)
  AND (:level IS NULL OR records.document ->> '$.level' = :level)
  AND (:system IS NULL OR records.document ->> '$.storage_system' = :system)
  AND (:path IS NULL OR substr(records.document ->> '$.name', 1, length(:path)) = :path)
"""
_OF_THESE: Final = f"""
SELECT records.uuid FROM json_each(:uuids) AS wanted
CROSS JOIN records ON records.tenant = :tenant AND records.uuid = wanted.value
WHERE records.kind = :kind {_CONDITIONS} ORDER BY records.uuid
"""  # noqa: S608 - texts of ours
_OF_ALL: Final = f"""
SELECT records.uuid FROM records
WHERE records.tenant = :tenant AND records.kind = :kind AND records.seq > :start {_CONDITIONS}
ORDER BY records.seq LIMIT :limit
"""  # noqa: S608 - texts of ours
# Children that are looked at together.
_PORTION: Final = 500


def listed(
    tx: sqlite3.Connection, tenant: TenantId, wanted: FileConditions, *, after: str | None, limit: int
) -> list[StoredRecord]:
    """Records of files: at most `limit` of those that come after the UUID `after`.

    With `below` or `child_of`, of which `below` counts, they are sorted by their UUIDs, and else by their age.

    Raises:
        RecordNotFound: there is no record `after`.
    """
    start = 0 if after is None else _number(tx, tenant, after)
    given = {
        "tenant": tenant,
        "kind": RecordKind.FILE,
        "type": wanted.type,
        "level": wanted.level,
        "system": wanted.system,
        "path": wanted.path,
    }
    if wanted.below is None and wanted.child_of is None:
        rows = tx.execute(_OF_ALL, {**given, "start": start, "limit": limit})
        uuids = [row["uuid"] for row in rows]
    else:
        uuids = list(islice(_children(tx, tenant, wanted, after or _FIRST, given), limit))
    found = records.found(tx, tenant, uuids)
    return [found[uuid] for uuid in uuids]


def _children(
    tx: sqlite3.Connection, tenant: TenantId, wanted: FileConditions, after: str, given: Mapping[str, str | None]
) -> Iterator[str]:
    """The sorted UUIDs of files with the conditions `given`; only as many records are looked at as are taken."""
    children = tx.execute(
        (_ONE if wanted.below is None else _BELOW) + _CHILDREN,
        {"tenant": tenant, "below": wanted.below, "child_of": wanted.child_of, "after": after, "behind": _BEHIND},
    )
    while portion := children.fetchmany(_PORTION):
        uuids = json.dumps([row["child"] for row in portion])
        yield from (row["uuid"] for row in tx.execute(_OF_THESE, {**given, "uuids": uuids}))


def _number(tx: sqlite3.Connection, tenant: TenantId, uuid: str) -> int:
    row = tx.execute("SELECT seq FROM records WHERE tenant = ? AND uuid = ?", (tenant, uuid)).fetchone()
    if row is None:
        raise RecordNotFound(f"The data catalog has no record {uuid} to go on after.")
    return int(row["seq"])
