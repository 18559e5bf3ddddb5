"""Logs of executions that have ended: packed, and with their words in the full-text index, a bounded piece at a time.

A piece ends with a line where it can, so that no phrase of a line lies in two. The index keeps no copy of a text: the one
way to take words out of it is to give it the same text again.
"""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import dataclass
from typing import Final

PIECE: Final = 131_072
"""Most bytes of a log in one piece: what is indexed, packed or unpacked at once."""

UNPACKED: Final = "unpacked"
"""The SQL function that gives the bytes of a piece: its data and its size. Whoever uses it makes it with `unpacked`."""

OF_EXECUTION: Final = "SELECT position, size, data FROM log_archive WHERE execution = {0}"
"""SQL for the pieces of the execution whose `seq` the expression `{0}` is."""

# No text of so few bytes is worth a try to pack it.
_TOO_SHORT: Final = 64
# Quick, and not much larger than with more effort.
_EFFORT: Final = 3
# In UTF-8 all bytes of a sign but the first begin with these two bits.
_CONTINUES: Final = 0b10


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: `size` bytes of logs, and whether nothing is left to do."""

    size: int
    done: bool


def unpacked(data: bytes, size: int) -> bytes:
    """The bytes of a piece; `size` is how many they are."""
    return zlib.decompress(data) if len(data) < size else data


def put_away(tx: sqlite3.Connection, execution: int, execution_id: str) -> Step:
    """Put the next piece of a log away, of an execution that has ended; none if it has no log, or all of it is put away."""
    position, text, behind, last = _next_piece(tx, execution_id)
    if not text:
        return Step(0, done=True)
    packed = text if len(text) < _TOO_SHORT else zlib.compress(text, _EFFORT)
    number = tx.execute(
        "INSERT INTO log_archive (execution, position, size, data) VALUES (?, ?, ?, ?)",
        (execution, position, len(text), min(text, packed, key=len)),
    ).lastrowid
    tx.execute("INSERT INTO log_words (rowid, text) VALUES (?, ?)", (number, _words(text)))
    end = position + len(text)
    tx.execute("DELETE FROM log_pieces WHERE execution_id = ? AND position < ?", (execution_id, end))
    if behind:
        tx.execute(
            "INSERT INTO log_pieces (execution_id, position, data) VALUES (?, ?, ?)", (execution_id, end, behind)
        )
    return Step(len(text), done=last)


def whole(tx: sqlite3.Connection, execution: int) -> bytes:
    """All that is put away of a log."""
    rows = tx.execute(f"{OF_EXECUTION.format('?')} ORDER BY position", (execution,))
    return b"".join(unpacked(row["data"], row["size"]) for row in rows)


def behind(tx: sqlite3.Connection, execution: int, position: int) -> bytes:
    """What is put away of a log from `position` on, to the end of one piece; empty if nothing is."""
    row = tx.execute(
        f"{OF_EXECUTION.format('?')} AND position <= ? ORDER BY position DESC LIMIT 1", (execution, position)
    ).fetchone()
    return b"" if row is None else unpacked(row["data"], row["size"])[position - row["position"] :]


def remove(tx: sqlite3.Connection, execution: int, most: int) -> Step:
    """Forget a log from its end, piece by piece, until it was more than `most` bytes or nothing is left."""
    size = 0
    while size <= most:
        row = tx.execute(
            "SELECT number, size, data FROM log_archive WHERE execution = ? ORDER BY position DESC LIMIT 1",
            (execution,),
        ).fetchone()
        if row is None:
            return Step(size, done=True)
        words = _words(unpacked(row["data"], row["size"]))
        tx.execute("INSERT INTO log_words (log_words, rowid, text) VALUES ('delete', ?, ?)", (row["number"], words))
        tx.execute("DELETE FROM log_archive WHERE number = ?", (row["number"],))
        size += row["size"]
    return Step(size, done=False)


def _next_piece(tx: sqlite3.Connection, execution_id: str) -> tuple[int, bytes, bytes, bool]:
    """Where the next piece begins, the piece, what was read behind it, and whether it is the last one."""
    rows = tx.execute("SELECT position, data FROM log_pieces WHERE execution_id = ? ORDER BY position", (execution_id,))
    position, read = 0, bytearray()
    for row in rows:
        position = position if read else row["position"]
        read += row["data"]
        if len(read) > PIECE:
            break
    rows.close()
    end = _end_of_piece(read)
    return position, bytes(read[:end]), bytes(read[end:]), len(read) <= PIECE


def _end_of_piece(read: bytearray) -> int:
    if len(read) <= PIECE:
        return len(read)
    if line := read.rfind(b"\n", PIECE // 2, PIECE) + 1:
        return line
    # Not within a sign.
    return next((end for end in range(PIECE, PIECE - 4, -1) if read[end] >> 6 != _CONTINUES), PIECE)


def _words(text: bytes) -> str:
    return text.decode(errors="replace")
