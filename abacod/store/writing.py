"""The writer's side of a group commit: what is asked of it, and how a batch of that becomes one transaction."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog

from abacod.errors import StorageUnavailable

# The trouble is the disk's or the file's, not the question's; SQLite may have undone the whole transaction because of it.
_DISK_TROUBLE: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)

Together = Callable[[sqlite3.Connection, Sequence[Any]], Sequence[Any]]
"""Writes many items in one go; gives the result of each, or as an exception why it is refused."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Asked:
    """One question, and what became of it. With `together` the `question` is what all such are asked, of their `item`s.

    `after` is called with the result once that is on disk, `failed` if it never will be.
    """

    question: Callable[..., Any]
    done: asyncio.Future[Any]
    after: Callable[[Any], None] | None = None
    result: Any = None
    error: BaseException | None = None
    together: bool = False
    item: Any = None
    failed: Callable[[], None] | None = None

    def resolve(self) -> None:
        """Tell whoever asked; on the event loop."""
        if self.error is None and self.after is not None:
            self.after(self.result)
        if self.error is not None and self.failed is not None:
            self.failed()
        if self.done.done():
            return  # its caller was cancelled; a write itself stands
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)


def commit(connection: sqlite3.Connection, batch: Sequence[Asked]) -> None:
    """Write all of it in one transaction; what fails is undone alone. If the disk refuses, all fail with that."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        steps = _steps(batch)
        if len(steps) == 1 and len(steps[0]) == 1:
            if not _alone(connection, steps[0]):
                return
        else:
            for writes in steps:
                _attempt(connection, writes)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        _log.error("commit_failed", error=str(error), writes=len(batch))
        unavailable = StorageUnavailable(f"The database cannot be written at the moment: {error}.")
        for write in batch:
            write.error = write.error or unavailable


def _steps(batch: Iterable[Asked]) -> list[list[Asked]]:
    """The writes in their order, those that are asked together at the place of the first of them."""
    steps: list[list[Asked]] = []
    together: dict[Callable[..., Any], list[Asked]] = {}
    for write in batch:
        if write.together and write.question in together:
            together[write.question].append(write)
            continue
        steps.append([write])
        if write.together:
            together[write.question] = steps[-1]
    return steps


def _alone(connection: sqlite3.Connection, writes: list[Asked]) -> bool:
    """Run the only write of a transaction, which is undone as a whole if that fails; whether it did not.

    Raises:
        sqlite3.Error: it cannot be written, whoever asks.
    """
    try:
        _ask(connection, writes)
    except Exception as error:
        if _is_disk_trouble(error):
            raise
        connection.execute("ROLLBACK")
        writes[0].error = error
        return False
    return True


def _attempt(connection: sqlite3.Connection, writes: list[Asked]) -> None:
    """Run one step so that its failure undoes only itself.

    Raises:
        sqlite3.Error: the batch cannot be written, whoever asks.
    """
    connection.execute("SAVEPOINT one_write")
    try:
        _ask(connection, writes)
    except Exception as error:
        if _is_disk_trouble(error):
            raise
        connection.execute("ROLLBACK TO one_write")
        if len(writes) == 1:
            writes[0].error = error
        else:
            # One of them has a defect, and the others are not to suffer for it.
            for write in writes:
                _attempt(connection, [write])
    connection.execute("RELEASE one_write")


def _is_disk_trouble(error: Exception) -> bool:
    # The low byte of an extended code is the kind of error.
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK_TROUBLE


def _ask(connection: sqlite3.Connection, writes: list[Asked]) -> None:
    first = writes[0]
    if not first.together:
        first.result = first.question(connection)
        return
    results = first.question(connection, [write.item for write in writes])
    for write, result in zip(writes, results, strict=True):
        if isinstance(result, BaseException):
            write.error = result
        else:
            write.result = result
