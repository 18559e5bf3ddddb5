"""Records of the data catalog, and their readable ids."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from abacod.clock import from_ms, to_ms
from abacod.errors import InvalidRecord, RecordNotFound
from abacod.ids import TenantId, Username
from abacod.models.catalog import LINK_NAMES, Change, Outcome, Record, RecordKind, StoredRecord
from abacod.store import links
from reactors.pipelinejobs.records import merged


def find(tx: sqlite3.Connection, tenant: TenantId, uuid: str) -> StoredRecord | None:
    """The record with its links, None if the tenant has none of this UUID."""
    return found(tx, tenant, (uuid,)).get(uuid)


def get(tx: sqlite3.Connection, tenant: TenantId, uuid: str) -> StoredRecord:
    """The record with its links.

    Raises:
        RecordNotFound: the tenant has none of this UUID.
    """
    record = find(tx, tenant, uuid)
    if record is None:
        raise RecordNotFound(f"The data catalog has no record {uuid}.")
    return record


def found(tx: sqlite3.Connection, tenant: TenantId, uuids: Sequence[str]) -> dict[str, StoredRecord]:
    """Those of the records that the tenant has, by their UUIDs."""
    rows = tx.execute(
        """
        SELECT records.* FROM json_each(?) AS wanted
        CROSS JOIN records ON records.tenant = ? AND records.uuid = wanted.value
        """,
        (json.dumps(uuids), tenant),
    )
    return {record.uuid: record for record in _with_links(tx, tenant, [_from_row(row) for row in rows])}


def by_identifier(tx: sqlite3.Connection, tenant: TenantId, kind: RecordKind, identifier: str) -> StoredRecord | None:
    """The record of that kind with this readable id, None if there is none."""
    uuid = identified(tx, tenant, [identifier]).get((kind, identifier))
    return None if uuid is None else find(tx, tenant, uuid)


def identified(
    tx: sqlite3.Connection, tenant: TenantId, identifiers: Iterable[str]
) -> dict[tuple[RecordKind, str], str]:
    """The UUIDs of all records, of any kind, that have one of the readable ids; by kind and id."""
    return holders(tx, tenant, [(kind, identifier) for identifier in identifiers for kind in RecordKind])


def holders(
    tx: sqlite3.Connection, tenant: TenantId, pairs: Iterable[tuple[RecordKind, str]]
) -> dict[tuple[RecordKind, str], str]:
    """The UUIDs of those records that have one of the readable ids, given with their kinds."""
    rows = tx.execute(
        """
        SELECT identifiers.kind, identifier, uuid FROM json_each(:pairs) AS wanted
        CROSS JOIN identifiers ON identifiers.tenant = :tenant
          AND identifiers.kind = wanted.value ->> 0 AND identifiers.identifier = wanted.value ->> 1
        """,
        {"pairs": json.dumps(list(pairs)), "tenant": tenant},
    )
    return {(RecordKind(row["kind"]), row["identifier"]): row["uuid"] for row in rows}


def listed(
    tx: sqlite3.Connection, tenant: TenantId, kind: RecordKind, *, after: str | None, limit: int, child_of: str | None
) -> list[StoredRecord]:
    """Records of a kind, oldest first: at most `limit` of those that come after the UUID `after`, children of `child_of`."""
    start = 0
    if after is not None:
        row = tx.execute("SELECT seq FROM records WHERE tenant = ? AND uuid = ?", (tenant, after)).fetchone()
        if row is None:
            raise RecordNotFound(f"The data catalog has no record {after} to go on after.")
        start = row["seq"]
    rows = tx.execute(
        """
        SELECT * FROM records WHERE tenant = :tenant AND kind = :kind AND seq > :start
          AND (:parent IS NULL OR uuid IN (
            SELECT child FROM links WHERE tenant = :tenant AND parent = :parent AND link = 'child_of'))
        ORDER BY seq LIMIT :limit
        """,
        {"tenant": tenant, "kind": kind, "start": start, "parent": child_of, "limit": limit},
    )
    return _with_links(tx, tenant, [_from_row(row) for row in rows])


def known(tx: sqlite3.Connection, tenant: TenantId, uuids: Sequence[str]) -> set[str]:
    """Those of the UUIDs that a record, a job or a pipeline of the tenant has."""
    rows = tx.execute(
        """
        SELECT value FROM json_each(:wanted) WHERE
          EXISTS (SELECT 1 FROM records WHERE tenant = :tenant AND uuid = value)
          OR EXISTS (SELECT 1 FROM jobs WHERE tenant = :tenant AND uuid = value)
          OR EXISTS (SELECT 1 FROM pipelines WHERE tenant = :tenant AND uuid = value)
        """,
        {"wanted": json.dumps(uuids), "tenant": tenant},
    )
    return {row["value"] for row in rows}


def upsert(tx: sqlite3.Connection, tenant: TenantId, record: Record, *, by: Username, now: datetime) -> Change:
    """Write a record: make it, or merge it over the stored one (spec/pipelinejobs 9.3).

    Objects in the document merge, all else is replaced; links are united. If that changes anything the revision goes up by
    one and the change is noted. Whether linked parents exist is not looked at.

    Raises:
        InvalidRecord: another record of the kind has one of its readable ids.
    """
    edit = edited(find(tx, tenant, record.uuid), record, by=by, now=now)
    if edit.change.outcome is not Outcome.UNCHANGED:
        write(tx, tenant, [edit], by=by)
    return edit.change


@dataclass(frozen=True, slots=True)
class Edit:
    """What writing a record would do, ready to be written.

    `document` and `changes` are JSON texts: the new document, and what is noted of the change. `added` are the new links,
    `gained` and `dropped` the readable ids that the record has from now on, and has no more.
    """

    record: StoredRecord
    change: Change
    document: str
    changes: str
    added: Mapping[str, tuple[str, ...]]
    gained: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def edited(stored: StoredRecord | None, record: Record, *, by: Username, now: datetime) -> Edit:
    """What `upsert` would do where `stored` is what there is; nothing is written."""
    before = stored or StoredRecord(record.uuid, record.kind, {}, {}, owner=by, created=now, modified=now, revision=-1)
    document = record.document if stored is None else merged(before.document, record.document)
    added = {name: _new(before.links.get(name, ()), record.links.get(name, ()), record.uuid) for name in LINK_NAMES}
    added = {name: parents for name, parents in added.items() if parents}
    united = {**before.links, **{name: tuple(sorted({*before.links.get(name, ()), *added[name]})) for name in added}}
    text = _text(document)
    if stored is not None and not added and text == _text(before.document):
        return Edit(stored, Change(record.uuid, record.kind, Outcome.UNCHANGED, stored.revision), text, "{}", {})
    after = replace(before, document=document, links=united, modified=now, revision=before.revision + 1)
    changed = {name: value for name, value in document.items() if _differs(before.document, name, value)}
    return Edit(
        after,
        Change(record.uuid, record.kind, Outcome.CREATED if stored is None else Outcome.UPDATED, before.revision + 1),
        text,
        _text({**changed, **{name: united[name] for name in added}}),
        added,
        gained=_new(before.identifiers, after.identifiers, ""),
        dropped=_new(after.identifiers, before.identifiers, ""),
    )


def same_document(one: Record, other: Record) -> bool:
    """Whether two records have the same fields, links aside."""
    return _text(one.document) == _text(other.document)


def write(tx: sqlite3.Connection, tenant: TenantId, edits: Sequence[Edit], *, by: Username) -> None:
    """Write edits that are no `UNCHANGED`, of records that are as they were when the edits were made.

    Raises:
        InvalidRecord: another record of the kind has one of the readable ids.
    """
    _drop_identifiers(tx, tenant, edits)
    with _identifiers_checked(tx, tenant, edits):
        for table, rows in _rows(tenant, edits, by).items():
            tx.executemany(f"{_INSERT[table]} VALUES ({_places(table)}) {_CONFLICT[table]}", rows)


def stage(
    tx: sqlite3.Connection, tenant: TenantId, edits: Sequence[Edit], *, by: Username, done: Callable[[float], None]
) -> None:
    """Put the rows of edits beside the database, for `write_staged`: while that is done others may write.

    `done` is told which part of it is done; with `write_staged`, which tells nothing, it would be whole.
    """
    tx.execute("BEGIN")
    for number, (table, rows) in enumerate(_rows(tenant, edits, by).items()):
        done(number / (len(_COLUMNS) + 1))
        tx.execute(f"CREATE TEMP TABLE staged_{table} ({_COLUMNS[table]})")
        # In the order of the table's own index they go in twice as fast.
        ordered = sorted(rows) if table in ("identifiers", "links") else rows
        tx.executemany(f"INSERT INTO temp.staged_{table} VALUES ({_places(table)})", ordered)  # noqa: S608 - names of ours
    done(len(_COLUMNS) / (len(_COLUMNS) + 1))
    tx.execute("COMMIT")


def write_staged(tx: sqlite3.Connection, tenant: TenantId, edits: Sequence[Edit], *, without: Collection[str]) -> None:
    """As `write`, with edits that have been staged on this connection; those of the UUIDs `without` are left out."""
    _drop_identifiers(tx, tenant, edits)
    with _identifiers_checked(tx, tenant, edits):
        for table, insert_into in _INSERT.items():
            uuid = "child" if table == "links" else "uuid"
            tx.execute(
                f"{insert_into} SELECT * FROM temp.staged_{table} "  # noqa: S608 - names of ours
                f"WHERE {uuid} NOT IN (SELECT value FROM json_each(?)) ORDER BY rowid {_CONFLICT[table]}",
                (json.dumps(list(without)),),
            )


_COLUMNS: Final = {
    "records": "tenant, uuid, kind, document, owner, revision, created_ms, modified_ms",
    "identifiers": "tenant, kind, identifier, uuid",
    "links": "tenant, child, link, parent",
    "updates": "tenant, uuid, action, by_user, date_ms, changes",
}
_INSERT: Final = {table: f"INSERT INTO main.{table} ({columns})" for table, columns in _COLUMNS.items()}
_CONFLICT: Final = {
    "records": """
        ON CONFLICT (tenant, uuid) DO UPDATE
        SET document = excluded.document, revision = excluded.revision, modified_ms = excluded.modified_ms
        """,
    "identifiers": "",
    "links": "ON CONFLICT DO NOTHING",
    "updates": "",
}


def _places(table: str) -> str:
    return ", ".join("?" for _ in _COLUMNS[table].split(","))


# --- rows and records -----------------------------------------------------------------------------------------------


def _rows(tenant: TenantId, edits: Sequence[Edit], by: Username) -> dict[str, Iterator[tuple[str | int, ...]]]:
    """What goes into each table."""
    return {
        "records": (_to_row(tenant, edit) for edit in edits),
        "identifiers": _identifier_rows(tenant, ((edit.record, edit.gained) for edit in edits)),
        "links": (
            (tenant, edit.record.uuid, name, parent)
            for edit in edits
            for name, parents in edit.added.items()
            for parent in parents
        ),
        "updates": (
            (
                tenant,
                edit.record.uuid,
                "create" if edit.change.outcome is Outcome.CREATED else "update",
                by,
                to_ms(edit.record.modified),
                edit.changes,
            )
            for edit in edits
        ),
    }


def _drop_identifiers(tx: sqlite3.Connection, tenant: TenantId, edits: Sequence[Edit]) -> None:
    tx.executemany(
        "DELETE FROM identifiers WHERE tenant = ? AND kind = ? AND identifier = ? AND uuid = ?",
        _identifier_rows(tenant, ((edit.record, edit.dropped) for edit in edits)),
    )


@contextmanager
def _identifiers_checked(tx: sqlite3.Connection, tenant: TenantId, edits: Sequence[Edit]) -> Iterator[None]:
    """Says whose a readable id is that has been taken already."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        check_identifiers(tx, tenant, edits)
        raise InvalidRecord("Two of the records have the same readable id; each may be given once.") from error


