from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from abacod.ids import ExecutionId
from abacod.models.actor import Actor
from abacod.store import executions, log_archive, logs
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
    old = [log_of(tx, of, NOW + timedelta(seconds=1)) for _ in range(250)]
    new = log_of(tx, of, NOW + timedelta(seconds=100))
    endless = log_of(tx, of)
    later = NOW + timedelta(seconds=5)
    assert logs.remove_expired(tx, later)
    left = {row[0] for row in tx.execute("SELECT execution_id FROM log_pieces")}
    assert len(left & set(old)) == 50
    assert not logs.remove_expired(tx, later)
    assert {row[0] for row in tx.execute("SELECT execution_id FROM log_pieces")} == {new, endless}
    assert logs.whole(tx, endless, later) == b"one two"


def test_of_a_large_log_a_part_is_removed_at_a_time(tx: sqlite3.Connection) -> None:
    one = log_of(tx, actor(), NOW + timedelta(seconds=1))
    logs.append(tx, one, 7, b"line\n" * 500_000)
    seq = tx.execute("SELECT seq FROM executions WHERE id = ?", (one,)).fetchone()[0]
    while not log_archive.put_away(tx, seq, one).done:
        pass
    later = NOW + timedelta(seconds=5)
    steps = 0
    while logs.remove_expired(tx, later):
        steps += 1
        assert logs.whole(tx, one, later) == b""
    assert steps > 5
    assert tx.execute("SELECT count(*) FROM log_archive").fetchone()[0] == 0


def test_logs_of_an_actor_go_together(tx: sqlite3.Connection) -> None:
    gone, stays = actor(), actor()
    log_of(tx, gone)
    log_of(tx, gone)
    other = log_of(tx, stays)
    behind: int | None = 0
    while behind is not None:
        behind = logs.remove_some_of_actor(tx, gone.id, behind)
    assert [row[0] for row in tx.execute("SELECT DISTINCT execution_id FROM log_pieces")] == [other]
