"""Who may do what with actors, aliases and configs."""

from __future__ import annotations

import sqlite3

from abacod.ids import Username
from abacod.models.permission import Subject
from abacod.models.user import WORLD, Level


def grant(tx: sqlite3.Connection, subject: Subject, username: Username, level: Level) -> None:
    """Set the user's level."""
    tx.execute(
        """
        INSERT INTO permissions (kind, subject, username, level) VALUES (?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET level = excluded.level
        """,
        (subject.kind, subject.key, username, level),
    )


def levels(tx: sqlite3.Connection, subject: Subject) -> dict[Username, Level]:
    """Everybody's level, by name; empty only if there is no such subject, for its maker's entry always stays."""
    rows = tx.execute(
        "SELECT username, level FROM permissions WHERE kind = ? AND subject = ? ORDER BY username",
        (subject.kind, subject.key),
    )
    return {Username(row["username"]): Level(row["level"]) for row in rows}


def level_of(tx: sqlite3.Connection, subject: Subject, username: Username) -> Level:
    """The user's effective level: the higher of their own and everyone's (spec/actors-api 7.4)."""
    row = tx.execute(
        "SELECT max(level) AS level FROM permissions WHERE kind = ? AND subject = ? AND username IN (?, ?)",
        (subject.kind, subject.key, username, WORLD),
    ).fetchone()
    return Level(row["level"] or 0)


def remove_all(tx: sqlite3.Connection, subject: Subject) -> None:
    """Forget every level on something that is being deleted."""
    tx.execute("DELETE FROM permissions WHERE kind = ? AND subject = ?", (subject.kind, subject.key))
