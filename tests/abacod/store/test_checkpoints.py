from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from abacod.config import StoreSettings
from abacod.store import checkpoints
from abacod.store.database import Database


def note(tx: sqlite3.Connection, value: str) -> None:
    tx.execute("INSERT OR REPLACE INTO facts (name, value) VALUES ('note', ?)", (value,))


async def test_the_log_goes_back_into_the_file_beside_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_EVERY", 3)
    path = tmp_path / "abacod.db"
    database = Database(path, StoreSettings(synchronous="OFF"))
    await database.open()
    for value in ("1", "2", "3"):
        await database.write(lambda tx, new=value: note(tx, new))  # type: ignore[misc]
    running = database._checkpoints._running
    assert running is not None
    await running
    # The file by itself, without the log beside it.
    alone = tmp_path / "alone.db"
    alone.write_bytes(await asyncio.to_thread(path.read_bytes))
    with closing(sqlite3.connect(f"{alone.as_uri()}?immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT value FROM facts WHERE name = 'note'").fetchone() == ("3",)
    await database.close()


async def test_a_file_that_cannot_be_opened_harms_nobody(tmp_path: Path) -> None:
    def refuse() -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    those = checkpoints.Checkpoints(refuse)
    for _ in range(checkpoints._EVERY):
        those.committed()
    await those.close()
