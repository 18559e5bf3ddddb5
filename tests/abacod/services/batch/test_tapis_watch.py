from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from abacod.config import StoreSettings
from abacod.services.batch.tapis_watch import TapisWatch
from abacod.services.sealing import Seal
from abacod.store import watches
from abacod.store.database import Database
from tests.abacod.services.batch.tapis_bench import Bench
from tests.abacod.services.batch.tapis_service import TapisService, answering
from tests.fakes import FakeClock
from tests.hooks import HookServer

CALLBACK = "/actors/v2/manager/messages"

Make = Callable[..., Bench]


@pytest.fixture
async def hooks() -> AsyncIterator[HookServer]:
    """What is told."""
    async with HookServer.opened() as server:
        yield server


@pytest.fixture
def make(tapis: TapisService, clock: FakeClock) -> Iterator[Make]:
    made: list[Bench] = []

    def make(database: Database) -> Bench:
        made.append(Bench(tapis, database, clock))
        return made[-1]

    yield make
    for bench in made:
        bench.client.close()


@pytest.fixture
def bench(make: Make, database: Database) -> Bench:
    return make(database)


@pytest.fixture
def tell_all(hooks: HookServer) -> dict[str, Any]:
    """A definition's notification of every status."""
    return {"url": hooks.url(CALLBACK) + "?x-nonce=n&status=${STATUS}", "event": "*", "persistent": True}


def statuses(hooks: HookServer, path: str = CALLBACK) -> list[str]:
    return [body["status"] for body in hooks.bodies(path)]


async def watched(database: Database, clock: FakeClock) -> int:
    """How many jobs are watched."""
    far = clock.now().replace(year=2999)
    return len(await database.read(lambda tx: watches.due(tx, "tapis", far, 1000)))


async def test_each_status_is_told_once_as_agave_would(
    tapis: TapisService,
    bench: Bench,
    hooks: HookServer,
    tell_all: dict[str, Any],
    database: Database,
    clock: FakeClock,
) -> None:
    job_id = await bench.submit(notifications=[tell_all])
    for status in ("PENDING", "SUBMITTING_JOB", "SUBMITTING_JOB", "QUEUED", "RUNNING", "ARCHIVING", "FINISHED"):
        tapis.job(job_id)["status"] = status
        await bench.look(100)
    assert statuses(hooks) == ["PENDING", "SUBMITTING", "QUEUED", "RUNNING", "ARCHIVING", "FINISHED"]
    body = hooks.bodies(CALLBACK)[0]
    for name in ("owner", "appId", "executionSystem", "archivePath", "archiveSystem", "status"):
        assert isinstance(body[name], str)
    assert body["owner"] == "ada"
    assert body["appId"] == "wordcount-0.1.0"
    assert body["archivePath"] == "/products/v2/1061/adept-dog"
    assert body["parameters"] == {"pattern": "a+", "DEBUG": True}
    assert body["_links"] == {"self": {"href": f"{tapis.base_url}/v3/jobs/{job_id}"}}
    assert await watched(database, clock) == 0


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
async def test_a_failure_is_told_with_its_reason_and_ends_the_watch(
    tapis: TapisService, bench: Bench, hooks: HookServer, database: Database, clock: FakeClock, status: str
) -> None:
    url = hooks.url("/failed/${JOB_ID}/${STATUS}/${JOB_ERROR}")
    job_id = await bench.submit(notifications=[{"url": url, "event": status}])
    tapis.job(job_id).update(status=status, lastMessage="no & node")
    await bench.look()
    assert statuses(hooks, f"/failed/{job_id}/{status}/no & node") == [status]
    assert await watched(database, clock) == 0


async def test_a_job_that_was_not_seen_to_run_is_told_to_have_run_before_it_finished(
    tapis: TapisService, bench: Bench, hooks: HookServer, tell_all: dict[str, Any]
) -> None:
    job_id = await bench.submit(notifications=[tell_all])
    tapis.job(job_id)["status"] = "FINISHED"
    await bench.look()
    assert statuses(hooks) == ["RUNNING", "FINISHED"]


async def test_notifications_are_told_what_they_ask_for(
    tapis: TapisService, bench: Bench, hooks: HookServer, tell_all: dict[str, Any]
) -> None:
    once = {"url": hooks.url("/once"), "event": "*"}
    at_end = {"url": hooks.url("/end"), "event": "finished"}
    job_id = await bench.submit(notifications=[once, at_end, tell_all])
    for status in ("QUEUED", "RUNNING", "FINISHED"):
        tapis.job(job_id)["status"] = status
        await bench.look(100)
    assert statuses(hooks, "/once") == ["QUEUED"]
    assert statuses(hooks, "/end") == ["FINISHED"]
    assert statuses(hooks) == ["QUEUED", "RUNNING", "FINISHED"]


async def test_a_job_that_nobody_asks_about_is_not_watched(bench: Bench, database: Database, clock: FakeClock) -> None:
    await bench.submit()
    await bench.submit("another", notifications=[])
    assert await watched(database, clock) == 0


