"""Links from pipelines, jobs and records to what they belong to, come from or used (spec/pipelinejobs 1.8)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from abacod.ids import TenantId
from abacod.models.catalog import LINK_NAMES, RecordKind
from reactors.pipelinejobs.identifiers import PREFIXES, Kind, kind_of

# Only these stand between an experiment design and its measurements; jobs and files, of which there are many, lead nowhere.
_STEPS: Final = tuple(
    PREFIXES[kind] for kind in (Kind.EXPERIMENT_DESIGN, Kind.EXPERIMENT, Kind.SAMPLE, Kind.MEASUREMENT)
)


def add(tx: sqlite3.Connection, tenant: TenantId, child: str, link: str, parents: Iterable[str]) -> int:
    """Add parents to those that a link of the child has; returns how many are new.

    What is no typed UUID, and the child itself, are passed over. Whether the parents exist is not looked at.
    """
    wanted = {parent for parent in parents if parent != child and _is_typed(parent)}
    added = 0
    for parent in sorted(wanted):
        added += tx.execute(
            "INSERT INTO links (tenant, child, link, parent) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (tenant, child, link, parent),
        ).rowcount
    return added


def remove_all(tx: sqlite3.Connection, tenant: TenantId, uuid: str) -> None:
    """Remove the links from and to what is deleted."""
    tx.execute("DELETE FROM links WHERE tenant = ? AND child = ?", (tenant, uuid))
    tx.execute("DELETE FROM links WHERE tenant = ? AND parent = ?", (tenant, uuid))


def parents(tx: sqlite3.Connection, tenant: TenantId, child: str) -> dict[str, tuple[str, ...]]:
    """The sorted UUIDs that the child is linked to, by the name of the link; links without any are left out."""
    return parents_of(tx, tenant, (child,)).get(child, {})


def parents_of(
    tx: sqlite3.Connection, tenant: TenantId, children: Sequence[str]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """As `parents`, of many children at once, by their UUIDs; children without links are left out."""
    rows = tx.execute(
        """
        SELECT links.child, links.link, links.parent FROM json_each(?) AS wanted
        CROSS JOIN links ON links.tenant = ? AND links.child = wanted.value
        ORDER BY links.child, links.link, links.parent
        """,
        (json.dumps(children), tenant),
    )
    found: dict[str, dict[str, list[str]]] = {}
    for child, link, parent in rows:
        found.setdefault(child, {}).setdefault(link, []).append(parent)
    return {child: _frozen(links) for child, links in found.items()}


def children(tx: sqlite3.Connection, tenant: TenantId, parent: str, link: str | None = None) -> tuple[str, ...]:
    """The sorted UUIDs of what is linked to the parent, by that link or by any."""
    rows = tx.execute(
        "SELECT DISTINCT child FROM links WHERE tenant = ? AND parent = ? AND (?3 IS NULL OR link = ?3) ORDER BY child",
        (tenant, parent, link),
    )
    return tuple(row["child"] for row in rows)


def count_children(tx: sqlite3.Connection, tenant: TenantId, parent: str) -> dict[str, int]:
    """How many of each type of UUID are a `child_of` the parent, by the names of the types."""
    rows = tx.execute(
        """
        SELECT substr(child, 1, 3) AS prefix, count(*) AS children FROM links
        WHERE tenant = ? AND parent = ? AND link = 'child_of' GROUP BY prefix ORDER BY prefix
        """,
        (tenant, parent),
    )
    named = {prefix: str(kind) for kind, prefix in PREFIXES.items()}
    return {named[row["prefix"]]: row["children"] for row in rows if row["prefix"] in named}


def descendants(tx: sqlite3.Connection, tenant: TenantId, parents: Iterable[str], kind: RecordKind) -> tuple[str, ...]:
    """The sorted UUIDs of that kind at the end of chains of `child_of` from any of the parents.

    The chains lead over experiments, samples and measurements, and end at the first of that kind.
    """
    prefix = PREFIXES[Kind(kind)]
    rows = tx.execute(
        """
        WITH RECURSIVE below (uuid, is_end) AS (
          SELECT value, 0 FROM json_each(:parents)
          UNION
          SELECT links.child, substr(links.child, 1, 3) = :prefix
          FROM below JOIN links ON links.tenant = :tenant AND links.parent = below.uuid AND links.link = 'child_of'
          WHERE NOT below.is_end AND substr(links.child, 1, 3) IN (SELECT value FROM json_each(:steps))
        )
        SELECT uuid FROM below WHERE is_end ORDER BY uuid
        """,
        {
            "tenant": tenant,
            "parents": json.dumps(list(parents)),
            "prefix": prefix,
            "steps": json.dumps([*_STEPS, prefix]),
        },
    )
    return tuple(row["uuid"] for row in rows)


def _frozen(links: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(links[name]) for name in LINK_NAMES if name in links}


def _is_typed(text: str) -> bool:
    try:
        kind_of(text)
    except ValueError:
        return False
    return True
