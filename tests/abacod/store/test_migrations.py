from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from abacod.errors import ConfigError
from abacod.store import migrations
from abacod.store.migrations import migrate


def opened(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path, isolation_level=None))


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as first, opened(tmp_path / "db") as second:
        migrate(first)
        schema = first.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
        migrate(second)
        migrate(first)
        assert second.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall() == schema


def test_a_database_of_a_newer_abacod_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as connection:
        migrate(connection)
        connection.execute("PRAGMA user_version = 9999")
        with pytest.raises(ConfigError, match="written by a newer version"):
            migrate(connection)


def test_later_files_are_applied_one_by_one_and_a_bad_one_leaves_the_state_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = "CREATE TABLE a (x);\n-- a remark; with a semicolon\nINSERT INTO a VALUES ('1;2');\n"
    scripts = {1: good, 2: "CREATE TABLE b (x);\nCREATE TABLE b (x);\n"}
    monkeypatch.setattr(migrations, "_scripts", lambda: scripts)
    with opened(tmp_path / "db") as connection, pytest.raises(sqlite3.Error):
        migrate(connection)
    scripts[2] = "CREATE TABLE b (x);\n"
    with opened(tmp_path / "db") as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
        migrate(connection)
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 2
        assert connection.execute("SELECT x FROM a").fetchall() == [("1;2",)]


def test_the_sums_of_an_earlier_release_learn_whose_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = migrations._scripts()
    with opened(tmp_path / "db") as connection:
        # given one actor without an execution, and the sums and the execution of one that was deleted
        monkeypatch.setattr(migrations, "_scripts", lambda: {n: text for n, text in scripts.items() if n < 5})
        migrate(connection)
        connection.execute(
            """
            INSERT INTO actors (id, tenant, owner, definition, status, status_message, revision, state, mounts, create_ms,
                                update_ms)
            VALUES ('idle', 'dev', 'ada', '{}', 'READY', '', 1, '{}', '[]', 0, 0)
            """
        )
        connection.execute("INSERT INTO actor_totals (actor_id, executions) VALUES ('gone', 1)")
        connection.execute(
            """
            INSERT INTO executions (id, actor_id, tenant, executor, status, revision, received_ms)
            VALUES ('e', 'gone', 'lab', 'ada', 'SUBMITTED', 1, 0)
            """
        )
        # when this release opens it
        monkeypatch.undo()
        migrate(connection)
        # then both are counted for their tenants
        rows = connection.execute("SELECT actor_id, tenant, executions FROM actor_totals ORDER BY actor_id").fetchall()
        assert rows == [("gone", "lab", 1), ("idle", "dev", 0)]


def test_schedules_of_an_older_database_keep_their_next_run() -> None:
    scripts = migrations._scripts()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for number in range(1, 4):
            connection.executescript(scripts[number])
        for name, shown in (("on", "2026-3-14 5"), ("off", None)):
            connection.execute(
                "INSERT INTO actors (id, tenant, owner, definition, status, status_message, revision, state, mounts, "
                "cron_next_ex, create_ms, update_ms) VALUES (?, 'dev', 'ada', '{}', 'READY', '', 1, '{}', '[]', ?, 0, 0)",
                (name, shown),
            )
        connection.executescript(scripts[4])
        rows = connection.execute(
            "SELECT cron_start_ms, cron_next_ms, cron_next_ex FROM actors ORDER BY seq"
        ).fetchall()
    assert rows == [(1_773_464_400_000, 1_773_464_400_000, "2026-3-14 5"), (None, None, None)]
