from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest

from abacod.errors import ExecutionNotFound, IllegalTransition
from abacod.ids import new_execution_id, new_worker_id
from abacod.models.execution import Totals
from abacod.models.states import ExecutionStatus
from abacod.store import executions, totals
from tests.factories import START, actor, execution

LATER = START + timedelta(seconds=90)


def test_the_life_of_an_execution(tx: sqlite3.Connection) -> None:
    of, worker = actor(), new_worker_id()
    waiting = execution(of, executor_uid=0, executor_gid=0)
    executions.insert(tx, waiting)
    assert executions.get(tx, of.id, waiting.id) == waiting
    executions.start(tx, waiting.id, worker, START)
    running = replace(waiting, status=ExecutionStatus.RUNNING, worker_id=worker, start_time=START)
    assert executions.running(tx) == [running]
    ended = replace(running, finish_time=LATER, runtime=90, cpu=5, io=6, exit_code=0, final_state={"ExitCode": 0})
    executions.complete(tx, ended, None)
    assert executions.find(tx, waiting.id) == replace(ended, status=ExecutionStatus.COMPLETE)
    assert totals.of_actor(tx, of.id) == Totals(executions=1, runtime=90, cpu=5, io=6)
    assert executions.running(tx) == []


def test_steps_that_may_not_follow(tx: sqlite3.Connection) -> None:
    of = actor()
    one = execution(of)
    executions.insert(tx, one)
    with pytest.raises(IllegalTransition):
        executions.complete(tx, replace(one, finish_time=LATER), None)
    executions.start(tx, one.id, new_worker_id(), START)
    with pytest.raises(IllegalTransition):
        executions.start(tx, one.id, new_worker_id(), START)
    assert executions.fail(tx, one.id, {"reason": "x"}, LATER, None)
    assert not executions.fail(tx, one.id, {"reason": "y"}, LATER, None)
    with pytest.raises(IllegalTransition):
        executions.complete(tx, replace(one, finish_time=LATER), None)
    executions.submit_again(tx, one.id)
    stored = executions.get(tx, of.id, one.id)
    assert (stored.status, stored.final_state) == (ExecutionStatus.ERROR, {"reason": "x"})
    assert totals.of_actor(tx, of.id) == Totals(executions=1)


def test_an_execution_that_was_not_started_waits_as_before(tx: sqlite3.Connection) -> None:
    of = actor()
    one = execution(of)
    executions.insert(tx, one)
    executions.start(tx, one.id, new_worker_id(), START)
    executions.submit_again(tx, one.id)
    assert executions.find(tx, one.id) == one


def test_an_execution_belongs_to_its_actor(tx: sqlite3.Connection) -> None:
    of = actor()
    one = execution(of)
    executions.insert(tx, one)
    with pytest.raises(ExecutionNotFound):
        executions.get(tx, actor().id, one.id)
    assert executions.find(tx, new_execution_id()) is None
    assert totals.of_actor(tx, actor().id) == Totals()


def test_a_list_shows_the_newest_the_oldest_of_them_first(tx: sqlite3.Connection) -> None:
    of = actor()
    made = [execution(of) for _ in range(5)]
    for each in made:
        executions.insert(tx, each)
    assert [each.id for each in executions.newest(tx, of.id, 3)] == [each.id for each in made[2:]]


def test_the_schema_refuses_states_that_cannot_be(tx: sqlite3.Connection) -> None:
    one = execution(actor())
    executions.insert(tx, one)
    for change in ("status = 'RUNNING'", "status = 'COMPLETE'", "finish_ms = 1", "start_ms = 1", "status = 'LOST'"):
        with pytest.raises(sqlite3.IntegrityError):
            tx.execute(f"UPDATE executions SET {change}")  # noqa: S608 - our own words
