"""Whether anything has changed that tells who may do what: the actors, what they are called, permissions, configs, accounts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

_TABLES: Final = ("actors", "aliases", "permissions", "configs", "config_actors", "users")
_CHANGES: Final = ("INSERT", "UPDATE", "DELETE")


def watch(connection: sqlite3.Connection, changed: Callable[[], None]) -> None:
    """Have `changed` called, in the connection's thread, whenever one of these tables is changed through this connection."""
    connection.create_function("rights_changed", 0, changed)
    for table in _TABLES:
        for change in _CHANGES:
            connection.execute(
                f"CREATE TEMP TRIGGER {table}_{change} AFTER {change} ON main.{table} BEGIN SELECT rights_changed(); END"
            )
