"""Actors."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from abacod.clock import from_ms, to_ms
from abacod.errors import ActorNotFound
from abacod.ids import ActorId, TenantId, Username
from abacod.models.actor import Actor, ActorDefinition, Mount
from abacod.models.permission import Subject
from abacod.models.states import ActorStatus
from abacod.models.user import WORLD, Level
from abacod.store import configs, nonces, permissions, totals


def insert(tx: sqlite3.Connection, actor: Actor) -> None:
    """Add a new actor; its owner gets UPDATE."""
    tx.execute(
        """
        INSERT INTO actors (id, tenant, owner, definition, status, status_message, revision, state, mounts,
                            uid, gid, tasdir, cron_start_ms, cron_next_ms, builtin, create_ms, update_ms)
        VALUES (:id, :tenant, :owner, :definition, :status, :status_message, :revision, :state, :mounts,
                :uid, :gid, :tasdir, :cron_start_ms, :cron_next_ms, :builtin, :create_ms, :update_ms)
        """,
        _to_row(actor),
    )
    totals.begin(tx, actor.tenant, actor.id)
    permissions.grant(tx, Subject.actor(actor.id), actor.owner, Level.UPDATE)


def get(tx: sqlite3.Connection, tenant: TenantId, actor_id: ActorId) -> Actor:
    """The actor.

    Raises:
        ActorNotFound: the tenant has no such actor.
    """
    row = tx.execute("SELECT * FROM actors WHERE id = ? AND tenant = ?", (actor_id, tenant)).fetchone()
    if row is None:
        raise ActorNotFound(f"No actor found with id: {actor_id}.")
    return _from_row(row)


def find(tx: sqlite3.Connection, actor_id: ActorId) -> Actor | None:
    """The actor of any tenant, None if it was deleted."""
    row = tx.execute("SELECT * FROM actors WHERE id = ?", (actor_id,)).fetchone()
    return _from_row(row) if row else None


def builtin(tx: sqlite3.Connection, tenant: TenantId, name: str) -> Actor | None:
    """The actor that the server has registered under this name in the tenant, None if there is none."""
    row = tx.execute("SELECT * FROM actors WHERE tenant = ? AND builtin = ?", (tenant, name)).fetchone()
    return _from_row(row) if row else None


def statuses_of(tx: sqlite3.Connection, actor_ids: Collection[ActorId]) -> dict[ActorId, ActorStatus]:
    """The statuses of those of the actors that exist."""
    rows = tx.execute(
        "SELECT id, status FROM actors WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(actor_ids)),)
    )
    return {ActorId(row["id"]): ActorStatus(row["status"]) for row in rows}


def tells(tx: sqlite3.Connection, actor_id: ActorId) -> bool:
    """Whether somebody is told of the actor's events: it has a link or a webhook."""
    row = tx.execute(
        "SELECT definition ->> 'link' != '' OR definition ->> 'webhook' != '' AS tells FROM actors WHERE id = ?",
        (actor_id,),
    ).fetchone()
    return row is not None and bool(row["tells"])


def count(tx: sqlite3.Connection) -> int:
    """How many actors the users of all tenants have."""
    return int(tx.execute("SELECT count(*) FROM actors WHERE builtin IS NULL").fetchone()[0])


def count_by_status(tx: sqlite3.Connection) -> dict[ActorStatus, int]:
    """How many actors of all tenants have each status that any has."""
    rows = tx.execute("SELECT status, count(*) AS actors FROM actors GROUP BY status")
    return {ActorStatus(row["status"]): row["actors"] for row in rows}


def tenants_of(tx: sqlite3.Connection, actor_ids: Iterable[ActorId]) -> dict[ActorId, TenantId]:
    """The tenants of those of the actors that exist."""
    rows = tx.execute(
        "SELECT id, tenant FROM actors WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(actor_ids)),)
    )
    return {ActorId(row["id"]): TenantId(row["tenant"]) for row in rows}


def listed(tx: sqlite3.Connection, tenant: TenantId) -> list[Actor]:
    """All actors that users of the tenant have registered, oldest first."""
    rows = tx.execute("SELECT * FROM actors WHERE tenant = ? AND builtin IS NULL ORDER BY seq", (tenant,))
    return [_from_row(row) for row in rows]


def readable_by(tx: sqlite3.Connection, tenant: TenantId, username: Username) -> list[Actor]:
    """The tenant's actors on which the user, or everyone, has READ or more; oldest first (spec/decisions: lists).

    Those that the server has registered itself are not among them: they are no user's, and found by their alias.
    """
    rows = tx.execute(
        """
        SELECT * FROM actors
        WHERE tenant = ? AND builtin IS NULL AND id IN (
          SELECT subject FROM permissions WHERE kind = 'actor' AND username IN (?, ?) AND level >= ?)
        ORDER BY seq
        """,
        (tenant, username, WORLD, Level.READ),
    )
    return [_from_row(row) for row in rows]


def numbered(tx: sqlite3.Connection, numbers: Sequence[int]) -> list[Actor]:
    """The actors with these `seq`, in the order given."""
    rows = tx.execute("SELECT * FROM actors WHERE seq IN (SELECT value FROM json_each(?))", (json.dumps(numbers),))
    found = {row["seq"]: _from_row(row) for row in rows}
    return [found[number] for number in numbers if number in found]


