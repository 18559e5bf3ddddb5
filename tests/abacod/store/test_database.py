from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from abacod.config import StoreSettings
from abacod.errors import ConfigError, StorageUnavailable, UserNotFound
from abacod.ids import TenantId, Username
from abacod.store import users
from abacod.store.database import Database, back_up, beside_daemon
from abacod.store.writing import Asked

SETTINGS = StoreSettings(synchronous="OFF")


class Counted(Database):
    """Notes how many writes went into each transaction."""

    def __init__(self, path: Path, settings: StoreSettings = SETTINGS) -> None:
        super().__init__(path, settings)
        self.batches: list[int] = []

    def _commit(self, batch: list[Asked]) -> None:
        self.batches.append(len(batch))
        super()._commit(batch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "abacod.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Counted]:
    opened = Counted(path)
    await opened.open()
    yield opened
    await opened.close()


def note(tx: sqlite3.Connection, name: str, value: str = "") -> None:
    tx.execute("INSERT INTO facts (name, value) VALUES (?, ?)", (name, value))


def notes(tx: sqlite3.Connection) -> list[str]:
    return [row["name"] for row in tx.execute("SELECT name FROM facts ORDER BY name")]


def copies(directory: Path) -> list[str]:
    return [each.name for each in directory.glob("copy*")]


# --- writing ---------------------------------------------------------------------------------------------------------


async def test_a_write_returns_its_result_and_is_seen_by_the_next_read(database: Database) -> None:
    assert await database.write(lambda tx: tx.execute("INSERT INTO facts VALUES ('a', '1')").rowcount) == 1
    assert await database.read(notes) == ["a"]


async def test_writes_of_many_requests_share_a_commit_and_keep_their_order(database: Counted) -> None:
    def write(number: int) -> int:
        order.append(number)
        return number

    order: list[int] = []
    results = await asyncio.gather(*(database.write(lambda _, n=n: write(n)) for n in range(1000)))  # type: ignore[misc]
    assert results == order == list(range(1000))
    assert sum(database.batches) == 1000
    assert len(database.batches) <= 4


async def test_a_failing_write_is_undone_alone_and_its_error_reaches_its_caller(database: Counted) -> None:
    def fail(tx: sqlite3.Connection) -> None:
        note(tx, "half")
        users.get(tx, TenantId("dev"), Username("nobody"))

    def collide(tx: sqlite3.Connection) -> None:
        note(tx, "quarter")
        note(tx, "first")

    results = await asyncio.gather(
        database.write(lambda tx: note(tx, "first")),
        database.write(fail),
        database.write(collide),
        database.write(lambda tx: note(tx, "last")),
        return_exceptions=True,
    )
    assert database.batches == [4]
    assert [type(result) for result in results] == [type(None), UserNotFound, sqlite3.IntegrityError, type(None)]
    assert await database.read(notes) == ["first", "last"]


async def test_a_write_stands_when_its_caller_has_gone(database: Database) -> None:
    write = asyncio.create_task(database.write(lambda tx: note(tx, "left behind")))
    await asyncio.sleep(0)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    await database.write(lambda tx: note(tx, "next"))
    assert await database.read(notes) == ["left behind", "next"]


async def test_writes_fail_while_another_process_holds_the_file_and_go_on_afterwards(path: Path) -> None:
    database = Database(path, StoreSettings(synchronous="OFF", busy_timeout_seconds=0))
    await database.open()
    with beside_daemon(path, SETTINGS) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable, match="locked"):
            await database.write(lambda tx: note(tx, "refused"))
        other.execute("ROLLBACK")
    await database.write(lambda tx: note(tx, "accepted"))
    assert await database.read(notes) == ["accepted"]
    await database.close()


async def test_what_the_command_line_writes_is_seen_at_once(database: Database, path: Path) -> None:
    with beside_daemon(path, SETTINGS) as other:
        note(other, "beside")
    assert await database.read(notes) == ["beside"]


async def test_everything_is_there_after_a_restart(path: Path) -> None:
    for number in range(2):
        database = Database(path, SETTINGS)
        await database.open()
        await database.write(lambda tx, n=number: note(tx, f"start {n}"))  # type: ignore[misc]
        found = await database.read(notes)
        await database.close()
    assert found == ["start 0", "start 1"]


# --- reading ---------------------------------------------------------------------------------------------------------


async def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(StorageUnavailable, match="readonly"):
        await database.read(lambda tx: note(tx, "a"))
    assert await database.read(notes) == []


async def test_an_error_of_a_question_comes_out_as_it_is(database: Database) -> None:
    with pytest.raises(UserNotFound):
        await database.read(lambda tx: users.get(tx, TenantId("dev"), Username("nobody")))


