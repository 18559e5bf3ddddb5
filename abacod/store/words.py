"""The full-text index: it is written behind the records, so that running messages does not wait for it."""

from __future__ import annotations

import json
import sqlite3
from typing import Final, Literal

from abacod.models.search import Query, words_of

Indexed = Literal["actors", "executions"]
"""What is indexed; the logs are with the executions."""

# Records indexed in one transaction, and bytes of logs after which it takes no more: requests wait for it.
_AT_ONCE: Final = 200
_BYTES_AT_ONCE: Final = 500_000


def catch_up(tx: sqlite3.Connection, what: Indexed) -> bool:
    """Index some of what was added or changed since it was indexed last; whether more of it waits."""
    return _catch_up_actors(tx) if what == "actors" else _catch_up_executions(tx)


def match_expression(query: Query) -> str:
    """The query's texts in the full-text engine's language; each word in quotes, so that nothing in it is an operator.

    Empty if no record can match: a text without a word is in none.
    """
    groups = [_quoted(words, " OR ") for words in query.any_words]
    # One quoted string of several words is a phrase.
    groups += [_quoted((" ".join(words_of(phrase)),), "") for phrase in query.phrases]
    return " AND ".join(groups) if all(groups) else ""


def texts_within(value: str | None) -> str:
    """All texts within a JSON text, a line each, without the names of fields."""
    waiting = [json.loads(value)] if value else []
    found = []
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += reversed(item.values())
        elif isinstance(item, list):
            waiting += reversed(item)
        elif isinstance(item, str):
            found.append(item)
    return "\n".join(found)


def _quoted(words: tuple[str, ...], between: str) -> str:
    quoted = between.join(f'"{word}"' for word in words if word)
    return f"({quoted})" if quoted else ""


def _catch_up_actors(tx: sqlite3.Connection) -> bool:
    rows = tx.execute(
        "SELECT * FROM actors WHERE seq IN (SELECT seq FROM actors_to_index ORDER BY seq LIMIT ?)", (_AT_ONCE,)
    ).fetchall()
    for row in rows:
        parts = [row[name] for name in ("id", "owner", "status", "status_message", "tasdir", "cron_next_ex")]
        parts += [texts_within(row[name]) for name in ("definition", "state", "mounts")]
        text = "\n".join(part for part in parts if part)
        tx.execute("INSERT OR REPLACE INTO actor_words (rowid, text) VALUES (?, ?)", (row["seq"], text))
        tx.execute("DELETE FROM actors_to_index WHERE seq = ?", (row["seq"],))
    return len(rows) == _AT_ONCE


def _catch_up_executions(tx: sqlite3.Connection) -> bool:
    waiting = tx.execute("SELECT seq FROM executions_to_index ORDER BY seq LIMIT ?", (_AT_ONCE,)).fetchall()
    size = 0
    for (seq,) in waiting:
        row = tx.execute("SELECT * FROM executions WHERE seq = ?", (seq,)).fetchone()
        names = ("id", "actor_id", "executor", "worker_id", "status")
        parts = [*(row[name] for name in names), texts_within(row["final_state"])]
        text = "\n".join(part for part in parts if part)
        tx.execute("INSERT OR REPLACE INTO execution_words (rowid, text) VALUES (?, ?)", (seq, text))
        tx.execute("DELETE FROM executions_to_index WHERE seq = ?", (seq,))
        if row["finish_ms"] is not None and not row["log_gone"]:
            size += _index_log(tx, seq, row["id"])
        if size > _BYTES_AT_ONCE:
            return True
    return len(waiting) == _AT_ONCE


def _index_log(tx: sqlite3.Connection, seq: int, execution_id: str) -> int:
    """Index the log of an execution that has ended; its size in bytes."""
    pieces = tx.execute("SELECT data FROM log_pieces WHERE execution_id = ? ORDER BY position", (execution_id,))
    log = b"".join(row["data"] for row in pieces)
    text = log.decode(errors="replace")
    tx.execute("INSERT OR REPLACE INTO log_words (rowid, text) VALUES (?, ?)", (seq, text))
    return len(log)
