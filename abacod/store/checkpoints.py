"""Bringing the write-ahead log back into the file, beside the writer, who then need not stop for it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

# Transactions after which the log is brought into the file. A transaction of one message has some ten pages.
_EVERY: Final = 256


class Checkpoints:
    """Checkpoints on a thread and a connection of their own. They wait for nobody, and nobody waits for them.

    While the writer goes on, what it adds meanwhile stays in the log; when the log has become long all the same, the writer
    itself brings in the little that is left (`wal_autocheckpoint`), and begins it anew.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """`connect` opens a connection that may write."""
        self._connect = connect
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-checkpoint")
        self._since = 0
        self._running: asyncio.Future[None] | None = None
        self._connection: sqlite3.Connection | None = None

    def committed(self) -> None:
        """One more transaction is in the log."""
        self._since += 1
        if self._since >= _EVERY and (self._running is None or self._running.done()):
            self._since = 0
            self._running = asyncio.get_running_loop().run_in_executor(self._thread, self._checkpoint)

    async def close(self) -> None:
        """Wait for the one that is going on; there is none afterwards."""
        if self._running is not None:
            await self._running
        self._thread.shutdown()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _checkpoint(self) -> None:
        try:
            self._connection = self._connection or self._connect()
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error:
            # Whatever it is, the writer meets it too, and tells.
            pass
