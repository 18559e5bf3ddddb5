"""What the tests of the store share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from abacod.store.migrations import migrate
from tests.abacod.store.shelf import Shelf, fill


@pytest.fixture
def tx() -> Iterator[sqlite3.Connection]:
    """A connection to an empty database of today's schema."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    migrate(connection)
    yield connection
    connection.close()


@pytest.fixture
def shelf(tx: sqlite3.Connection) -> Shelf:
    """Nothing to be found yet."""
    return Shelf(tx)


@pytest.fixture
def full(shelf: Shelf) -> Shelf:
    """In each database three records: one, two, three."""
    fill(shelf)
    return shelf
