from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from abacod.ids import ExecutionId
from abacod.models.actor import Actor
from abacod.store import executions, logs
from tests.factories import START, actor, execution

NOW = START


def log_of(tx: sqlite3.Connection, of: Actor, expires: datetime | None = None) -> ExecutionId:
    one = execution(of)
    executions.insert(tx, one)
    logs.append(tx, one.id, 0, b"one ")
    logs.append(tx, one.id, 4, b"two")
    executions.fail(tx, one.id, {}, NOW, expires)
    return one.id


def test_pieces_make_a_log_and_a_piece_written_again_replaces_itself(tx: sqlite3.Connection) -> None:
    one = log_of(tx, actor())
    logs.append(tx, one, 4, b"two three")
    assert logs.whole(tx, one, NOW) == b"one two three"
    logs.remove(tx, one)
    assert logs.whole(tx, one, NOW) == b""


def test_a_log_is_gone_at_its_time_also_before_it_is_removed(tx: sqlite3.Connection) -> None:
    one = log_of(tx, actor(), NOW + timedelta(seconds=10))
    assert logs.whole(tx, one, NOW + timedelta(seconds=9.999)) == b"one two"
    assert logs.whole(tx, one, NOW + timedelta(seconds=10)) == b""


def test_expired_logs_are_removed_a_few_at_a_time(tx: sqlite3.Connection) -> None:
    of = actor()
    for seconds in (1, 2, 3, 100):
        log_of(tx, of, NOW + timedelta(seconds=seconds))
    endless = log_of(tx, of)
    later = NOW + timedelta(seconds=5)
    assert [logs.remove_expired(tx, later, 2) for _ in range(3)] == [2, 1, 0]
    assert tx.execute("SELECT count(DISTINCT execution_id) FROM log_pieces").fetchone()[0] == 2
    assert logs.whole(tx, endless, later) == b"one two"


def test_logs_of_an_actor_go_together(tx: sqlite3.Connection) -> None:
    gone, stays = actor(), actor()
    log_of(tx, gone)
    log_of(tx, gone)
    other = log_of(tx, stays)
    logs.remove_of_actor(tx, gone.id)
    assert [row[0] for row in tx.execute("SELECT DISTINCT execution_id FROM log_pieces")] == [other]
