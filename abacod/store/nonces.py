"""Nonces. Their ids are secrets: nothing here holds one but sealed, and they are found by digest."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from datetime import datetime

from abacod.clock import from_ms, to_ms
from abacod.ids import NonceId, TenantId, Username
from abacod.models.nonce import Nonce
from abacod.models.permission import Kind, Subject
from abacod.models.user import Level


def insert(tx: sqlite3.Connection, nonce: Nonce, sealed: str) -> None:
    """Add a nonce; `sealed` is its id, encrypted."""
    tx.execute(
        """
        INSERT INTO nonces (digest, sealed, tenant, kind, subject, owner, roles, level, description, max_uses, create_ms)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            _digest(nonce.id),
            sealed,
            nonce.tenant,
            nonce.subject.kind,
            nonce.subject.key,
            nonce.owner,
            json.dumps(sorted(nonce.roles)),
            nonce.level,
            nonce.description,
            nonce.max_uses,
            to_ms(nonce.create_time),
        ),
    )


def find(tx: sqlite3.Connection, nonce_id: NonceId) -> Nonce | None:
    """The nonce, None if there is none."""
    row = tx.execute("SELECT * FROM nonces WHERE digest = ?", (_digest(nonce_id),)).fetchone()
    return _from_row(row, nonce_id) if row else None


def listed(tx: sqlite3.Connection, subject: Subject, unseal: Callable[[str], str]) -> list[Nonce]:
    """The nonces of an actor or alias, oldest first; `unseal` decrypts their ids."""
    rows = tx.execute("SELECT * FROM nonces WHERE kind = ? AND subject = ? ORDER BY seq", (subject.kind, subject.key))
    return [_from_row(row, NonceId(unseal(row["sealed"]))) for row in rows]


def count_use(tx: sqlite3.Connection, nonce_id: NonceId, now: datetime) -> None:
    """One use more."""
    tx.execute("UPDATE nonces SET uses = uses + 1, last_use_ms = ? WHERE digest = ?", (to_ms(now), _digest(nonce_id)))


def delete(tx: sqlite3.Connection, subject: Subject, nonce_id: NonceId) -> bool:
    """Remove a nonce; False if the actor or alias has no such one."""
    gone = tx.execute(
        "DELETE FROM nonces WHERE digest = ? AND kind = ? AND subject = ?",
        (_digest(nonce_id), subject.kind, subject.key),
    )
    return bool(gone.rowcount)


def remove_all(tx: sqlite3.Connection, subject: Subject) -> None:
    """Remove the nonces of an actor or alias that is being deleted."""
    tx.execute("DELETE FROM nonces WHERE kind = ? AND subject = ?", (subject.kind, subject.key))


def remove_of_owner(tx: sqlite3.Connection, tenant: TenantId, owner: Username) -> None:
    """Remove the nonces of a user whose account goes."""
    tx.execute("DELETE FROM nonces WHERE tenant = ? AND owner = ?", (tenant, owner))


def _digest(nonce_id: NonceId) -> bytes:
    # A plain hash is enough: an id is random and as long as a key, so that nobody can try them all.
    return hashlib.sha256(nonce_id.encode("utf-8", "surrogatepass")).digest()


def _from_row(row: sqlite3.Row, nonce_id: NonceId) -> Nonce:
    return Nonce(
        id=nonce_id,
        tenant=TenantId(row["tenant"]),
        subject=Subject(Kind(row["kind"]), row["subject"]),
        owner=Username(row["owner"]),
        roles=frozenset(json.loads(row["roles"])),
        level=Level(row["level"]),
        max_uses=row["max_uses"],
        description=row["description"],
        create_time=from_ms(row["create_ms"]),
        uses=row["uses"],
        last_use_time=None if row["last_use_ms"] is None else from_ms(row["last_use_ms"]),
    )