async def test_readers_do_not_wait_for_the_writer(database: Database) -> None:
    written, may_end = threading.Event(), threading.Event()

    def long_write(tx: sqlite3.Connection) -> None:
        note(tx, "slow")
        written.set()
        may_end.wait(5)

    write = asyncio.create_task(database.write(long_write))
    await asyncio.to_thread(written.wait, 5)
    assert await database.read(notes) == []
    may_end.set()
    await write
    assert await database.read(notes) == ["slow"]


# --- opening and closing ---------------------------------------------------------------------------------------------


async def test_closing_commits_what_is_pending_and_refuses_what_comes_later(path: Path) -> None:
    database = Database(path, SETTINGS)
    await database.open()
    writes = [asyncio.create_task(database.write(lambda tx, n=n: note(tx, str(n)))) for n in range(5)]  # type: ignore[misc]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*writes)
    with pytest.raises(StorageUnavailable, match="closed"):
        await database.write(lambda tx: note(tx, "late"))
    with pytest.raises(StorageUnavailable, match="closed"):
        await database.read(notes)
    await database.close()
    with beside_daemon(path, SETTINGS) as other:
        assert notes(other) == ["0", "1", "2", "3", "4"]


async def test_a_database_that_was_not_opened_takes_no_writes(path: Path) -> None:
    database = Database(path, SETTINGS)
    with pytest.raises(StorageUnavailable):
        await database.write(notes)
    await database.close()


async def test_opening_and_closing_leaks_neither_files_nor_threads(path: Path) -> None:
    async def once() -> None:
        database = Database(path, SETTINGS)
        await database.open()
        await database.write(lambda tx: tx.execute("DELETE FROM facts").rowcount)
        await asyncio.gather(*(database.read(notes) for _ in range(5)))
        await database.close()

    def in_use() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208 - a Path would hold one open

    await once()
    before = in_use()
    for _ in range(50):
        await once()
    assert in_use() == before


# --- the schema ------------------------------------------------------------------------------------------------------


async def test_an_up_to_date_schema_is_left_alone(path: Path) -> None:
    def schema(tx: sqlite3.Connection) -> tuple[int, list[str]]:
        version = int(tx.execute("PRAGMA user_version").fetchone()[0])
        return version, [row["sql"] for row in tx.execute("SELECT sql FROM sqlite_master ORDER BY name")]

    seen = []
    for _ in range(2):
        with beside_daemon(path, SETTINGS) as connection:
            seen.append(schema(connection))
    assert seen[0] == seen[1]
    assert seen[0][0] >= 1


def test_processes_that_start_together_migrate_once(path: Path) -> None:
    problems: list[ConfigError] = []

    def start() -> None:
        try:
            with beside_daemon(path, SETTINGS):
                pass
        except ConfigError as error:
            problems.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


async def test_the_schema_of_a_newer_abacod_is_refused(path: Path) -> None:
    with beside_daemon(path, SETTINGS) as connection:
        connection.execute("PRAGMA user_version = 9999")
    database = Database(path, SETTINGS)
    with pytest.raises(ConfigError, match=r"9999.*Upgrade abacod"):
        await database.open()
    await database.close()


def a_letter(path: Path) -> None:
    path.write_text("This is a letter, not a database. " * 100)


@pytest.mark.parametrize("put", [a_letter, Path.mkdir])
async def test_what_is_no_database_is_refused(path: Path, put: Callable[[Path], None]) -> None:
    put(path)
    database = Database(path, SETTINGS)
    with pytest.raises(ConfigError, match="Cannot open the database"):
        await database.open()
    await database.close()


# --- backups ---------------------------------------------------------------------------------------------------------


async def test_a_backup_taken_while_writes_go_on_is_consistent(database: Database, path: Path, tmp_path: Path) -> None:
    done = asyncio.Event()

    def write_pair(tx: sqlite3.Connection, number: int) -> None:
        note(tx, f"left {number}", "x" * 2000)
        note(tx, f"right {number}", "x" * 2000)

    async def keep_writing() -> int:
        number = 0
        while not done.is_set():
            await database.write(lambda tx, n=number: write_pair(tx, n))  # type: ignore[misc]
            number += 1
        return number

    writing = asyncio.create_task(keep_writing())
    await database.write(lambda tx: write_pair(tx, -1))
    for number in range(5):
        copy = tmp_path / f"copy-{number}.db"
        await asyncio.to_thread(back_up, path, copy)
        with closing(sqlite3.connect(copy)) as connection:
            (state,) = connection.execute("PRAGMA integrity_check").fetchone()
            found = {name for (name,) in connection.execute("SELECT name FROM facts")}
        assert state == "ok"
        lefts = {name.removeprefix("left ") for name in found if name.startswith("left")}
        rights = {name.removeprefix("right ") for name in found if name.startswith("right")}
        assert "-1" in lefts
        assert lefts == rights
    done.set()
    assert await writing > 0
    # One file each: a copy must not need a write-ahead log beside it.
    assert sorted(copies(tmp_path)) == [f"copy-{number}.db" for number in range(5)]


