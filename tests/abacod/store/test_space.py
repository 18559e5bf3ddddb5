"""A file grows with what is in it, and becomes shorter again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from abacod.config import StoreSettings
from abacod.store import space
from abacod.store.database import beside_daemon, in_one_write

MANY = 5_000
PAGE = 4_096


def fill(tx: sqlite3.Connection, pages: int) -> None:
    tx.execute("CREATE TABLE filler (data BLOB)")
    tx.execute("BEGIN")
    tx.executemany("INSERT INTO filler VALUES (zeroblob(?))", [(PAGE,)] * pages)
    tx.execute("COMMIT")


def pages_of(tx: sqlite3.Connection) -> tuple[int, int]:
    """How many pages the file has, and how many of them are free."""
    return tx.execute("PRAGMA page_count").fetchone()[0], tx.execute("PRAGMA freelist_count").fetchone()[0]


def test_room_that_is_free_goes_back_a_little_at_a_time_and_some_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with beside_daemon(path, StoreSettings()) as tx:
        fill(tx, MANY)
        before, _ = pages_of(tx)
        assert not space.give_back(tx)
        tx.execute("DELETE FROM filler")
        steps = [pages_of(tx)[0]]
        while in_one_write(tx, space.give_back):
            steps.append(pages_of(tx)[0])
            assert 250 <= steps[-2] - steps[-1] <= 260
        after, free = pages_of(tx)
        assert before - after > MANY // 2
        assert free == pytest.approx(2_000, abs=20)
        assert tx.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        tx.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert path.stat().st_size == after * PAGE


def test_a_file_that_was_made_without_stays_as_long_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE old (x)")
    old.close()
    with beside_daemon(path, StoreSettings()) as tx:
        fill(tx, MANY)
        tx.execute("DELETE FROM filler")
        before = pages_of(tx)
        assert not space.give_back(tx)
        assert pages_of(tx) == before
