"""Records of files in the data catalog: written by the Indexer, and shown with what they are linked to (spec/pipelinejobs 6.3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from abacod.clock import Clock, isoformat
from abacod.errors import RecordNotFound
from abacod.ids import TenantId, Username
from abacod.models.catalog import Outcome, Record, RecordKind, StoredRecord
from abacod.models.files import FileConditions
from abacod.services.pipelinejobs.linkage import lookup
from abacod.store import files, links, records
from abacod.store.database import Database, Transaction
from reactors.pipelinejobs.identifiers import Identifiers, Kind, is_typed, retyped
from reactors.ports import FileRecord, Fixity

_PARENTS: Final = (Kind.PIPELINEJOB, Kind.MEASUREMENT, Kind.SAMPLE, Kind.EXPERIMENT, Kind.EXPERIMENT_DESIGN)


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file of the catalog. `fixity` is the record of its checksum, None if there is none.

    `measurements` are the sorted UUIDs of those that it, or a job that it is a child of, belongs to.
    """

    record: StoredRecord
    fixity: StoredRecord | None
    measurements: tuple[str, ...]


class FileRecords:
    """The use-cases of records of files."""

    def __init__(self, database: Database, identifiers: Identifiers, clock: Clock) -> None:
        self._database = database
        self._identifiers = identifiers
        self._clock = clock

    async def write(self, tenant: TenantId, by: Username, seen: Sequence[FileRecord]) -> None:
        """Write records of files and their checksums, in one transaction; no two of them are of one file.

        What is there is merged with: links accumulate, all else is replaced. A second time changes nothing.

        Raises:
            InvalidRecord: the record of another file has the id of one of them.
        """
        now = self._clock.now()
        await self._database.write(lambda tx: self._write(tx, tenant, by, seen, now))

    async def resolve(self, tenant: TenantId, identifiers: Sequence[str], kinds: Collection[str]) -> dict[str, str]:
        """The UUIDs of records of these kinds by what names them (see `linkage.lookup`); those unknown are left out."""

        def look(tx: Transaction) -> dict[str, str]:
            found = {text: lookup(tx, tenant, self._identifiers, text, kinds) for text in dict.fromkeys(identifiers)}
            return {text: uuid for text, uuid in found.items() if uuid is not None}

        return await self._database.read(look)

    async def get(self, tenant: TenantId, name: str) -> KnownFile:
        """The file that a UUID, readable id, `agave://` URI or path on the default storage system names.

        Raises:
            RecordNotFound: the catalog has none.
        """

        def look(tx: Transaction) -> KnownFile:
            uuid = self._known(tx, tenant, name, (Kind.FILE,), "file")
            return _known_files(tx, tenant, [records.get(tx, tenant, uuid)])[0]

        return await self._database.read(look)

    async def listed(
        self, tenant: TenantId, wanted: FileConditions, *, after: str | None, limit: int
    ) -> list[KnownFile]:
        """Files: at most `limit` of those after the UUID `after`, in the order of `store.files.listed`.

        `below` may be the UUID of a job, or the UUID or readable id of a measurement, sample, experiment or design.

        Raises:
            RecordNotFound: there is nothing that `below` names, or no record `after`.
        """

        def look(tx: Transaction) -> list[KnownFile]:
            meant = wanted
            if wanted.below is not None:
                below = self._known(
                    tx, tenant, wanted.below, _PARENTS, "job, measurement, sample, experiment or design"
                )
                meant = FileConditions(
                    below=below, type=wanted.type, level=wanted.level, system=wanted.system, path=wanted.path
                )
            return _known_files(tx, tenant, files.listed(tx, tenant, meant, after=after, limit=limit))

        return await self._database.read(look)

    # --- parts --------------------------------------------------------------------------------------------------

    def _known(self, tx: Transaction, tenant: TenantId, name: str, kinds: Collection[Kind], shown: str) -> str:
        uuid = lookup(tx, tenant, self._identifiers, name, kinds)
        if uuid is None:
            raise RecordNotFound(
                f"The data catalog has no {shown} {name.encode('ascii', 'backslashreplace').decode()}."
            )
        return uuid

    def _write(
        self, tx: Transaction, tenant: TenantId, by: Username, seen: Sequence[FileRecord], now: datetime
    ) -> None:
        uuids = [self._identifiers.file(file.path, file.system) for file in seen]
        stored = records.found(tx, tenant, [*uuids, *(retyped(uuid, Kind.FIXITY) for uuid in uuids)])
        wanted: list[Record] = []
        for uuid, file in zip(uuids, seen, strict=True):
            wanted.append(self._record(uuid, file))
            if file.fixity is not None:
                name = retyped(uuid, Kind.FIXITY)
                wanted.append(_fixity(name, file, file.fixity, stored.get(name)))
        edits = [records.edited(stored.get(record.uuid), record, by=by, now=now) for record in wanted]
        changing = [edit for edit in edits if edit.change.outcome is not Outcome.UNCHANGED]
        records.write(tx, tenant, changing, by=by)

    def _record(self, uuid: str, file: FileRecord) -> Record:
        document: dict[str, Any] = {
            "name": file.path,
            "storage_system": file.system,
            "type": file.type,
            "level": file.level,
            "file_id": self._identifiers.file_id(file.path, file.system),
        }
        if file.note is not None:
            document["note"] = file.note
        return Record(uuid, RecordKind.FILE, document, {name: tuple(parents) for name, parents in file.links.items()})


def _fixity(uuid: str, file: FileRecord, fixity: Fixity, before: StoredRecord | None) -> Record:
    """The record of a checksum; its version goes up when anything of it changes (spec/pipelinejobs 6.3)."""
    stored = {} if before is None else before.document
    modified = _moment(fixity.modified)
    document: dict[str, Any] = {
        "name": file.path,
        "storage_system": file.system,
        "type": file.type,
        "checksum": fixity.checksum,
        "size": fixity.size,
        "modified": modified,
    }
    same = all(name in stored and stored[name] == value for name, value in document.items())
    document["version"] = stored.get("version", 0) + (not same)
    # No disk tells when a file was made: it is the time of its last change when it was first seen.
    document["created"] = stored.get("created", modified)
    return Record(uuid, RecordKind.FIXITY, document)


def _moment(seconds: float) -> str | None:
    """A file's time as records show it; None for one that no calendar has."""
    try:
        return isoformat(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def _known_files(tx: Transaction, tenant: TenantId, found: Sequence[StoredRecord]) -> list[KnownFile]:
    fixities = records.found(tx, tenant, [retyped(record.uuid, Kind.FIXITY) for record in found])
    parents = {parent for record in found for parent in record.links.get("child_of", ())}
    jobs = links.parents_of(tx, tenant, sorted(uuid for uuid in parents if is_typed(uuid, Kind.PIPELINEJOB)))
    return [
        KnownFile(record, fixities.get(retyped(record.uuid, Kind.FIXITY)), _measurements(record, jobs))
        for record in found
    ]


def _measurements(record: StoredRecord, jobs: dict[str, dict[str, tuple[str, ...]]]) -> tuple[str, ...]:
    parents = record.links.get("child_of", ())
    beyond = (each for parent in parents for each in jobs.get(parent, {}).get("child_of", ()))
    return tuple(sorted({uuid for uuid in (*parents, *beyond) if is_typed(uuid, Kind.MEASUREMENT)}))