def test_a_backup_replaces_an_earlier_one(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with beside_daemon(path, SETTINGS) as connection:
        for name in ("monday", "tuesday"):
            note(connection, name)
            back_up(path, copy)
    with beside_daemon(copy, SETTINGS) as connection:
        assert notes(connection) == ["monday", "tuesday"]


def test_there_is_no_backup_of_nothing(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no database"):
        back_up(path, tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["missing/copy.db", "directory"])
def test_a_backup_that_cannot_be_written_leaves_nothing_behind(path: Path, tmp_path: Path, target: str) -> None:
    with beside_daemon(path, SETTINGS):
        pass
    (tmp_path / "directory").mkdir()
    with pytest.raises(ConfigError, match="Cannot write the backup"):
        back_up(path, tmp_path / target)
    assert not list(tmp_path.rglob("*.partial"))


# --- glances -----------------------------------------------------------------------------------------------------------


async def test_glances_of_one_turn_go_to_one_reader_and_each_gets_its_own_answer(database: Database) -> None:
    await database.write(lambda tx: note(tx, "a"))
    threads = set()

    def look(tx: sqlite3.Connection, number: int) -> list[str]:
        threads.add(threading.get_ident())
        if number == 1:
            raise UserNotFound("nobody")
        if number == 2:
            tx.execute("SELECT * FROM nowhere")
        return [*notes(tx), str(number)]

    answers = await asyncio.gather(
        *(database.glance(lambda tx, number=number: look(tx, number)) for number in range(20)),  # type: ignore[misc]
        return_exceptions=True,
    )

    assert len(threads) == 1
    assert isinstance(answers[1], UserNotFound)
    assert isinstance(answers[2], StorageUnavailable)
    assert [answers[number] for number in (0, *range(3, 20))] == [["a", str(n)] for n in (0, *range(3, 20))]


async def test_a_glance_whose_asker_has_gone_harms_no_other(database: Database) -> None:
    gone = asyncio.create_task(database.glance(notes))
    other = asyncio.create_task(database.glance(notes))
    await asyncio.sleep(0)
    gone.cancel()
    assert await other == []
    assert gone.cancelled()


async def test_a_glance_at_a_database_that_is_being_closed_is_refused(path: Path) -> None:
    database = Database(path, SETTINGS)
    await database.open()
    last = asyncio.create_task(database.glance(notes))
    await asyncio.sleep(0)
    database._reader_threads.shutdown()
    with pytest.raises(StorageUnavailable, match="closed"):
        await last
    await database.close()
    with pytest.raises(StorageUnavailable, match="closed"):
        await database.glance(notes)


async def test_what_comes_after_a_write_happens_once_it_is_on_disk_though_its_caller_has_gone(
    database: Database,
) -> None:
    after: list[str] = []

    def failing(tx: sqlite3.Connection) -> None:
        raise UserNotFound("nobody")

    gone = asyncio.create_task(database.write(lambda tx: note(tx, "a"), after=lambda _: after.append("a")))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(UserNotFound):
        await database.write(failing, after=lambda _: after.append("never"))
    assert await database.read(notes) == ["a"]
    assert after == ["a"]


# --- writing together ------------------------------------------------------------------------------------------------


async def test_what_is_written_together_is_written_in_one_go_and_each_gets_its_result(database: Counted) -> None:
    calls: list[int] = []

    def number(tx: sqlite3.Connection, names: Sequence[str]) -> list[str | Exception]:
        calls.append(len(names))
        for name in names:
            note(tx, name)
        return [UserNotFound() if name == "b" else name.upper() for name in names]

    done = await asyncio.gather(*(database.write_together(number, name) for name in "abc"), return_exceptions=True)
    assert (done[0], type(done[1]), done[2]) == ("A", UserNotFound, "C")
    assert calls == [3]


async def test_one_that_breaks_the_others_is_undone_alone(database: Counted) -> None:
    def write(tx: sqlite3.Connection, names: Sequence[str]) -> list[str | Exception]:
        for name in names:
            note(tx, name)
        if "b" in names:
            raise ZeroDivisionError
        return list(names)

    done = await asyncio.gather(
        *(database.write_together(write, name) for name in "abc"),
        database.write(lambda tx: note(tx, "d")),
        return_exceptions=True,
    )
    assert [type(each) for each in done] == [str, ZeroDivisionError, str, type(None)]
    assert await database.read(notes) == ["a", "c", "d"]


async def test_a_close_that_is_cancelled_leaves_no_thread_that_waits(path: Path) -> None:
    database = Database(path, SETTINGS)
    await database.open()
    closing_it = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    closing_it.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing_it
    assert database._serving is not None
    await database._serving
    await database.close()
