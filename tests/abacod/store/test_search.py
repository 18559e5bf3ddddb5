"""Which records a search finds, in all four databases."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abacod.errors import BadRequest, SearchTooSlow
from abacod.ids import ActorId, ExecutionId, TenantId, Username
from abacod.models.permission import Subject
from abacod.models.search import Limits, read_query
from abacod.models.user import WORLD, Level
from abacod.store import permissions, search
from tests.abacod.store.shelf import ADA, Pairs, Shelf, in_time
from tests.factories import OWNER


@pytest.mark.parametrize(
    ("database", "name", "value", "found"),
    [
        # texts in columns, in JSON and in memory
        ("actors", "status", "READY", "one"),
        ("actors", "image.eq", "abacosamples/test", "one"),
        ("actors", "image.neq", "abacosamples/test", "two three"),
        ("actors", "name.gt", "one", "two three"),
        ("actors", "name.gte", "three", "two three"),
        ("actors", "name.lt", "three", "one"),
        ("actors", "name.lte", "three", "one three"),
        ("actors", "name.between", "p,tk", "three"),
        ("actors", "name.in", '["one","three","x"]', "one three"),
        ("actors", "name.nin", "['one','three','x']", "two"),
        ("actors", "image.like", "^abaco.*t$", "one"),
        ("actors", "image.like", "samples", "one"),
        ("actors", "image.like", "SAMPLES", ""),
        ("actors", "image.nlike", "samples", "two three"),
        ("actors", "status.in", '["READY","ERROR"]', "one two"),
        ("executions", "status", "COMPLETE", "one two"),
        ("executions", "id.neq", "one", "two three"),
        ("executions", "id.nin", '["one", "two"]', "three"),
        ("executions", "worker_id.like", "^worker-of-t", "two"),
        ("executions", "worker_id.nlike", "^worker-of-t", "one three"),
        ("executions", "worker_id", "none", "three"),
        ("executions", "worker_id.neq", "None", "one two"),
        ("workers", "status", "BUSY", "two"),
        ("workers", "status.in", '["BUSY","REQUESTED","READY"]', "one two"),
        ("workers", "status.nin", '["BUSY","READY"]', "three"),
        ("workers", "ch_name.like", "_t", "two three"),
        ("workers", "image.nlike", "the", "one two"),
        ("workers", "tenant.between", "da,df", "one two three"),
        ("workers", "cid.gt", "one", "two three"),
        ("logs", "id", "two", "two"),
        ("logs", "execution_id", "one", "one"),
        ("logs", "id.in", '["one","three"]', "one three"),
        ("logs", "id.neq", "one", "two three"),
        ("logs", "logs.like", "ERROR", "two"),
        ("logs", "logs.like", "\ufffd", "two"),
        ("logs", "logs.nlike", "ERROR", "one three"),
        ("logs", "logs", "all well\n", "one"),
        ("logs", "logs", "", "three"),
        ("logs", "logs.gt", "B", "one two"),
        # numbers
        ("actors", "max_workers", "3", "one"),
        ("actors", "max_workers", "3.0", "one"),
        ("actors", "max_workers.gt", "2.5", "one three"),
        ("actors", "max_workers.between", "4, 7", "three"),
        ("actors", "max_workers.in", "[3, 7.0]", "one three"),
        ("actors", "max_workers.nin", "[3]", "two three"),
        ("actors", "max_workers.neq", "3", "two three"),
        ("actors", "max_workers", "none", "two"),
        ("actors", "max_workers.neq", "none", "one three"),
        ("executions", "runtime.gte", "2", "one two"),
        ("executions", "runtime.lt", "2", "three"),
        ("executions", "runtime.between", "1,8", "one"),
        ("executions", "cpu", "1000000000000001", "one"),
        ("executions", "cpu.gt", "1e999", ""),
        ("executions", "cpu.lt", "9" * 40, "one two three"),
        ("executions", "exit_code.lte", "3", "one two"),
        ("executions", "exit_code", "none", "three"),
        ("executions", "exit_code.in", "[0, null]", "one three"),
        ("executions", "final_state.ExitCode", "0", "one"),
        ("executions", "final_state.ExitCode.gt", "0", "two"),
        ("executions", "final_state.ExitCode.in", "[3, 4]", "two"),
        # kinds do not mix, and nothing fails
        ("actors", "name", "5", ""),
        ("actors", "name.neq", "5", "one two three"),
        ("actors", "name.gt", "5", ""),
        ("actors", "max_workers", '"3"', ""),
        ("actors", "max_workers.gt", "a", ""),
        ("actors", "max_workers.like", "3", ""),
        ("actors", "max_workers.nlike", "3", "one two three"),
        ("executions", "runtime", "true", ""),
        ("executions", "runtime", '["2"]', ""),
        ("executions", "status", "1", ""),
        ("executions", "status.in", "[1, true]", ""),
        ("executions", "status.nin", "[]", "one two three"),
        ("executions", "start_time", "true", ""),
        ("workers", "status", "5", ""),
        ("workers", "status.gt", "true", ""),
        # booleans
        ("actors", "stateless", "true", "one two"),
        ("actors", "stateless", "False", "three"),
        ("actors", "stateless.neq", "true", "three"),
        ("actors", "token", "true", "one"),
        ("actors", "token", "false", "two three"),
        ("executions", "final_state.OOMKilled", "true", "two"),
        ("executions", "final_state.OOMKilled.in", "[false]", "one"),
        # times
        ("actors", "create_time.gt", "2026", "two three"),
        ("actors", "create_time.gt", "2026-01-02", "three"),
        ("actors", "create_time", "2026", "one"),
        ("actors", "create_time.in", '["2026", "2026-01-03T00Z"]', "one three"),
        ("actors", "create_time.like", "^2026-01-02T00:00:00.000Z$", "two"),
        ("executions", "start_time.gt", "2026-01-02T00:00:00.004", "two"),
        ("executions", "start_time.gt", "2026-01-02T00:00:00.0059", ""),
        ("executions", "start_time.lte", "2026-01-02 06:00", "one"),
        ("executions", "start_time.between", "2025,2026-01-01T00:00:00:500Z", "one"),
        ("executions", "start_time", "none", "three"),
        ("executions", "start_time.neq", "2026", "two three"),
        ("executions", "finish_time.gte", "2026-01", "one two"),
        ("executions", "final_state.FinishedAt.lte", "2026-01-01", ""),
        ("executions", "final_state.FinishedAt.lte", "2026-01-02", "one two"),
        ("executions", "final_state.FinishedAt.gt", "2026-01-01T00:00:01.999", "one two"),
        ("executions", "final_state.FinishedAt", "2026-01-02Z", "two"),
        ("workers", "create_time.lt", "2026-01-01T12", "one two"),
        ("workers", "last_execution_time", "none", "one three"),
        ("workers", "last_execution_time.gt", "2026", "two"),
        ("workers", "last_health_check_time.between", "2026, 2027", "one two three"),
        # objects and lists
        ("actors", "default_environment.DEBUG", '"true"', "one"),
        ("actors", "default_environment.DEBUG", "true", ""),
        ("actors", "default_environment.N", "'5'", "one"),
        ("actors", "default_environment", "x", ""),
        ("actors", "state.count.gte", "5", "one"),
        ("actors", "state.deep.list", "x", "one"),
        ("actors", "state.deep.list", "1", "one"),
        ("actors", "state.deep.list.like", "^x$", "one"),
        ("actors", "state.ok", "true", "one"),
        ("actors", "state.none", "none", "one two three"),
        ("actors", "state.none.neq", "none", ""),
        ("actors", "state.count.neq", "none", "one"),
        ("actors", "state", "text", "three"),
        ("actors", "hints", "sync", "one"),
        ("actors", "hints.neq", "sync", "two three"),
        ("actors", "hints", '["sync","fast"]', "one"),
        ("actors", "hints", '["fast","sync"]', ""),
        ("actors", "hints.in", '["fast","x"]', "one"),
        ("actors", "hints.like", "^f", "one"),
        ("actors", "hints.nlike", "^f", "two three"),
        # fields that are not there
        ("actors", "nothing", "x", ""),
        ("actors", "nothing.neq", "x", "one two three"),
        ("actors", "nothing.nin", '["x"]', "one two three"),
        ("actors", "nothing.nlike", "x", "one two three"),
        ("actors", "nothing", "none", "one two three"),
        ("actors", "nothing.neq", "none", ""),
        ("actors", "nothing.gt", "1", ""),
        ("actors", "nothing.between", "1,2", ""),
        ("actors", "status.inner", "x", ""),
        ("actors", "status.inner.neq", "x", "one two three"),
        ("actors", "", "x", ""),
        ("actors", "state..x", "1", ""),
        ("actors", "_links.self", "x", ""),
        ("actors", "permissions.neq", "x", "one two three"),
        ("executions", "final_state.Nothing.neq", "1", "one two three"),
        ("executions", "final_state", "none", "three"),
        ("executions", "tenant", "dev", ""),
        ("workers", "nothing.neq", "x", "one two three"),
        ("logs", "status", "COMPLETE", ""),
    ],
)
def test_a_condition_finds(full: Shelf, database: str, name: str, value: str, found: str) -> None:
    assert full.find(database, (name, value)) == found.split()


def test_all_conditions_must_hold(full: Shelf) -> None:
    assert full.find("actors", ("status.neq", "READY"), ("max_workers.gt", "1")) == ["three"]
    assert full.find("actors", ("max_workers.gt", "1"), ("max_workers.gt", "5"), ("max_workers.lt", "8")) == ["three"]
    assert full.find("actors", *[("status", "READY")] * 100) == ["one"]


@pytest.mark.parametrize("database", ["actors", "executions", "logs", "workers"])
def test_a_page_says_how_many_fit_in_all(full: Shelf, database: str) -> None:
    assert full.find(database) == ["one", "two", "three"]
    assert full.find(database, ("limit", "2")) == ["one", "two"]
    assert full.find(database, ("limit", "2"), ("skip", "2")) == ["three"]
    for pairs in ([("limit", "0")], [("skip", "3")], [("offset", "999999999999999")]):
        page = full.page(database, pairs)
        assert (page.numbers, page.total) == ([], 3)


# --- against a model --------------------------------------------------------------------------------------------------

VALUES = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.sampled_from(["", "a", "b", "1", "true"])
)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


def kind(value: object) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def equals(stored: Any, value: Any) -> bool:
    each = stored if isinstance(stored, list) else [stored]
    return any(kind(one) == kind(value) and one == value for one in each)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    stored=VALUES | st.lists(VALUES.filter(lambda value: value is not None), max_size=3),
    value=VALUES,
    operator=st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte", "in", "nin"]),
)
def test_any_value_compares_as_in_a_document_store(
    tx: sqlite3.Connection, stored: Any, value: Any, operator: str
) -> None:
    tx.execute("BEGIN")
    try:
        shelf = Shelf(tx)
        shelf.actor("it", state={"x": stored})
        if operator in ("eq", "neq", "in", "nin"):
            fits = equals(stored, value) == (operator in ("eq", "in"))
        else:
            each = stored if isinstance(stored, list) else [stored]
            ordered = kind(value) in ("number", "str")
            fits = ordered and any(kind(one) == kind(value) and COMPARE[operator](one, value) for one in each)
        text = json.dumps([value]) if operator in ("in", "nin") else "none" if value is None else json.dumps(value)
        assert shelf.find("actors", (f"state.x.{operator}", text)) == (["it"] if fits else [])
    finally:
        tx.execute("ROLLBACK")


# --- who sees what ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pairs", [[], [("search", "image")], [("id.neq", "x")]])
def test_only_what_the_user_may_read_is_found(shelf: Shelf, pairs: Pairs) -> None:
    bob = Username("bob")
    own, other, foreign = (
        shelf.actor("own"),
        shelf.actor("other", owner=bob),
        shelf.actor("foreign", tenant=TenantId("lab")),
    )
    for of in (own, other, foreign):
        shelf.execution(of, f"of-{of}", b"image", executor=Username("image"))
        shelf.worker(of, f"of-{of}")

    def seen() -> list[bool]:
        lists = [shelf.find(database, *pairs) for database in ("executions", "logs", "workers")]
        assert lists[0] == lists[1] == lists[2]
        names = shelf.find("actors", *pairs)
        return [
            name in names and f"of-{of}" in lists[0]
            for name, of in (("own", own), ("other", other), ("foreign", foreign))
        ]

    assert seen() == [True, False, False]
    for user, level, sees in (
        (OWNER, Level.NONE, False),
        (OWNER, Level.READ, True),
        (OWNER, Level.NONE, False),
        (WORLD, Level.READ, True),
        (WORLD, Level.NONE, False),
    ):
        permissions.grant(shelf.tx, Subject.actor(other), user, level)
        permissions.grant(shelf.tx, Subject.actor(foreign), WORLD, level)
        assert seen() == [True, sees, False]


def test_a_search_within_an_actor_or_execution_finds_nothing_else(full: Shelf) -> None:
    one = ActorId(full.workers[0]["actor_id"])
    other = full.actor("four")
    full.execution(other, "four", b"x")
    full.worker(other, "four")
    for database in ("executions", "logs", "workers"):
        assert len(full.find(database)) == 4
        assert full.find(database, scope=replace(ADA, actor_id=one)) == ["one", "two", "three"]
        assert full.find(database, scope=replace(ADA, actor_id=other)) == ["four"]
        assert full.find(database, ("actor_id", one), scope=replace(ADA, actor_id=other)) == []
        assert full.find(database, ("actor_id", one)) == ["one", "two", "three"]
    scope = replace(ADA, actor_id=one, execution_id=ExecutionId("two"))
    assert full.find("logs", scope=scope) == ["two"]


# --- what is given never becomes SQL ----------------------------------------------------------------------------------

EVIL = [
    "'",
    "';--",
    '") OR 1=1 --',
    "x' OR '1'='1",
    "1); DROP TABLE actors; --",
    ":p0",
    "?",
    "%",
    "$.x",
    "\\",
    "`",
    "[",
    "a*)(",
]


@pytest.mark.parametrize("evil", EVIL)
def test_injections_find_nothing_and_break_nothing(full: Shelf, evil: str) -> None:
    for database in ("actors", "executions", "logs", "workers"):
        everything = full.find(database)
        for operator in ("eq", "gt", "gte"):
            full.find(database, (f"id.{operator}", evil))
        assert full.find(database, ("id", evil)) == []
        assert full.find(database, ("id.in", json.dumps([evil]))) == []
        assert full.find(database, ("id.neq", evil)) == everything
        full.find(database, ("search", evil))
        if not set(evil) & set('"\\'):
            for field in (evil, f"state.{evil}", f"final_state.{evil}", f"default_environment.{evil}.x"):
                assert full.find(database, (field, "x")) == []
        assert full.find(database) == everything


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_a_search_is_broken_off_when_its_time_is_over(full: Shelf) -> None:
    # Enough work for one look at the time.
    full.tx.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO executions "
        "(id, actor_id, tenant, executor, status, revision, received_ms) "
        "SELECT 'x' || i, (SELECT id FROM actors LIMIT 1), 'dev', 'ada', 'SUBMITTED', 1, i FROM n"
    )
    query = read_query([("final_state.x.neq", "1")], Limits(10, 10, 10))
    with pytest.raises(SearchTooSlow):
        search.executions(full.tx, query, ADA, lambda: True)
    assert search.executions(full.tx, query, ADA, in_time).total == 3003


def test_logs_that_are_too_large_for_an_answer_are_refused(full: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_MOST_LOG_BYTES", 20)
    assert full.find("logs", ("id", "one")) == ["one"]
    with pytest.raises(BadRequest, match="smaller limit"):
        full.find("logs")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "ERROR"),
        ("start_time.gt", "2026"),
        ("finish_time.between", "2026,2027"),
        ("message_received_time.lt", "2020"),
    ],
)
def test_selective_conditions_use_an_index(tx: sqlite3.Connection, name: str, value: str) -> None:
    plans: list[str] = []
    tx.set_trace_callback(plans.append)
    search.executions(tx, read_query([(name, value)], Limits(10, 10, 10)), ADA, in_time)
    tx.set_trace_callback(None)
    (asked,) = [sql for sql in plans if "WITH found" in sql]
    plan = " ".join(row["detail"] for row in tx.execute(f"EXPLAIN QUERY PLAN {asked}"))
    assert "USING INDEX executions_by_" in plan or "USING COVERING INDEX executions_by_" in plan
    assert "SCAN r" not in plan
