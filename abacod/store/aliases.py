"""Aliases."""

from __future__ import annotations

import sqlite3

from abacod.errors import AliasNotFound, AliasTaken
from abacod.ids import ActorId, TenantId, Username
from abacod.models.alias import Alias
from abacod.models.permission import Subject
from abacod.models.user import Level
from abacod.store import configs, nonces, permissions


def insert(tx: sqlite3.Connection, alias: Alias) -> None:
    """Add an alias; its owner gets UPDATE on it.

    Raises:
        AliasTaken: the tenant has an alias of this name.
    """
    try:
        tx.execute(
            "INSERT INTO aliases (tenant, name, actor_id, owner) VALUES (?, ?, ?, ?)",
            (alias.tenant, alias.name, alias.actor_id, alias.owner),
        )
    except sqlite3.IntegrityError as error:
        raise AliasTaken(f"Alias {alias.name} already exists.") from error
    permissions.grant(tx, Subject.alias(alias.tenant, alias.name), alias.owner, Level.UPDATE)


def get(tx: sqlite3.Connection, tenant: TenantId, name: str) -> Alias:
    """The alias.

    Raises:
        AliasNotFound: the tenant has none of this name.
    """
    alias = find(tx, tenant, name)
    if alias is None:
        raise AliasNotFound(f"No alias found: {name}.")
    return alias


def find(tx: sqlite3.Connection, tenant: TenantId, name: str) -> Alias | None:
    """The alias, None if the tenant has none of this name."""
    row = tx.execute("SELECT * FROM aliases WHERE tenant = ? AND name = ?", (tenant, name)).fetchone()
    return _from_row(row) if row else None


def listed(tx: sqlite3.Connection, tenant: TenantId) -> list[Alias]:
    """The tenant's aliases, oldest first."""
    return [_from_row(row) for row in tx.execute("SELECT * FROM aliases WHERE tenant = ? ORDER BY seq", (tenant,))]


def of_actor(tx: sqlite3.Connection, actor_id: ActorId) -> list[Alias]:
    """The aliases that stand for the actor, oldest first."""
    return [_from_row(row) for row in tx.execute("SELECT * FROM aliases WHERE actor_id = ? ORDER BY seq", (actor_id,))]


def repoint(tx: sqlite3.Connection, alias: Alias, actor_id: ActorId) -> None:
    """Let the alias stand for another actor."""
    tx.execute("UPDATE aliases SET actor_id = ? WHERE tenant = ? AND name = ?", (actor_id, alias.tenant, alias.name))


def delete(tx: sqlite3.Connection, alias: Alias) -> None:
    """Remove the alias, its permissions, nonces and place in configs."""
    tx.execute("DELETE FROM aliases WHERE tenant = ? AND name = ?", (alias.tenant, alias.name))
    permissions.remove_all(tx, Subject.alias(alias.tenant, alias.name))
    nonces.remove_all(tx, Subject.alias(alias.tenant, alias.name))
    configs.forget(tx, alias.tenant, alias.name)


def _from_row(row: sqlite3.Row) -> Alias:
    return Alias(TenantId(row["tenant"]), row["name"], ActorId(row["actor_id"]), Username(row["owner"]))
