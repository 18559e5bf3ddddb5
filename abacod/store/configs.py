"""Configs, and which actors and aliases they name."""

from __future__ import annotations

import json
import sqlite3

from abacod.errors import ConfigNotFound, ConfigTaken
from abacod.ids import ActorId, TenantId, Username
from abacod.models.config import Config
from abacod.models.permission import Kind, Subject
from abacod.models.user import WORLD, Level
from abacod.store import permissions


def insert(tx: sqlite3.Connection, config: Config, room: int) -> None:
    """Add a config; its owner gets UPDATE on it. `room` is what it takes in an environment, in bytes.

    Raises:
        ConfigTaken: the tenant has a config of this name.
    """
    try:
        tx.execute(
            "INSERT INTO configs (tenant, name, value, is_secret, actors, owner, room) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (config.tenant, config.name, config.value, config.is_secret, config.actors, config.owner, room),
        )
    except sqlite3.IntegrityError as error:
        raise ConfigTaken(f"Config {config.name} already exists; please choose another name for your config") from error
    _name_actors(tx, config)
    permissions.grant(tx, Subject.config(config.tenant, config.name), config.owner, Level.UPDATE)


def get(tx: sqlite3.Connection, tenant: TenantId, name: str) -> Config:
    """The config.

    Raises:
        ConfigNotFound: the tenant has none of this name.
    """
    row = tx.execute("SELECT * FROM configs WHERE tenant = ? AND name = ?", (tenant, name)).fetchone()
    if row is None:
        raise ConfigNotFound(f"No config found: {name}.")
    return _from_row(row)


def readable_by(tx: sqlite3.Connection, tenant: TenantId, username: Username) -> list[Config]:
    """The tenant's configs on which the user, or everyone, has READ or more; oldest first."""
    rows = tx.execute(
        """
        SELECT * FROM configs
        WHERE tenant = ? AND EXISTS (
          SELECT 1 FROM permissions p
          WHERE p.kind = ? AND p.subject = configs.tenant || '_' || configs.name AND p.username IN (?, ?) AND p.level >= ?)
        ORDER BY seq
        """,
        (tenant, Kind.CONFIG, username, WORLD, Level.READ),
    )
    return [_from_row(row) for row in rows]


def of_actor(tx: sqlite3.Connection, tenant: TenantId, actor_id: ActorId) -> list[Config]:
    """The configs that name the actor's id or one of its aliases, oldest first."""
    rows = tx.execute(
        """
        SELECT * FROM configs WHERE seq IN (
          SELECT config FROM config_actors
          WHERE tenant = :tenant
            AND (identifier = :actor OR identifier IN (SELECT name FROM aliases WHERE actor_id = :actor)))
        ORDER BY seq
        """,
        {"tenant": tenant, "actor": actor_id},
    )
    return [_from_row(row) for row in rows]


def room_of_actor(tx: sqlite3.Connection, tenant: TenantId, actor_id: ActorId) -> int:
    """What all configs of the actor take in its environment, in bytes."""
    row = tx.execute(
        """
        SELECT coalesce(sum(room), 0) AS room FROM configs WHERE seq IN (
          SELECT config FROM config_actors
          WHERE tenant = :tenant
            AND (identifier = :actor OR identifier IN (SELECT name FROM aliases WHERE actor_id = :actor)))
        """,
        {"tenant": tenant, "actor": actor_id},
    ).fetchone()
    return int(row["room"])


def replace(tx: sqlite3.Connection, config: Config, room: int) -> None:
    """Store what changed of a config; its name, tenant and owner never change."""
    tx.execute(
        "UPDATE configs SET value = ?, is_secret = ?, actors = ?, room = ? WHERE tenant = ? AND name = ?",
        (config.value, config.is_secret, config.actors, room, config.tenant, config.name),
    )
    _name_actors(tx, config)


def room_of(tx: sqlite3.Connection, config: Config) -> int:
    """What the config takes in an environment, in bytes."""
    row = tx.execute("SELECT room FROM configs WHERE tenant = ? AND name = ?", (config.tenant, config.name)).fetchone()
    return int(row["room"])


def forget(tx: sqlite3.Connection, tenant: TenantId, identifier: str) -> None:
    """An actor or alias is deleted: no config names it any more, so that another one of that name gets nothing."""
    rows = tx.execute(
        """
        SELECT configs.* FROM configs JOIN config_actors a ON a.config = configs.seq
        WHERE a.tenant = ? AND a.identifier = ?
        """,
        (tenant, identifier),
    ).fetchall()
    for row in rows:
        left = [other for other in _from_row(row).identifiers if other != identifier]
        tx.execute("UPDATE configs SET actors = ? WHERE seq = ?", (",".join(left), row["seq"]))
    tx.execute("DELETE FROM config_actors WHERE tenant = ? AND identifier = ?", (tenant, identifier))


def delete(tx: sqlite3.Connection, tenant: TenantId, name: str) -> None:
    """Remove the config and its permissions."""
    tx.execute("DELETE FROM configs WHERE tenant = ? AND name = ?", (tenant, name))
    permissions.remove_all(tx, Subject.config(tenant, name))


def _name_actors(tx: sqlite3.Connection, config: Config) -> None:
    tx.execute(
        "DELETE FROM config_actors WHERE config = (SELECT seq FROM configs WHERE tenant = ? AND name = ?)",
        (config.tenant, config.name),
    )
    tx.execute(
        """
        INSERT INTO config_actors (tenant, identifier, config)
        SELECT configs.tenant, named.value, configs.seq FROM configs, json_each(?) AS named
        WHERE configs.tenant = ? AND configs.name = ?
        """,
        (json.dumps(config.identifiers), config.tenant, config.name),
    )


def _from_row(row: sqlite3.Row) -> Config:
    return Config(
        tenant=TenantId(row["tenant"]),
        name=row["name"],
        value=row["value"],
        is_secret=bool(row["is_secret"]),
        actors=row["actors"],
        owner=Username(row["owner"]),
    )
