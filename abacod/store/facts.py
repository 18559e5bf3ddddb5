"""Facts about the data directory itself, kept in the database."""

from __future__ import annotations

import secrets
import sqlite3


def instance_id(tx: sqlite3.Connection) -> str:
    """The random name of this data directory, made at first use; containers are labelled with it."""
    tx.execute("INSERT OR IGNORE INTO facts (name, value) VALUES ('instance', ?)", (secrets.token_hex(8),))
    return str(tx.execute("SELECT value FROM facts WHERE name = 'instance'").fetchone()["value"])


def answers(tx: sqlite3.Connection) -> bool:
    """Whether the database can be read (for readiness)."""
    return tx.execute("SELECT count(*) FROM facts").fetchone() is not None
