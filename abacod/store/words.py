"""The full-text index: it is written behind the records, so that running messages does not wait for it.

With it the logs of executions that have ended are put away.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Final, Literal

from abacod.models.search import Query, words_of
from abacod.store import log_archive

Indexed = Literal["actors", "executions"]
"""What is indexed; the logs are with the executions."""

# Records indexed in one transaction, and bytes of logs after which it takes no more: requests wait for it.
_AT_ONCE: Final = 200
_BYTES_AT_ONCE: Final = 262_144


def catch_up(tx: sqlite3.Connection, what: Indexed) -> bool:
    """Index some of what was added or changed since it was indexed last; whether more of it waits."""
    return _catch_up_actors(tx) if what == "actors" else _catch_up_executions(tx)


def word_expressions(query: Query) -> list[str]:
    """Each of the query's texts of words in the full-text engine's language; quoted, so that nothing is an operator.

    An empty one, of a text without a word, matches no record.
    """
    return [_quoted(words, " OR ") for words in query.any_words]


def phrase_expressions(query: Query) -> list[str]:
    """As `word_expressions`, of the query's phrases."""
    # One quoted string of several words is a phrase.
    return [_quoted((" ".join(words_of(phrase)),), "") for phrase in query.phrases]


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
        if row["finish_ms"] is not None:
            done = False
            while not done:
                if size > _BYTES_AT_ONCE:
                    return True
                step = log_archive.put_away(tx, seq, row["id"])
                size, done = size + step.size, step.done
        tx.execute("DELETE FROM executions_to_index WHERE seq = ?", (seq,))
    return len(waiting) == _AT_ONCE
