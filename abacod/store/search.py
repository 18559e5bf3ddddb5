"""Searching: which records fit, in which order, and how many there are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from abacod.clock import to_ms
from abacod.errors import BadRequest, SearchTooSlow
from abacod.ids import ActorId, ExecutionId, TenantId, Username
from abacod.models.search import Query, exact_pattern
from abacod.models.user import WORLD, Level
from abacod.store import words
from abacod.store.conditions import MATCHES, Translation
from abacod.store.log_archive import UNPACKED, unpacked
from abacod.store.logs import size_of
from abacod.store.search_fields import (
    ACTORS,
    EXECUTIONS,
    LOGS,
    WORKER_TEXTS,
    WORKER_TIMES,
    WORKERS,
    Searched,
    Words,
)

# Steps of the database's machine between two looks at the time; a step takes well below a microsecond.
_STEPS_BETWEEN_LOOKS: Final = 20_000
# Logs are large, and an answer is put together in memory. In bytes.
_MOST_LOG_BYTES: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class Scope:
    """Which records may be found: those of actors that the user may read, or with an `actor_id` those of this one alone."""

    tenant: TenantId
    username: Username
    actor_id: ActorId | None = None
    execution_id: ExecutionId | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The `seq` of the records on the page, in order, and how many fit in all."""

    numbers: list[int]
    total: int


Expired = Callable[[], bool]
"""Whether the time that a search may take is over."""

_READABLE: Final = """
    SELECT a.id FROM actors AS a
    WHERE a.tenant = :tenant AND a.builtin IS NULL AND a.id IN (
      SELECT p.subject FROM permissions AS p
      WHERE p.kind = 'actor' AND p.username IN (:username, :world) AND p.level >= :level)
"""

_BUILTIN: Final = "SELECT id FROM actors WHERE id = :actor_id AND builtin IS NOT NULL"


def actors(tx: sqlite3.Connection, query: Query, scope: Scope, expired: Expired, *, default_token: bool) -> Page:
    """The actors that fit; `default_token` is the value of `token` where an actor has none.

    Raises:
        SearchTooSlow: the time was over.
    """
    parameters = {**_parameters(scope), "default_token": json.dumps(default_token)}
    return _page(tx, ACTORS, query, f"r.id IN ({_READABLE})", parameters, expired)


def executions(tx: sqlite3.Connection, query: Query, scope: Scope, expired: Expired) -> Page:
    """The executions that fit.

    Raises:
        SearchTooSlow: the time was over.
    """
    return _page(tx, EXECUTIONS, query, _within(scope, "r.id"), _parameters(scope), expired)


def logs(tx: sqlite3.Connection, query: Query, scope: Scope, expired: Expired, now: datetime) -> Page:
    """The executions whose logs fit, without those whose time has passed.

    Raises:
        SearchTooSlow: the time was over.
        BadRequest: the logs on the page are too large for one answer.
    """
    page = _page(tx, LOGS, query, _within(scope, "r.id"), {**_parameters(scope), "now": to_ms(now)}, expired)
    if size_of(tx, page.numbers) > _MOST_LOG_BYTES:
        raise BadRequest(f"The logs found have more than {_MOST_LOG_BYTES} bytes together. Give a smaller limit.")
    return page


def workers(
    tx: sqlite3.Connection, query: Query, scope: Scope, expired: Expired, documents: Sequence[Mapping[str, Any]]
) -> Page:
    """The workers that fit, of those whose `documents` are given: their fields, times as moments. The numbers are indices.

    Raises:
        SearchTooSlow: the time was over.
    """
    readable = {scope.actor_id} if scope.actor_id else {row["id"] for row in tx.execute(_READABLE, _parameters(scope))}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        memory.row_factory = sqlite3.Row
        _fill(memory, [(seq, document) for seq, document in enumerate(documents) if document["actor_id"] in readable])
        return _page(memory, WORKERS, query, "1", {}, expired)


# --- parts ----------------------------------------------------------------------------------------------------------


