"""Whom records that are loaded name in their links: by UUID, readable id, address or path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from abacod.errors import InvalidRecord
from abacod.ids import TenantId
from abacod.models.catalog import Record, RecordKind
from abacod.services.catalog.entry import Entry, allowed_kinds
from abacod.services.pipelinejobs.linkage import located
from abacod.store import records
from abacod.store.database import Transaction
from reactors.pipelinejobs.identifiers import Identifiers, Kind, is_uuid, kind_of

# Kinds whose UUIDs are made of their readable ids alone.
_BY_ID = frozenset(
    {
        Kind.CHALLENGE_PROBLEM,
        Kind.EXPERIMENT_DESIGN,
        Kind.EXPERIMENT,
        Kind.SAMPLE,
        Kind.MEASUREMENT,
        Kind.REFERENCE,
        Kind.PROCESS,
    }
)
_PREFIXES = frozenset({"experiment", "sample", "measurement", "file"})


class Naming:
    """Finds what names mean, among the records that are loaded and those that are stored."""

    def __init__(self, identifiers: Identifiers, entries: Sequence[Entry]) -> None:
        self._identifiers = identifiers
        self._entries = entries
        self._loaded = {entry.record.uuid for entry in entries}
        self._ids = {
            (entry.record.kind, identifier): entry.record.uuid
            for entry in entries
            for identifier in entry.record.identifiers
        }

    def linked(self, tx: Transaction, tenant: TenantId, problem: Callable[[InvalidRecord], None]) -> list[Record]:
        """The records with the UUIDs in their links; `problem` is told of each name that means nothing."""
        wanted = {
            (entry.record.kind, link, name)
            for entry in self._entries
            for link, names in entry.names.items()
            for name in names
        }
        stored = self._stored_ids(tx, tenant, (name for _, _, name in wanted))
        candidates = {key: self._candidates(key[2], allowed_kinds(key[0], key[1]), stored) for key in wanted}
        outside = {uuid for uuids in candidates.values() for uuid in uuids} - self._loaded
        known = records.known(tx, tenant, sorted(outside)) | self._loaded
        meant = {key: next((uuid for uuid in uuids if uuid in known), None) for key, uuids in candidates.items()}
        return [self._linked(entry, meant, problem) for entry in self._entries]

    @staticmethod
    def _linked(
        entry: Entry,
        meant: Mapping[tuple[RecordKind, str, str], str | None],
        problem: Callable[[InvalidRecord], None],
    ) -> Record:
        kind = entry.record.kind
        found: dict[str, tuple[str, ...]] = {}
        for link, names in entry.names.items():
            uuids = {name: meant[kind, link, name] for name in names}
            for name, uuid in uuids.items():
                if uuid is None:
                    wanted = " or ".join(sorted(each.replace("_", " ") for each in allowed_kinds(kind, link)))
                    problem(
                        InvalidRecord(f"{entry.place}: {link}: there is no {wanted} {name[:100]}; load it as well.")
                    )
            found[link] = tuple(sorted({uuid for uuid in uuids.values() if uuid is not None}))
        return replace(entry.record, links=found)

    def _candidates(
        self, name: str, allowed: frozenset[Kind], stored: Mapping[tuple[RecordKind, str], str]
    ) -> list[str]:
        """The UUIDs that a name may mean, the likeliest first."""
        if is_uuid(name):
            return [name] if _is_of(name, allowed) else []
        found: list[str] = []
        prefix = name.partition(".")[0]
        place = located(self._identifiers, name)
        kinds = {Kind(prefix)} & allowed if prefix in _PREFIXES and "." in name else allowed
        for kind in sorted(kinds):
            if kind in _BY_ID:
                found.append(self._identifiers.typed(kind, name))
            if kind is Kind.FILE and place is not None:
                found.append(self._identifiers.file(place[1], place[0]))
            if kind in (Kind.FILE, Kind.REFERENCE):
                key = (RecordKind(kind), name)
                found += [uuid for uuid in (self._ids.get(key), stored.get(key)) if uuid is not None]
        return found

    @staticmethod
    def _stored_ids(tx: Transaction, tenant: TenantId, names: Iterable[str]) -> dict[tuple[RecordKind, str], str]:
        """Files and references have ids of which their UUIDs are not made."""
        kinds = (RecordKind.FILE, RecordKind.REFERENCE)
        pairs = {(kind, name) for name in names if not is_uuid(name) and "\0" not in name for kind in kinds}
        return records.holders(tx, tenant, pairs)


def _is_of(uuid: str, kinds: frozenset[Kind]) -> bool:
    try:
        return kind_of(uuid) in kinds
    except ValueError:
        return False
