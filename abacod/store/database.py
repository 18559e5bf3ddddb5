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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import local
from typing import Any, Final, TypeVar

from abacod.config import StoreSettings
from abacod.errors import ConfigError, StorageUnavailable
from abacod.store import rights, space
from abacod.store.checkpoints import Checkpoints
from abacod.store.migrations import migrate
from abacod.store.writing import Asked, commit

Item = TypeVar("Item")
T = TypeVar("T")

Transaction = sqlite3.Connection
"""What questions get: a connection within a transaction, to be handed on to the store's functions and to nothing else."""

# Bounds how long one transaction keeps another process (the command line) from writing, in writes.
_LARGEST_BATCH: Final = 512
# The writer itself brings the write-ahead log back into the file when it has that many pages (of 4 KiB): see `checkpoints`.
_CHECKPOINT_PAGES: Final = 16_000
# Pages kept in memory by a connection that writes, in KiB: a catalog of 100000 records at once takes half the time with it.
_CACHE_KIB: Final = 32_768
# Pause before a lock is tried again, in seconds.
_LOCK_PAUSE: Final = 0.01


@dataclass(slots=True)
class _Batch:
    """Writes on their way through the writer thread."""

    writes: list[Asked]
    loop: asyncio.AbstractEventLoop
    began: float
    """When it was handed over, by the monotonic clock."""


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
        self._pending: list[Asked] = []
        self._glances: list[Asked] = []
        # Set while nothing is pending or on its way to the disk.
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._closing = False
        self._serving: asyncio.Future[None] | None = None
        self._batches: SimpleQueue[_Batch | None] = SimpleQueue()
        self.rights_version = 0
        """Another one after each commit that changed who may do what, see `rights`; of this process's commits only."""
        self._rights_changed = False
        self._checkpoints = Checkpoints(lambda: _connect(path, settings))

    async def open(self) -> None:
        """Open the file, making it if needed, and bring its schema up to date.

        Raises:
            ConfigError: the file is not a database of this or an earlier version of abacod.
        """
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer_thread, self._open_writer)
        except sqlite3.Error as error:
            raise ConfigError(f"Cannot open the database {self._path}: {error}") from error
        self._serving = asyncio.get_running_loop().run_in_executor(self._writer_thread, self._serve_batches)

    async def close(self) -> None:
        """Commit what is pending and close; later calls raise `StorageUnavailable`. May be called twice."""
        self._closing = True
        try:
            await self._quiet.wait()
        finally:
            # Whatever happens: the interpreter waits for this thread at its end.
            self._batches.put(None)
        if self._serving:
            await asyncio.shield(self._serving)
            self._serving = None
        await self._checkpoints.close()
        self._reader_threads.shutdown()
        for connection in self._readers:
            connection.close()
        self._readers.clear()
        if self._connection:
            await asyncio.get_running_loop().run_in_executor(self._writer_thread, self._connection.close)
            self._connection = None
        self._writer_thread.shutdown()

    async def write(
        self, question: Callable[[sqlite3.Connection], T], *, after: Callable[[T], None] | None = None
    ) -> T:
        """Run `question` in a transaction; return its result once the transaction is on disk.

        If `question` raises, its own writes are undone and the error comes out here. If it does not, `after` is called with
        its result once the transaction is on disk, also if whoever waits for it has been cancelled meanwhile.

        Raises:
            StorageUnavailable: the transaction could not be committed (disk full, file locked for too long), or the database
                is closed.
        """
        result: T = await self._asked(Asked(question, asyncio.get_running_loop().create_future(), after))
        return result

    async def write_together(
        self,
        question: Callable[[sqlite3.Connection, Sequence[Item]], Sequence[T | Exception]],
        item: Item,
        *,
        after: Callable[[T], None] | None = None,
        failed: Callable[[], None] | None = None,
    ) -> T:
        """As `write`, for what many requests write in the same way: all items that go into one transaction are written in one go.

        `question` gets them in their order, and gives for each its result, or as an exception why it is refused, in which case
        it has written nothing for it. If it raises, it is asked for each item alone. `failed` is called if the item is not
        written, also if whoever waits has been cancelled meanwhile.

        Raises:
            StorageUnavailable: as `write`.
        """
        done = asyncio.get_running_loop().create_future()
        result: T = await self._asked(Asked(question, done, after, together=True, item=item, failed=failed))
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
        glance = Asked(question, loop.create_future())
        self._glances.append(glance)
        result: T = await glance.done
        return result

    # --- the writer ---------------------------------------------------------------------------------------------

    async def _asked(self, write: Asked) -> Any:
        if self._closing or self._serving is None:
            write.error = StorageUnavailable("The database is closed.")
            write.resolve()
        else:
            self._pending.append(write)
            if self._quiet.is_set():
                self._quiet.clear()
                asyncio.get_running_loop().call_soon(self._gather)
        return await write.done

    def _gather(self, known: int = 0) -> None:
        """Hand what is pending to the writer thread, once a turn of the event loop brings nothing to the `known` writes.

        In a larger transaction each of them costs less.
        """
        loop = asyncio.get_running_loop()
        if known < len(self._pending) < _LARGEST_BATCH:
            loop.call_soon(self._gather, len(self._pending))
            return
        batch, self._pending = self._pending[:_LARGEST_BATCH], self._pending[_LARGEST_BATCH:]
        self._batches.put(_Batch(batch, loop, time.monotonic()))

    def _serve_batches(self) -> None:
        """The writer thread's life. Not one call of the executor for each batch: that takes as long as a small batch itself."""
        while (batch := self._batches.get()) is not None:
            try:
                self._commit(batch.writes)
            except BaseException as error:  # noqa: BLE001 - it belongs to those who asked, and this thread goes on
                for write in batch.writes:
                    write.error = write.error or error
            batch.loop.call_soon_threadsafe(self._done, batch)

    def _done(self, batch: _Batch) -> None:
        self._committed(time.monotonic() - batch.began, len(batch.writes))
        self._checkpoints.committed()
        if self._rights_changed:
            self._rights_changed = False
            self.rights_version += 1
        if self._pending:
            batch.loop.call_soon(self._gather)
        else:
            self._quiet.set()
        for write in batch.writes:
            write.resolve()

    def _commit(self, batch: list[Asked]) -> None:
        if self._connection is None:
            raise StorageUnavailable("The database is closed.")
        commit(self._connection, batch)

    def _note_rights(self) -> None:
        self._rights_changed = True

    def _open_writer(self) -> None:
        connection = _connect(self._path, self._settings)
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        rights.watch(connection, self._note_rights)
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
                glance.resolve()

        try:
            loop.run_in_executor(self._reader_threads, self._glance, glances).add_done_callback(answered)
        except RuntimeError:
            # The readers were shut down between the question and this turn of the loop.
            for glance in glances:
                glance.error = StorageUnavailable("The database is closed.")
                glance.resolve()

    def _glance(self, glances: list[Asked]) -> None:
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


def in_one_view(tx: Transaction, ask: Callable[[Transaction], T]) -> T:
    """Within a `read`: ask several questions of the database as it was at the first of them."""
    tx.execute("BEGIN")
    try:
        return ask(tx)
    finally:
        tx.execute("ROLLBACK")


def in_one_write(tx: Transaction, ask: Callable[[Transaction], T]) -> T:
    """On a connection of `beside_daemon`: write all that `ask` writes, or nothing if it raises."""
    tx.execute("BEGIN IMMEDIATE")
    try:
        result = ask(tx)
    except BaseException:
        tx.execute("ROLLBACK")
        raise
    tx.execute("COMMIT")
    return result


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
        space.prepare(connection)
        _use_write_ahead_log(connection, settings.busy_timeout_seconds)
        connection.execute(f"PRAGMA synchronous = {settings.synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
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
