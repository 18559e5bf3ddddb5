"""Many rows in few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

# Rows of one statement at most; with fewer each takes longer, with more it is the same. In rows.
_MOST: Final = 64


def insert_rows(
    tx: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[str | int | None]]
) -> range:
    """Insert the rows in their order, which get the numbers returned; `table` and `columns` are names of ours, values anybody's.

    Not row by row (`executemany`): Python's lock is let go and taken back for each statement, which takes longer than a row
    where another thread wants it.
    """
    start = last = 0
    while start < len(rows):
        # Powers of two only: few statements, which the connection keeps prepared.
        size = min(_MOST, 1 << ((len(rows) - start).bit_length() - 1))
        values = [value for row in rows[start : start + size] for value in row]
        last = tx.execute(_statement(table, tuple(columns), size), values).lastrowid or 0
        start += size
    # One writer, whose rows of one transaction nothing comes between.
    return range(last - len(rows) + 1, last + 1)


@lru_cache(maxsize=64)
def _statement(table: str, columns: tuple[str, ...], size: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * size)}"  # noqa: S608 - names of ours
