"""The SQLite file: one writer that commits many requests' writes at once, and read-only readers.

Every question to the database is a plain function that takes a connection and lives in the module of its table. A caller
composes such functions into one transaction with `write`, or asks one with `read`; it never sees SQL.

Group commit: while one transaction is being flushed to disk, further writes gather and go into the next one together. A
write that raises is undone alone (a savepoint), and `write` returns only when its transaction is on disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import local
from typing import Any, Final, TypeVar

import structlog

from abacod.config import StoreSettings
from abacod.errors import ConfigError, StorageUnavailable
from abacod.store.migrations import migrate

T = TypeVar("T")

Transaction = sqlite3.Connection
"""What questions get: a connection within a transaction, to be handed on to the store's functions and to nothing else."""

# Bounds how long one transaction keeps another process (the command line) from writing, in writes.
_LARGEST_BATCH: Final = 512
# The write-ahead log is folded back into the file every that many pages (of 4 KiB).
_CHECKPOINT_PAGES: Final = 4000
# The trouble is the disk's or the file's, not the question's; SQLite may have undone the whole transaction because of it.
_DISK_TROUBLE: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)
# Pause before a lock is tried again, in seconds.
_LOCK_PAUSE: Final = 0.01

_log = structlog.get_logger()


@dataclass(slots=True)
class _Asked:
    question: Callable[[sqlite3.Connection], Any]
    done: asyncio.Future[Any]
    after: Callable[[], None] | None = None
    result: Any = None
    error: BaseException | None = None