def _page(
    tx: sqlite3.Connection,
    searched: Searched,
    query: Query,
    visible: str,
    parameters: Mapping[str, Any],
    expired: Expired,
) -> Page:
    translation = Translation(searched)
    wanted = translation.sql(query.conditions)
    table, ctes, rank = f"{searched.table} AS r", "", "0"
    if query.about_text:
        rows = _with_texts(searched.words, query, translation)
        if rows is None:
            return Page([], 0)
        # Each text by itself: two of them may be in two rows of the same record.
        ctes = f"""
            hits (text, record, rank) AS MATERIALIZED ({" UNION ALL ".join(rows)}),
            fitting AS MATERIALIZED (
              SELECT record, sum(rank) AS rank
              FROM (SELECT text, record, min(rank) AS rank FROM hits GROUP BY text, record)
              GROUP BY record HAVING count(*) = {len(rows)}),
        """  # noqa: S608 - as below
        table, rank = f"fitting JOIN {searched.table} AS r ON r.seq = fitting.record", "fitting.rank"
    # All that is put together here is ours, and known before any request; what users give is in the parameters.
    sql = f"""
        WITH {ctes}found AS MATERIALIZED (
          SELECT r.seq AS seq, {rank} AS rank FROM {table}
          WHERE ({visible}) AND ({searched.condition}) AND {wanted})
        SELECT total.number AS total, page.seq AS seq
        FROM (SELECT count(*) AS number FROM found) AS total
        LEFT JOIN (SELECT seq, rank FROM found ORDER BY rank, seq LIMIT :limit OFFSET :skip) AS page
        ORDER BY page.rank, page.seq
    """  # noqa: S608 - see above
    given = {**parameters, **translation.parameters, "limit": query.limit, "skip": query.skip}
    with _interrupted_when(tx, expired):
        tx.create_function(MATCHES, 2, translation.matches, deterministic=True)
        tx.create_function(UNPACKED, 2, unpacked, deterministic=True)
        found = tx.execute(sql, given).fetchall()
    return Page([row["seq"] for row in found if row["seq"] is not None], found[0]["total"])


def _with_texts(index: Words, query: Query, translation: Translation) -> list[str] | None:
    """For each text of the query the SQL that finds the rows with it: its number, the record, the less the better it fits.

    None if no record can have one of them: a text without a word.
    """
    with_words, phrases = words.word_expressions(query), words.phrase_expressions(query)
    if not all((*with_words, *phrases)):
        return None
    # What fits better is told by words alone: a phrase is there or not.
    found = [(f"bm25({index.index})", f"{index.index} MATCH {translation.parameter(text)}") for text in with_words]
    for phrase, text in zip(query.phrases, phrases, strict=True):
        pattern = translation.pattern(exact_pattern(phrase))
        fits = f"{index.index} MATCH {translation.parameter(text)} AND {MATCHES}({pattern}, {index.text})"
        found.append(("0", fits))
    return [
        f"SELECT {number}, {index.record}, {rank} FROM {index.table} WHERE {fits}"  # noqa: S608 - as in `_page`
        for number, (rank, fits) in enumerate(found)
    ]


def _within(scope: Scope, execution: str) -> str:
    if scope.actor_id is None:
        return f"r.actor_id IN ({_READABLE})"
    # Of a built-in actor one finds one's own alone: they are not for everybody who may read the actor.
    own = f"(r.executor = :username OR r.actor_id NOT IN ({_BUILTIN}))"
    one = "" if scope.execution_id is None else f" AND {execution} = :execution_id"
    return f"r.actor_id = :actor_id AND {own}{one}"


def _parameters(scope: Scope) -> dict[str, Any]:
    return {
        "tenant": scope.tenant,
        "username": scope.username,
        "world": WORLD,
        "level": int(Level.READ),
        "actor_id": scope.actor_id,
        "execution_id": scope.execution_id,
    }


@contextmanager
def _interrupted_when(tx: sqlite3.Connection, expired: Expired) -> Iterator[None]:
    tx.set_progress_handler(expired, _STEPS_BETWEEN_LOOKS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            raise SearchTooSlow from error
        raise
    finally:
        tx.set_progress_handler(None, 0)


def _fill(memory: sqlite3.Connection, documents: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    columns = ", ".join((*(f"{name} TEXT" for name in WORKER_TEXTS), *(f"{name} INTEGER" for name in WORKER_TIMES)))
    memory.execute(f"CREATE TABLE workers (seq INTEGER PRIMARY KEY, {columns})")
    memory.execute(
        "CREATE VIRTUAL TABLE worker_words USING fts5 (text, tokenize = 'porter unicode61 remove_diacritics 2')"
    )
    marks = ", ".join("?" * (1 + len(WORKER_TEXTS) + len(WORKER_TIMES)))
    for seq, document in documents:
        texts = [document[name] for name in WORKER_TEXTS]
        times = [document[name] and to_ms(document[name]) for name in WORKER_TIMES]
        memory.execute(f"INSERT INTO workers VALUES ({marks})", (seq, *texts, *times))  # noqa: S608 - question marks
        memory.execute("INSERT INTO worker_words (rowid, text) VALUES (?, ?)", (seq, "\n".join(map(str, texts))))
