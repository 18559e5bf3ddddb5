"""The use-cases of the data catalog."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from abacod.clock import Clock
from abacod.errors import RecordNotFound
from abacod.ids import TenantId
from abacod.models.catalog import Outcome, RecordKind, StoredRecord
from abacod.models.user import Caller
from abacod.services.catalog.entry import Entry
from abacod.services.catalog.loading import Loaded, carried_out, planned, prepared
from abacod.services.catalog.source import items
from abacod.services.pipelinejobs.linkage import lookup
from abacod.store import links, records
from abacod.store.database import Database, Transaction
from reactors.pipelinejobs.identifiers import Identifiers

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Shown:
    """A record, and how many children of each kind it has."""

    record: StoredRecord
    children: Mapping[str, int]


class Catalog:
    """Loads records, lists them and shows one."""

    def __init__(self, database: Database, identifiers: Identifiers, clock: Clock) -> None:
        self._database = database
        self._identifiers = identifiers
        self._clock = clock

    async def load(self, caller: Caller, data: bytes) -> Loaded:
        """Write the records in a body of JSON: all of them, or none.

        Raises:
            InvalidRecord: one of them is wrong, names what does not exist, or has the id of another one.
        """
        given = await asyncio.to_thread(self._prepared, data)
        now = self._clock.now()
        plan = await self._database.read(
            lambda tx: planned(
                tx, caller.tenant, given, self._identifiers, by=caller.username, now=now, progress=_silently
            )
        )
        loaded = await self._database.write(
            lambda tx: carried_out(tx, caller.tenant, plan, by=caller.username, now=now)
        )
        sums = {outcome: sum(counts[outcome] for counts in loaded.values()) for outcome in Outcome}
        _log.info(
            "catalog_loaded",
            tenant=caller.tenant,
            by=caller.username,
            created=sums[Outcome.CREATED],
            updated=sums[Outcome.UPDATED],
            unchanged=sums[Outcome.UNCHANGED],
        )
        return loaded

    async def listed(
        self,
        tenant: TenantId,
        kind: RecordKind,
        *,
        limit: int,
        after: str | None = None,
        child_of: str | None = None,
        identifier: str | None = None,
    ) -> Sequence[StoredRecord]:
        """Records of a kind, oldest first; texts name records as `lookup` reads them.

        At most `limit` of those after the record `after`, only children of `child_of`, and only the one named `identifier`.

        Raises:
            RecordNotFound: there is no such `after` or `child_of`.
        """

        def ask(tx: Transaction) -> Sequence[StoredRecord]:
            if identifier is not None:
                uuid = lookup(tx, tenant, self._identifiers, identifier, (kind,))
                found = uuid and records.find(tx, tenant, uuid)
                return [found] if found else []
            return records.listed(
                tx,
                tenant,
                kind,
                after=None if after is None else self._uuid(tx, tenant, after, (kind,)),
                limit=limit,
                child_of=None if child_of is None else self._uuid(tx, tenant, child_of),
            )

        return await self._database.read(ask)

    async def show(self, tenant: TenantId, identifier: str) -> Shown:
        """The record that a text names, as `lookup` reads it.

        Raises:
            RecordNotFound: there is none.
        """

        def ask(tx: Transaction) -> Shown:
            record = records.get(tx, tenant, self._uuid(tx, tenant, identifier, list(RecordKind)))
            return Shown(record, links.count_children(tx, tenant, record.uuid))

        return await self._database.read(ask)

    def _prepared(self, data: bytes) -> list[Entry]:
        return prepared(items(data, "request body"), self._identifiers, _silently)

    def _uuid(self, tx: Transaction, tenant: TenantId, identifier: str, kinds: Sequence[str] | None = None) -> str:
        uuid = lookup(tx, tenant, self._identifiers, identifier, kinds)
        if uuid is None:
            raise RecordNotFound(f"The data catalog has no record {identifier[:200]}.")
        return uuid


def _silently(what: str, done: int, total: int) -> None:
    """Nobody looks."""
