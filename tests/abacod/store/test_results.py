from __future__ import annotations

import sqlite3
from datetime import timedelta

from abacod.ids import new_execution_id
from abacod.store import results
from tests.factories import START

LATER = START + timedelta(minutes=1)
ONE, OTHER = new_execution_id(), new_execution_id()


def test_first_in_first_out_for_each_execution(tx: sqlite3.Connection) -> None:
    for execution_id, data in ((ONE, [b"1", b""]), (OTHER, [b"x"]), (ONE, [b"3"])):
        results.append(tx, execution_id, data, now=START, expires=LATER, limit=9)

    assert [results.pop(tx, ONE, START) for _ in range(4)] == [b"1", b"", b"3", None]
    assert results.waiting(tx, OTHER, START)
    assert not results.waiting(tx, ONE, START)


def test_only_as_many_as_the_limit_are_kept(tx: sqlite3.Connection) -> None:
    def add(*data: bytes) -> int:
        return results.append(tx, ONE, data, now=START, expires=LATER, limit=3)

    assert [add(b"1", b"2"), add(b"3", b"4"), add(b"5")] == [2, 1, 0]
    assert results.pop(tx, ONE, START) == b"1"
    assert add(b"6") == 1


def test_an_expired_one_is_neither_shown_nor_counted_and_is_removed(tx: sqlite3.Connection) -> None:
    results.append(tx, ONE, [b"old"], now=START, expires=LATER, limit=1)

    assert results.pop(tx, ONE, LATER) is None
    assert results.append(tx, ONE, [b"new"], now=LATER, expires=LATER + timedelta(minutes=1), limit=1) == 1
    assert results.remove_expired(tx, LATER, 10) == 1
    assert results.pop(tx, ONE, LATER) == b"new"
