"""The schema, as numbered SQL files, applied in order, each in one transaction."""

from __future__ import annotations

import re
import sqlite3
from importlib.resources import files
from typing import Final

from abacod.errors import ConfigError

_NAME: Final = re.compile(r"(\d{4})_\w+\.sql")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to the newest schema; `PRAGMA user_version` holds the number of the last file applied.

    Raises:
        ConfigError: the database was written by a newer abacod.
    """
    scripts = _scripts()
    newest = max(scripts)
    version = _version(connection)
    if version > newest:
        raise ConfigError(
            f"The database has schema {version}, this abacod knows {newest}: it was written by a newer version. Upgrade abacod."
        )
    for number in range(version + 1, newest + 1):
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been faster while this one waited for the lock.
        if _version(connection) < number:
            for statement in _statements(scripts[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _scripts() -> dict[int, str]:
    return {
        int(match[1]): resource.read_text()
        for resource in files(__package__).iterdir()
        if (match := _NAME.fullmatch(resource.name))
    }


def _statements(script: str) -> list[str]:
    """The script's statements one by one: `executescript` would commit the transaction around them."""
    statements: list[str] = []
    gathered = ""
    for line in script.splitlines(keepends=True):
        gathered += line
        if sqlite3.complete_statement(gathered):
            statements.append(gathered)
            gathered = ""
    return statements
