"""Accounts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from datetime import datetime

from abacod.clock import from_ms, to_ms
from abacod.errors import UserNotFound, UserTaken
from abacod.ids import TenantId, Username
from abacod.models.user import User
from abacod.store import nonces


def insert(tx: sqlite3.Connection, user: User, password_hash: str) -> None:
    """Add an account.

    Raises:
        UserTaken: the tenant has a user of this name.
    """
    try:
        tx.execute(
            """
            INSERT INTO users (tenant, username, password_hash, roles, uid, gid, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            (
                user.tenant,
                user.username,
                password_hash,
                json.dumps(sorted(user.roles)),
                user.uid,
                user.gid,
                to_ms(user.created),
            ),
        )
    except sqlite3.IntegrityError as error:
        raise UserTaken(f"Tenant {user.tenant} has a user {user.username} already.") from error


def get(tx: sqlite3.Connection, tenant: TenantId, username: Username) -> User:
    """The account.

    Raises:
        UserNotFound: there is none.
    """
    user = find(tx, tenant, username)
    if user is None:
        raise UserNotFound(f"Tenant {tenant} has no user {username}.")
    return user


def find(tx: sqlite3.Connection, tenant: TenantId, username: Username) -> User | None:
    """The account, None if there is none."""
    row = tx.execute("SELECT * FROM users WHERE tenant = ? AND username = ?", (tenant, username)).fetchone()
    return _from_row(row) if row else None


def password_hash(tx: sqlite3.Connection, tenant: TenantId, username: Username) -> str | None:
    """The stored argon2 hash, None if there is no such user."""
    row = tx.execute("SELECT password_hash FROM users WHERE tenant = ? AND username = ?", (tenant, username)).fetchone()
    return str(row["password_hash"]) if row else None


def listed(tx: sqlite3.Connection, tenant: TenantId | None = None) -> list[User]:
    """All accounts, of one tenant or of all, by name."""
    rows = tx.execute(
        "SELECT * FROM users WHERE :tenant IS NULL OR tenant = :tenant ORDER BY tenant, username", {"tenant": tenant}
    )
    return [_from_row(row) for row in rows]


def set_password(
    tx: sqlite3.Connection, tenant: TenantId, username: Username, new_hash: str, changed: datetime
) -> None:
    """Replace the password; tokens issued under the old one are refused from then on. `changed` is now.

    Raises:
        UserNotFound: there is no such user.
    """
    updated = tx.execute(
        "UPDATE users SET password_hash = ?, password_ms = ? WHERE tenant = ? AND username = ?",
        (new_hash, to_ms(changed), tenant, username),
    )
    if not updated.rowcount:
        raise UserNotFound(f"Tenant {tenant} has no user {username}.")


def set_roles(tx: sqlite3.Connection, tenant: TenantId, username: Username, roles: Collection[str]) -> None:
    """Replace the roles.

    Raises:
        UserNotFound: there is no such user.
    """
    changed = tx.execute(
        "UPDATE users SET roles = ? WHERE tenant = ? AND username = ?", (json.dumps(sorted(roles)), tenant, username)
    )
    if not changed.rowcount:
        raise UserNotFound(f"Tenant {tenant} has no user {username}.")


def delete(tx: sqlite3.Connection, tenant: TenantId, username: Username) -> None:
    """Remove the account and its nonces; its actors stay.

    Raises:
        UserNotFound: there is no such user.
    """
    nonces.remove_of_owner(tx, tenant, username)
    if not tx.execute("DELETE FROM users WHERE tenant = ? AND username = ?", (tenant, username)).rowcount:
        raise UserNotFound(f"Tenant {tenant} has no user {username}.")


def _from_row(row: sqlite3.Row) -> User:
    return User(
        tenant=TenantId(row["tenant"]),
        username=Username(row["username"]),
        roles=frozenset(json.loads(row["roles"])),
        created=from_ms(row["created_ms"]),
        uid=row["uid"],
        gid=row["gid"],
        password_changed=None if row["password_ms"] is None else from_ms(row["password_ms"]),
    )