async def test_an_address_that_does_not_answer_is_told_later_and_the_others_once(
    tapis: TapisService, bench: Bench, hooks: HookServer, tell_all: dict[str, Any]
) -> None:
    other = {"url": hooks.url("/other"), "event": "*", "persistent": True}
    job_id = await bench.submit(notifications=[other, tell_all])
    tapis.job(job_id)["status"] = "RUNNING"
    hooks.answers[CALLBACK] = lambda: web.Response(status=503)
    for _ in range(3):
        await bench.look(100)
    tapis.job(job_id)["status"] = "FINISHED"
    del hooks.answers[CALLBACK]
    await bench.look(100)
    assert statuses(hooks, "/other") == ["RUNNING", "FINISHED"]
    assert statuses(hooks) == ["RUNNING"] * 4 + ["FINISHED"]


async def test_an_address_that_refuses_is_not_asked_again(
    tapis: TapisService, bench: Bench, hooks: HookServer, tell_all: dict[str, Any]
) -> None:
    job_id = await bench.submit(notifications=[tell_all])
    tapis.job(job_id)["status"] = "RUNNING"
    hooks.answers[CALLBACK] = lambda: web.Response(status=404)
    await bench.look()
    await bench.look(100)
    assert statuses(hooks) == ["RUNNING"]


async def test_a_restart_goes_on_where_it_was(
    tapis: TapisService, make: Make, tmp_path: Path, hooks: HookServer, tell_all: dict[str, Any]
) -> None:
    async def opened() -> Database:
        database = Database(tmp_path / "again.db", StoreSettings(synchronous="OFF"))
        await database.open()
        return database

    # given a daemon that told one status, and ended
    before = await opened()
    bench = make(before)
    job_id = await bench.submit(notifications=[tell_all])
    tapis.job(job_id)["status"] = "RUNNING"
    await bench.look()
    await before.close()
    # when the next one looks
    after = await opened()
    tapis.job(job_id)["status"] = "FINISHED"
    await make(after).look(100)
    await after.close()
    # then
    assert statuses(hooks) == ["RUNNING", "FINISHED"]


async def test_looks_become_rarer_while_nothing_happens_and_frequent_again_when_something_does(
    tapis: TapisService, bench: Bench, tell_all: dict[str, Any]
) -> None:
    job_id = await bench.submit(notifications=[tell_all])
    path = f"/v3/jobs/{job_id}"

    async def looks_in(seconds: int) -> int:
        before = tapis.count("GET", path)
        for _ in range(seconds // 10):
            await bench.look(10)
        return tapis.count("GET", path) - before

    assert await looks_in(60) > 2
    for _ in range(10):
        await bench.look(300)
    assert await looks_in(290) == 0
    tapis.job(job_id)["status"] = "RUNNING"
    await bench.look(300)
    assert await looks_in(60) > 2


async def test_a_service_that_fails_is_asked_again(
    tapis: TapisService, bench: Bench, hooks: HookServer, tell_all: dict[str, Any]
) -> None:
    job_id = await bench.submit(notifications=[tell_all])
    path = f"/v3/jobs/{job_id}"
    faults = (
        answering(500),
        answering(200, "[" * 100_000),
        answering(200, '{"result": {"status": 7}}'),
        answering(404),
    )
    tapis.fail("GET", path, *faults)
    for _ in faults:
        await bench.look(300)
    assert not hooks.calls
    await bench.look(300)
    assert statuses(hooks) == ["PENDING"]


async def test_a_job_that_the_service_does_not_know_any_more_is_told_to_be_deleted(
    tapis: TapisService, bench: Bench, hooks: HookServer, tell_all: dict[str, Any], database: Database, clock: FakeClock
) -> None:
    await bench.submit(notifications=[tell_all])
    tapis.jobs.clear()
    for _ in range(9):
        await bench.look(300)
    assert not hooks.calls
    await bench.look(300)
    assert statuses(hooks) == ["DELETED"]
    assert await watched(database, clock) == 0


async def test_what_is_kept_gives_no_token_away(
    bench: Bench, tell_all: dict[str, Any], database: Database, tmp_path: Path
) -> None:
    await bench.submit(notifications=[{**tell_all, "url": tell_all["url"] + "&token=hushhush"}])
    await database.close()
    assert not [file for file in tmp_path.glob("abacod.db*") if b"hushhush" in file.read_bytes()]


async def test_a_definition_that_cannot_be_read_any_more_ends_its_watch(
    tapis: TapisService, bench: Bench, tell_all: dict[str, Any], database: Database, clock: FakeClock
) -> None:
    await bench.submit(notifications=[tell_all])
    other = Seal(b"x" * 43 + b"=")

    async def post(*_: Any) -> Any:
        raise AssertionError

    watch = TapisWatch(bench.client, database, other, bench.watch._settings, clock, post=post)
    await clock.advance(100)
    await watch.run_once()
    assert await watched(database, clock) == 0
    assert tapis.jobs