class Database:
    """An open database. Made by `Database.opened`; all methods belong to one event loop."""

    def __init__(
        self,
        path: Path,
        settings: StoreSettings,
        committed: Callable[[float, int], None] = lambda seconds, writes: None,
    ) -> None:
        """`committed` is told after each transaction how many seconds it took and how many writes were in it."""
        self._committed = committed
        self._path = path
        self._settings = settings
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._reader_threads = ThreadPoolExecutor(settings.readers, thread_name_prefix="store-reader")
        self._reader = local()
        self._readers: list[sqlite3.Connection] = []
        self._connection: sqlite3.Connection | None = None
        self._pending: list[_Asked] = []
        self._glances: list[_Asked] = []
        self._arrived = asyncio.Event()
        self._closing = False
        self._committing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file, making it if needed, and bring its schema up to date.

        Raises:
            ConfigError: the file is not a database of this or an earlier version of abacod.
        """
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer_thread, self._open_writer)
        except sqlite3.Error as error:
            raise ConfigError(f"Cannot open the database {self._path}: {error}") from error
        self._committing = asyncio.create_task(self._commit_for_ever(), name="store-writer")

    async def close(self) -> None:
        """Commit what is pending and close; later calls raise `StorageUnavailable`. May be called twice."""
        self._closing = True
        self._arrived.set()
        if self._committing:
            await self._committing
        self._reader_threads.shutdown()
        for connection in self._readers:
            connection.close()
        self._readers.clear()
        if self._connection:
            await asyncio.get_running_loop().run_in_executor(self._writer_thread, self._connection.close)
            self._connection = None
        self._writer_thread.shutdown()

    async def write(self, question: Callable[[sqlite3.Connection], T], *, after: Callable[[], None] | None = None) -> T:
        """Run `question` in a transaction; return its result once the transaction is on disk.

        If `question` raises, its own writes are undone and the error comes out here. If it does not, `after` is called once
        the transaction is on disk, also if whoever waits for it has been cancelled meanwhile.

        Raises:
            StorageUnavailable: the transaction could not be committed (disk full, file locked for too long), or the database
                is closed.
        """
        if self._closing or self._committing is None or self._committing.done():
            raise StorageUnavailable("The database is closed.")
        write = _Asked(question, asyncio.get_running_loop().create_future(), after)
        self._pending.append(write)
        self._arrived.set()
        result: T = await write.done
        return result

    async def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Run `question` on a read-only connection and return its result.

        Raises:
            StorageUnavailable: the database cannot be read or is closed.
        """
        if self._closing:
            raise StorageUnavailable("The database is closed.")
        return await asyncio.get_running_loop().run_in_executor(self._reader_threads, self._read, question)

    async def glance(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """As `read`, for questions that take no time, such as a few rows by their keys.

        All that come up in one turn of the event loop go to one reader together: with many requests at once the way to
        another thread and back costs more than their answers.

        Raises:
            StorageUnavailable: the database cannot be read or is closed.
        """
        if self._closing:
            raise StorageUnavailable("The database is closed.")
        loop = asyncio.get_running_loop()
        if not self._glances:
            loop.call_soon(self._send_glances, loop)
        glance = _Asked(question, loop.create_future())
        self._glances.append(glance)
        result: T = await glance.done
        return result

    # --- the writer ---------------------------------------------------------------------------------------------

    async def _commit_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while not (self._closing and not self._pending):
            await self._arrived.wait()
            self._arrived.clear()
            while self._pending:
                batch, self._pending = self._pending[:_LARGEST_BATCH], self._pending[_LARGEST_BATCH:]
                began = time.monotonic()
                await loop.run_in_executor(self._writer_thread, self._commit, batch)
                self._committed(time.monotonic() - began, len(batch))
                for write in batch:
                    _resolve(write)

    def _commit(self, batch: list[_Asked]) -> None:
        connection = self._connection
        if connection is None:
            raise StorageUnavailable("The database is closed.")
        try:
            connection.execute("BEGIN IMMEDIATE")
            for write in batch:
                _attempt(connection, write)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            _log.error("commit_failed", error=str(error), writes=len(batch))
            unavailable = StorageUnavailable(f"The database cannot be written at the moment: {error}.")
            for write in batch:
                write.error = write.error or unavailable

    def _open_writer(self) -> None:
        connection = _connect(self._path, self._settings)
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        self._connection = connection

    # --- the readers --------------------------------------------------------------------------------------------

    def _reader_of_this_thread(self) -> sqlite3.Connection:
        """A connection that cannot write, opened at the thread's first question."""
        known: sqlite3.Connection | None = getattr(self._reader, "connection", None)
        if known is not None:
            return known
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode=ro",
            uri=True,
            timeout=self._settings.busy_timeout_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA query_only = ON")
        self._reader.connection = connection
        self._readers.append(connection)
        return connection

    def _send_glances(self, loop: asyncio.AbstractEventLoop) -> None:
        glances, self._glances = self._glances, []

        def answered(_: asyncio.Future[None]) -> None:
            for glance in glances:
                _resolve(glance)

        try:
            loop.run_in_executor(self._reader_threads, self._glance, glances).add_done_callback(answered)
        except RuntimeError:
            # The readers were shut down between the question and this turn of the loop.
            for glance in glances:
                glance.error = StorageUnavailable("The database is closed.")
                _resolve(glance)

    def _glance(self, glances: list[_Asked]) -> None:
        for glance in glances:
            try:
                glance.result = self._read(glance.question)
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                glance.error = error

    def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return question(self._reader_of_this_thread())
        except sqlite3.Error as error:
            raise StorageUnavailable(f"The database cannot be read at the moment: {error}.") from error


def _attempt(connection: sqlite3.Connection, write: _Asked) -> None:
    """Run one write of a batch so that its failure undoes only itself.

    Raises:
        sqlite3.Error: the batch cannot be written, whoever asks.
    """
    connection.execute("SAVEPOINT one_write")
    try:
        write.result = write.question(connection)
    except Exception as error:
        # The low byte of an extended code is the kind of error.
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK_TROUBLE:
            raise
        write.error = error
        connection.execute("ROLLBACK TO one_write")
    connection.execute("RELEASE one_write")


def _resolve(asked: _Asked) -> None:
    if asked.error is None and asked.after is not None:
        asked.after()
    if asked.done.done():
        return  # its caller was cancelled; a write itself stands
    if asked.error is not None:
        asked.done.set_exception(asked.error)
    else:
        asked.done.set_result(asked.result)


def in_one_view(tx: Transaction, ask: Callable[[Transaction], T]) -> T:
    """Within a `read`: ask several questions of the database as it was at the first of them."""
    tx.execute("BEGIN")
    try:
        return ask(tx)
    finally:
        tx.execute("ROLLBACK")


@contextmanager
def beside_daemon(path: Path, settings: StoreSettings) -> Iterator[Transaction]:
    """A connection for a short-lived process (the command line) that may run beside a daemon.

    Each statement commits on its own. The schema is brought up to date if no daemon has done it yet.

    Raises:
        ConfigError: the file is not a database of this or an earlier version of abacod, or cannot be written.
    """
    try:
        with closing(_connect(path, settings)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise ConfigError(f"Cannot use the database {path}: {error}.") from error


def _connect(path: Path, settings: StoreSettings) -> sqlite3.Connection:
    """A connection that writes, to a database with the newest schema."""
    connection = sqlite3.connect(
        path, timeout=settings.busy_timeout_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        connection.row_factory = sqlite3.Row
        _use_write_ahead_log(connection, settings.busy_timeout_seconds)
        connection.execute(f"PRAGMA synchronous = {settings.synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection, patience: float) -> None:
    # Unlike every other statement, this one does not wait for a lock: two processes that meet on a new file would fail.
    give_up = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(_LOCK_PAUSE)
        else:
            return


def back_up(path: Path, target: Path) -> None:
    """Write a consistent copy of the database at `path` to `target` while others use it.

    Raises:
        ConfigError: there is no database, or the copy cannot be written; a half-written copy is removed.
    """
    if not path.is_file():
        raise ConfigError(f"There is no database at {path}.")
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        source = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        copy = sqlite3.connect(partial)
        try:
            # All pages in one step: a copy in several steps starts again whenever the daemon writes.
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        finally:
            source.close()
            copy.close()
        partial.replace(target)
    except (sqlite3.Error, OSError) as error:
        partial.unlink(missing_ok=True)
        raise ConfigError(f"Cannot write the backup {target}: {error}") from error
