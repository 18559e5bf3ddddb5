"""Loading records into the catalog: all of them or none.

Everything that takes time happens before the transaction: records are read and checked, and what they would change is
worked out on a view of the database. The transaction only writes that down. What somebody else changed in the meantime it
works out anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from abacod.errors import InvalidRecord
from abacod.ids import TenantId, Username
from abacod.models.catalog import Change, Outcome, Record, RecordKind, StoredRecord
from abacod.services.catalog.entry import Entry, entries
from abacod.services.catalog.naming import Naming
from abacod.services.catalog.source import Item
from abacod.store import records, updates
from abacod.store.database import Transaction
from abacod.store.records import Edit
from reactors.pipelinejobs.identifiers import Identifiers

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many records are done, and of how many."""

# Of so many problems all are told, and after so many records the progress.
_MOST_PROBLEMS: Final = 100
_STEP: Final = 1000

Loaded = Mapping[RecordKind, Mapping[Outcome, int]]
"""How many records of each kind had each outcome."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a load would do: `edits` to records that are as they were at the change numbered `seen`."""

    records: Mapping[str, Record]
    edits: Sequence[Edit]
    unchanged: Sequence[Change]
    seen: int


def prepared(items: Iterable[Item], identifiers: Identifiers, progress: Progress) -> list[Entry]:
    """The records, each once, checked as far as each can be alone.

    Raises:
        InvalidRecord: a record is wrong, or two of them do not go together; `result` lists up to 100 such problems.
    """
    problems = Problems()
    found: dict[str, Entry] = {}
    holders: dict[tuple[RecordKind, str], Entry] = {}
    given = list(items)
    for number, item in enumerate(given):
        if number % _STEP == 0:
            progress("Checking", number, len(given))
        try:
            for entry in entries(item, identifiers):
                _add(found, holders, entry)
        except InvalidRecord as error:
            problems.add(error)
    problems.raise_any()
    progress("Checking", len(given), len(given))
    return list(found.values())


def planned(
    tx: Transaction,
    tenant: TenantId,
    given: Sequence[Entry],
    identifiers: Identifiers,
    *,
    by: Username,
    now: datetime,
    progress: Progress,
) -> Plan:
    """What loading them would do; nothing is written.

    Raises:
        InvalidRecord: a link names nothing, or an id belongs to another record.
    """
    seen = updates.last(tx)
    problems = Problems()
    linked = Naming(identifiers, given).linked(tx, tenant, problems.add)
    problems.raise_any()
    edits: list[Edit] = []
    unchanged: list[Change] = []
    for number, record, stored in _with_stored(tx, tenant, linked):
        if number % _STEP == 0:
            progress("Comparing", number, len(linked))
        edit = records.edited(stored, record, by=by, now=now)
        if edit.change.outcome is Outcome.UNCHANGED:
            unchanged.append(edit.change)
        else:
            edits.append(edit)
    records.check_identifiers(tx, tenant, edits)
    progress("Comparing", len(linked), len(linked))
    return Plan({record.uuid: record for record in linked}, edits, unchanged, seen)


def stage(tx: Transaction, tenant: TenantId, plan: Plan, *, by: Username, progress: Progress) -> None:
    """Put down what is to be written beside the database, so that the transaction itself takes less time."""
    total = len(plan.records)
    records.stage(tx, tenant, plan.edits, by=by, done=lambda part: progress("Writing", int(part * total), total))


def carried_out(
    tx: Transaction, tenant: TenantId, plan: Plan, *, by: Username, now: datetime, staged: bool = False
) -> Loaded:
    """Write what was planned, within a transaction. `staged` says that it stands beside the database already.

    Raises:
        InvalidRecord: somebody else has taken an id meanwhile.
    """
    stale = updates.since(tx, tenant, plan.seen) & plan.records.keys()
    fresh = [edit for edit in plan.edits if edit.record.uuid not in stale]
    if staged:
        records.write_staged(tx, tenant, fresh, without=stale)
    else:
        records.write(tx, tenant, fresh, by=by)
    changes = [edit.change for edit in fresh]
    changes += [change for change in plan.unchanged if change.uuid not in stale]
    changes += [records.upsert(tx, tenant, plan.records[uuid], by=by, now=now) for uuid in sorted(stale)]
    counted = Counter((change.kind, change.outcome) for change in changes)
    kinds = [kind for kind in RecordKind if any((kind, outcome) in counted for outcome in Outcome)]
    return {kind: {outcome: counted[kind, outcome] for outcome in Outcome} for kind in kinds}


class Problems:
    """What is wrong with the records of a load, as far as anyone reads it."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._count = 0

    def add(self, error: InvalidRecord) -> None:
        """One more."""
        self._count += 1
        if len(self._told) < _MOST_PROBLEMS:
            self._told.append(error.message)

    def raise_any(self) -> None:
        """Raises InvalidRecord if there was any; the message is the first, `result` lists them."""
        if not self._told:
            return
        more = f" There are {self._count - 1} more problems." if self._count > 1 else ""
        raise InvalidRecord(
            self._told[0] + more, hint="\n".join(self._told[1:10]) or None, result={"problems": self._told}
        )


def _add(found: dict[str, Entry], holders: dict[tuple[RecordKind, str], Entry], entry: Entry) -> None:
    """Take a record in, or unite the links of one that is there already.

    Raises:
        InvalidRecord: there it has other fields, or its id is that of another record.
    """
    uuid = entry.record.uuid
    known = found.get(uuid)
    if known is None:
        for identifier in entry.record.identifiers:
            holder = holders.setdefault((entry.record.kind, identifier), entry)
            if holder is not entry:
                raise InvalidRecord(f"{entry.place}: the id {identifier!r} is that of another record ({holder.place}).")
        found[uuid] = entry
        return
    if not records.same_document(known.record, entry.record):
        raise InvalidRecord(f"{entry.place}: this {known.record.kind} stands with other fields at {known.place}.")
    names = {
        link: tuple(dict.fromkeys((*known.names.get(link, ()), *entry.names.get(link, ()))))
        for link in (*known.names, *entry.names)
    }
    found[uuid] = replace(known, names=names)


def _with_stored(
    tx: Transaction, tenant: TenantId, given: Sequence[Record]
) -> Iterator[tuple[int, Record, StoredRecord | None]]:
    for start in range(0, len(given), _STEP):
        step = given[start : start + _STEP]
        stored = records.found(tx, tenant, [record.uuid for record in step])
        for number, record in enumerate(step, start):
            yield number, record, stored.get(record.uuid)