def check_identifiers(tx: sqlite3.Connection, tenant: TenantId, edits: Iterable[Edit]) -> None:
    """Raises InvalidRecord if a record that is not among the edited ones has one of the ids that they would gain."""
    edits = list(edits)
    taken = holders(tx, tenant, [(edit.record.kind, identifier) for edit in edits for identifier in edit.gained])
    leaving = {(edit.record.kind, identifier) for edit in edits for identifier in edit.dropped}
    for edit in edits:
        for identifier in edit.gained:
            holder = taken.get((edit.record.kind, identifier), edit.record.uuid)
            if holder != edit.record.uuid and (edit.record.kind, identifier) not in leaving:
                raise InvalidRecord(f"The {edit.record.kind} {holder} has the id {identifier!r} already.")


def _identifier_rows(
    tenant: TenantId, given: Iterable[tuple[Record, tuple[str, ...]]]
) -> Iterator[tuple[str, str, str, str]]:
    for record, identifiers in given:
        for identifier in identifiers:
            yield tenant, record.kind, identifier, record.uuid


def _new(before: tuple[str, ...], given: Iterable[str], own: str) -> tuple[str, ...]:
    return tuple(sorted({parent for parent in given if parent != own} - {*before}))


def _differs(before: Mapping[str, Any], name: str, value: Any) -> bool:
    return name not in before or _text(before[name]) != _text(value)


def _text(value: Any) -> str:
    # Equal texts mean equal values; Python itself takes 1 and true for equal.
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _to_row(tenant: TenantId, edit: Edit) -> tuple[str | int, ...]:
    record = edit.record
    return (
        tenant,
        record.uuid,
        record.kind,
        edit.document,
        record.owner,
        record.revision,
        to_ms(record.created),
        to_ms(record.modified),
    )


def _from_row(row: sqlite3.Row) -> StoredRecord:
    return StoredRecord(
        uuid=row["uuid"],
        kind=RecordKind(row["kind"]),
        document=json.loads(row["document"]),
        owner=Username(row["owner"]),
        created=from_ms(row["created_ms"]),
        modified=from_ms(row["modified_ms"]),
        revision=row["revision"],
    )


def _with_links(tx: sqlite3.Connection, tenant: TenantId, bare: Sequence[StoredRecord]) -> list[StoredRecord]:
    linked = links.parents_of(tx, tenant, [record.uuid for record in bare])
    return [replace(record, links=linked.get(record.uuid, {})) for record in bare]
