"""Room in the file that nothing is in any more: most of it is used again, the rest goes back to the file system."""

from __future__ import annotations

import sqlite3
from typing import Final

# What stays for what comes next: a share of the file, and at least so many pages (of 4 KiB).
_KEPT_SHARE: Final = 0.2
_KEPT_PAGES: Final = 2_000
# Pages given back in one transaction: requests wait for it.
_AT_ONCE: Final = 256

_INCREMENTAL: Final = 2


def prepare(connection: sqlite3.Connection) -> None:
    """Let a new file give back room; before anything is in it. A file that was made without this never does."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")


def give_back(tx: sqlite3.Connection) -> bool:
    """Make the file a little shorter if much in it is free; whether more of it is to give back."""
    if _number(tx, "auto_vacuum") != _INCREMENTAL:
        return False
    surplus = _number(tx, "freelist_count") - max(_KEPT_PAGES, int(_KEPT_SHARE * _number(tx, "page_count")))
    if surplus <= 0:
        return False
    for _ in range(min(surplus, _AT_ONCE)):
        # One page each: a greater number takes as many steps of one statement, and Python's module takes only the first.
        tx.execute("PRAGMA incremental_vacuum(1)")
    return surplus > _AT_ONCE


def _number(tx: sqlite3.Connection, pragma: str) -> int:
    return int(tx.execute(f"PRAGMA {pragma}").fetchone()[0])
