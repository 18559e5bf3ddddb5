from __future__ import annotations

import sqlite3

import pytest

from abacod.ids import ExecutionId
from abacod.models.actor import Actor
from abacod.store import executions, messages
from tests.factories import actor, execution, message


def put(tx: sqlite3.Connection, of: Actor, *bodies: str | None) -> list[ExecutionId]:
    made = []
    for body in bodies:
        one = execution(of)
        executions.insert(tx, one)
        messages.append(tx, one, message(body, A="ü"))
        made.append(one.id)
    return made


def test_messages_wait_in_order_each_actor_s_by_itself(tx: sqlite3.Connection) -> None:
    first, second = actor(), actor()
    a, x = put(tx, first, "a", "x")
    put(tx, second, "b")
    (c,) = put(tx, first, "c")
    waiting = messages.waiting_after(tx, first.id, 0, 2)
    assert [(each.body, each.execution_id, each.attempts) for each in waiting] == [("a", a, 0), ("x", x, 0)]
    assert waiting[0].environment == {"A": "ü"}
    assert [each.execution_id for each in messages.waiting_after(tx, first.id, waiting[-1].seq, 2)] == [c]
    assert messages.waiting_counts(tx) == {first.id: 3, second.id: 1}


def test_a_started_message_waits_no_more_until_it_is_given_back(tx: sqlite3.Connection) -> None:
    of = actor()
    one, two = put(tx, of, "1", "2")
    messages.mark_started(tx, one)
    assert messages.waiting_counts(tx) == {of.id: 1}
    messages.mark_waiting(tx, one, failed=True)
    messages.mark_waiting(tx, one, failed=False)
    first, second = messages.waiting_after(tx, of.id, 0, 9)
    assert ((first.execution_id, first.attempts), second.execution_id) == ((one, 1), two)


def test_a_purge_leaves_what_was_started(tx: sqlite3.Connection) -> None:
    of, other = actor(), actor()
    one, two, three = put(tx, of, "1", "2", "3")
    put(tx, other, "4")
    messages.mark_started(tx, one)
    assert messages.remove_waiting(tx, of.id) == [two, three]
    messages.mark_waiting(tx, one, failed=False)
    assert messages.waiting_counts(tx) == {of.id: 1, other.id: 1}
    messages.remove(tx, one)
    assert messages.waiting_counts(tx) == {other.id: 1}


def test_order_numbers_are_not_used_twice(tx: sqlite3.Connection) -> None:
    of = actor()
    put(tx, of, "1", "2")
    last = messages.waiting_after(tx, of.id, 0, 9)[-1].seq
    messages.remove_waiting(tx, of.id)
    put(tx, of, "3")
    assert messages.waiting_after(tx, of.id, last, 9)[0].body == "3"


def test_binary_messages_are_those_without_a_text(tx: sqlite3.Connection) -> None:
    of = actor()
    text, binary = put(tx, of, "", None)
    assert messages.binary_executions(tx) == {binary}
    messages.mark_started(tx, binary)
    assert messages.binary_executions(tx) == {binary}
    assert text not in messages.binary_executions(tx)


def test_a_message_belongs_to_one_execution(tx: sqlite3.Connection) -> None:
    of = actor()
    (one,) = put(tx, of, "1")
    for execution_id in (one, ExecutionId("unknown")):
        with pytest.raises(sqlite3.IntegrityError):
            messages.append(tx, execution(of, id=execution_id), message())
