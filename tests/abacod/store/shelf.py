"""Records with short names for the tests of searches."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from typing import Any

from abacod.ids import ActorId, ExecutionId, WorkerId
from abacod.models.search import Limits, read_query
from abacod.models.states import ActorStatus
from abacod.store import actors, executions, logs, search, words
from tests.factories import OWNER, START, TENANT, actor, execution

ADA = search.Scope(TENANT, OWNER)
NOW = START + timedelta(days=1)
Pairs = list[tuple[str, str]]


def in_time() -> bool:
    return False


class Shelf:
    """Records with short names, and searches that answer with those names."""

    def __init__(self, tx: sqlite3.Connection) -> None:
        self.tx = tx
        self.names: dict[tuple[str, int], str] = {}
        self.workers: list[dict[str, Any]] = []

    def actor(self, name: str, **given: Any) -> ActorId:
        record = actor(name=name, **given)
        actors.insert(self.tx, record)
        if given.get("state") is not None:
            actors.set_state(self.tx, record.id, given["state"])
        return record.id

    def execution(self, of: ActorId, name: str, log: bytes = b"", *, end: bool = True, **given: Any) -> ExecutionId:
        record = execution(replace(actor(), id=of), id=ExecutionId(name), **given)
        executions.insert(self.tx, replace(record, start_time=None))
        if log:
            logs.append(self.tx, record.id, 0, log)
        if end:
            started = given.get("start_time") or START
            executions.start(self.tx, record.id, WorkerId(f"worker-of-{name}"), started)
            ended = replace(record, start_time=started, finish_time=started + timedelta(seconds=1))
            executions.complete(self.tx, ended, None)
        return record.id

    def worker(self, of: ActorId, name: str, **given: Any) -> None:
        plain = {
            "tenant": "dev",
            "status": "READY",
            "image": "image",
            "location": "unix:///x",
            "cid": name,
            "ch_name": f"worker_{name}",
            "host_id": "host",
            "host_ip": "127.0.0.1",
            "create_time": START,
            "last_execution_time": None,
            "last_health_check_time": START,
        }
        self.workers.append({"id": name, "actor_id": of, **plain, **given})

    def page(self, database: str, pairs: Pairs, scope: search.Scope = ADA) -> search.Page:
        query = read_query(pairs, Limits(10, 1000, 100))
        if query.about_text:
            for what in ("actors", "executions"):
                while words.catch_up(self.tx, what):
                    pass
        match database:
            case "actors":
                return search.actors(self.tx, query, scope, in_time, default_token=False)
            case "executions":
                return search.executions(self.tx, query, scope, in_time)
            case "logs":
                return search.logs(self.tx, query, scope, in_time, NOW)
            case _:
                return search.workers(self.tx, query, scope, in_time, self.workers)

    def find(self, database: str, *pairs: tuple[str, str], scope: search.Scope = ADA) -> list[str]:
        page = self.page(database, list(pairs), scope)
        if database == "actors":
            return [str(each.definition.name) for each in actors.numbered(self.tx, page.numbers)]
        if database == "workers":
            return [self.workers[number]["id"] for number in page.numbers]
        return [each.id for each in executions.numbered(self.tx, page.numbers)]


def fill(shelf: Shelf) -> None:
    """Put three records into each database: one, two, three."""
    a = shelf.actor(
        "one",
        image="abacosamples/test",
        max_workers=3,
        hints=("sync", "fast"),
        default_environment={"DEBUG": "true", "a.b": "x", "N": "5"},
        state={"count": 5, "deep": {"list": [1, "x", None]}, "ok": True, "none": None},
        status=ActorStatus.READY,
        token=True,
    )
    shelf.actor("two", create_time=START + timedelta(days=1), description="two words", status=ActorStatus.ERROR)
    shelf.actor("three", create_time=START + timedelta(days=2), max_workers=7, stateless=False, state="text")
    final = {"ExitCode": 0, "OOMKilled": False, "FinishedAt": "2026-01-01T00:00:02.000Z", "Error": ""}
    shelf.execution(a, "one", b"all well\n", final_state=final, exit_code=0, runtime=2, cpu=10**15 + 1)
    shelf.execution(
        a,
        "two",
        b"ERROR: bad\xff\xfe bytes\n",
        final_state={**final, "ExitCode": 3, "OOMKilled": True, "FinishedAt": "2026-01-02T00:00:00.000Z"},
        exit_code=3,
        runtime=9,
        start_time=START + timedelta(days=1, milliseconds=5),
    )
    shelf.execution(a, "three", end=False)
    shelf.worker(a, "one")
    shelf.worker(a, "two", status="BUSY", last_execution_time=START + timedelta(seconds=1))
    shelf.worker(a, "three", status="PULLING IMAGE", image="other", create_time=START + timedelta(days=1))