def in_status(tx: sqlite3.Connection, *statuses: ActorStatus) -> list[Actor]:
    """All actors of all tenants in one of the statuses."""
    rows = tx.execute(
        "SELECT * FROM actors WHERE status IN (SELECT value FROM json_each(?)) ORDER BY seq", (json.dumps(statuses),)
    )
    return [_from_row(row) for row in rows]


def links(tx: sqlite3.Connection, tenant: TenantId) -> dict[ActorId, str]:
    """The tenant's link graph: actor id to the id or alias it links to."""
    rows = tx.execute(
        "SELECT id, definition ->> 'link' AS link FROM actors WHERE tenant = ? AND definition ->> 'link' != ''",
        (tenant,),
    )
    return {ActorId(row["id"]): row["link"] for row in rows}


def replace(tx: sqlite3.Connection, actor: Actor) -> None:
    """Store everything of an updated actor except its state, which only `set_state` changes.

    Raises:
        ActorNotFound: it was deleted meanwhile.
    """
    changed = tx.execute(
        """
        UPDATE actors
        SET definition = :definition, status = :status, status_message = :status_message, revision = :revision,
            mounts = :mounts, uid = :uid, gid = :gid, tasdir = :tasdir, cron_start_ms = :cron_start_ms,
            cron_next_ms = :cron_next_ms, update_ms = :update_ms
        WHERE id = :id
        """,
        _to_row(actor),
    )
    if not changed.rowcount:
        raise ActorNotFound(f"No actor found with id: {actor.id}.")


def set_status(
    tx: sqlite3.Connection, actor_id: ActorId, status: ActorStatus, message: str, *, revision: int | None = None
) -> bool:
    """Change the status; False if nothing changed: the actor is gone, is shutting down, or has another `revision`."""
    changed = tx.execute(
        """
        UPDATE actors SET status = :status, status_message = :message
        WHERE id = :id AND status != 'SHUTTING_DOWN' AND (:revision IS NULL OR revision = :revision)
          AND (status, status_message) != (:status, :message)
        """,
        {"id": actor_id, "status": status, "message": message, "revision": revision},
    )
    return bool(changed.rowcount)


def due(tx: sqlite3.Connection, moment: datetime) -> list[ActorId]:
    """The actors whose schedule has a run at or before `moment`, in the order of these runs."""
    rows = tx.execute(
        "SELECT id FROM actors WHERE cron_next_ms <= ? AND status != 'SHUTTING_DOWN' ORDER BY cron_next_ms, seq",
        (to_ms(moment),),
    )
    return [ActorId(row["id"]) for row in rows]


def set_cron_next(tx: sqlite3.Connection, actor_id: ActorId, moment: datetime | None) -> None:
    """Set the next run of the actor's schedule; None if there is none any more."""
    tx.execute("UPDATE actors SET cron_next_ms = ? WHERE id = ?", (moment and to_ms(moment), actor_id))


def set_state(tx: sqlite3.Connection, actor_id: ActorId, state: Any) -> None:
    """Replace the actor's state."""
    tx.execute("UPDATE actors SET state = ? WHERE id = ?", (json.dumps(state, ensure_ascii=False), actor_id))


def delete(tx: sqlite3.Connection, actor_id: ActorId) -> None:
    """Remove the actor, its permissions, nonces and place in configs; its execution records stay."""
    removed = tx.execute("DELETE FROM actors WHERE id = ? RETURNING tenant", (actor_id,)).fetchone()
    if removed is not None:
        configs.forget(tx, TenantId(removed["tenant"]), actor_id)
    permissions.remove_all(tx, Subject.actor(actor_id))
    nonces.remove_all(tx, Subject.actor(actor_id))


# --- rows and records -----------------------------------------------------------------------------------------------


def _to_row(actor: Actor) -> dict[str, Any]:
    return {
        "id": actor.id,
        "tenant": actor.tenant,
        "owner": actor.owner,
        "definition": json.dumps(asdict(actor.definition), ensure_ascii=False),
        "status": actor.status,
        "status_message": actor.status_message,
        "revision": actor.revision,
        "state": json.dumps(actor.state, ensure_ascii=False),
        "mounts": json.dumps([asdict(mount) for mount in actor.mounts], ensure_ascii=False),
        "uid": actor.uid,
        "gid": actor.gid,
        "tasdir": actor.tasdir,
        "cron_start_ms": actor.cron_start and to_ms(actor.cron_start),
        "cron_next_ms": actor.cron_next and to_ms(actor.cron_next),
        "builtin": actor.builtin,
        "create_ms": to_ms(actor.create_time),
        "update_ms": to_ms(actor.last_update_time),
    }


def _from_row(row: sqlite3.Row) -> Actor:
    definition = json.loads(row["definition"])
    definition["hints"] = tuple(definition["hints"])
    return Actor(
        id=ActorId(row["id"]),
        tenant=TenantId(row["tenant"]),
        owner=Username(row["owner"]),
        definition=ActorDefinition(**definition),
        status=ActorStatus(row["status"]),
        status_message=row["status_message"],
        create_time=from_ms(row["create_ms"]),
        last_update_time=from_ms(row["update_ms"]),
        revision=row["revision"],
        state=json.loads(row["state"]),
        mounts=tuple(Mount(**mount) for mount in json.loads(row["mounts"])),
        uid=row["uid"],
        gid=row["gid"],
        tasdir=row["tasdir"],
        cron_start=None if row["cron_start_ms"] is None else from_ms(row["cron_start_ms"]),
        cron_next=None if row["cron_next_ms"] is None else from_ms(row["cron_next_ms"]),
        builtin=row["builtin"],
    )
