"""Every question that is asked again and again finds its rows by an index, however many others there are."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from abacod.ids import TenantId, Username
from abacod.models.permission import Subject
from abacod.models.user import Level
from abacod.store import (
    actors,
    aliases,
    events,
    executions,
    log_archive,
    logs,
    messages,
    permissions,
    results,
    totals,
    users,
)
from tests.factories import START, actor, execution, message

# These have only the rows that somebody waits for; looking through all of them is looking for nothing else.
_SHORT = ("executions_running", "messages_waiting", "events_waiting")
_LONG = re.compile(
    r"SCAN (executions|messages|log_pieces|log_archive|results|events|actors|permissions|users|actor_totals|e|m|r)\b"
)

ACTOR = actor()
EXECUTION = execution(ACTOR)

QUESTIONS: dict[str, Callable[[sqlite3.Connection], Any]] = {
    "send: is the actor there": lambda tx: actors.statuses_of(tx, [ACTOR.id]),
    "an end: is somebody told": lambda tx: actors.tells(tx, ACTOR.id),
    "send: record the execution": lambda tx: executions.insert(tx, EXECUTION),
    "send: queue the message": lambda tx: messages.append(tx, EXECUTION, message()),
    "send: how many wait": lambda tx: messages.waiting_count(tx, ACTOR.id, [EXECUTION.id]),
    "who calls": lambda tx: users.find(tx, TenantId("dev"), Username("alice")),
    "what is named": lambda tx: aliases.find(tx, TenantId("dev"), "name"),
    "may they": lambda tx: permissions.level_of(tx, Subject.actor(ACTOR.id), Username("alice")),
    "an actor": lambda tx: actors.find(tx, ACTOR.id),
    "an execution": lambda tx: executions.find(tx, EXECUTION.id),
    "an execution of an actor": lambda tx: executions.get(tx, ACTOR.id, EXECUTION.id),
    "a list of executions": lambda tx: executions.newest(tx, ACTOR.id, 100),
    "a list of one user's": lambda tx: executions.newest(tx, ACTOR.id, 100, Username("alice")),
    "the sums of an actor": lambda tx: totals.of_actor(tx, ACTOR.id),
    "a page of a search": lambda tx: executions.numbered(tx, [1, 2]),
    "a log": lambda tx: logs.whole(tx, EXECUTION.id, START),
    "a log from a position": lambda tx: logs.behind(tx, EXECUTION.id, 0, START),
    "the head of a queue": lambda tx: messages.waiting_after(tx, ACTOR.id, 0, 32),
    "a message that is started": lambda tx: messages.mark_started(tx, EXECUTION.id),
    "a result": lambda tx: results.pop(tx, EXECUTION.id, START),
    "whether there is a result": lambda tx: results.waiting(tx, EXECUTION.id, START),
    "the next event of an actor": lambda tx: events.next_waiting(tx, ACTOR.id),
    "a failure": lambda tx: executions.fail(tx, EXECUTION.id, {}, START, None),
    "a message that is done": lambda tx: messages.remove(tx, EXECUTION.id),
    "start: what runs": executions.running,
    "start: what waits": messages.waiting_counts,
    "janitor: a log to put away": lambda tx: log_archive.put_away(tx, 1, EXECUTION.id),
    "janitor: a log that is put away": lambda tx: log_archive.remove(tx, 1, 100),
    "a deleted actor's logs": lambda tx: logs.remove_some_of_actor(tx, ACTOR.id, 0),
    "the size of logs": lambda tx: logs.size_of(tx, [1, 2]),
    "janitor: old logs": lambda tx: logs.remove_expired(tx, START),
    "janitor: old results": lambda tx: results.remove_expired(tx, START, 100),
    "janitor: old events": lambda tx: events.remove_done(tx, START, 100),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_it_uses_an_index(tx: sqlite3.Connection, question: str) -> None:
    actors.insert(tx, ACTOR)
    permissions.grant(tx, Subject.actor(ACTOR.id), Username("alice"), Level.READ)
    if question != "send: record the execution":
        executions.insert(tx, EXECUTION)
    asked: list[str] = []
    tx.set_trace_callback(asked.append)
    QUESTIONS[question](tx)
    tx.set_trace_callback(None)
    statements = [sql for sql in asked if not sql.lstrip().startswith("--")]  # those are the triggers'
    assert statements
    for sql in statements:
        assert not scans(tx, sql)


def test_a_question_without_an_index_is_noticed(tx: sqlite3.Connection) -> None:
    assert scans(tx, "SELECT * FROM executions WHERE exit_code = 1")
    assert scans(tx, "SELECT count(*) FROM executions")


def scans(tx: sqlite3.Connection, sql: str) -> list[str]:
    """The steps that go through all rows of a table that grows."""
    steps = [row["detail"] for row in tx.execute(f"EXPLAIN QUERY PLAN {sql}")]
    return [step for step in steps if _LONG.match(step) and not any(name in step for name in _SHORT)]
