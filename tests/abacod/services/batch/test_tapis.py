from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from abacod.errors import AppNotFound, BatchEngineFailed, BatchJobRefused, ConfigError
from abacod.store import launches
from abacod.store.database import Database
from tests.abacod.services.batch.tapis_bench import DEFINITION, Bench
from tests.abacod.services.batch.tapis_service import APP, TapisService, answering
from tests.factories import OWNER, START, TENANT
from tests.fakes import FakeClock

APP_ID = DEFINITION["appId"]
LOOK_UP = ("GET", f"/v3/apps/{APP[0]}/{APP[1]}")
SUBMIT = ("POST", "/v3/jobs/submit")
LIST = ("GET", "/v3/jobs/list")
LOGIN = ("POST", "/v3/oauth2/tokens")

Make = Callable[..., Bench]


@pytest.fixture
def make(tapis: TapisService, database: Database, clock: FakeClock) -> Iterator[Make]:
    made: list[Bench] = []

    def make(**given: Any) -> Bench:
        made.append(Bench(tapis, database, clock, **given))
        return made[-1]

    yield make
    for bench in made:
        bench.client.close()


@pytest.fixture
def bench(make: Make) -> Bench:
    return make()


# --- apps -----------------------------------------------------------------------------------------------------------


async def test_an_app_is_described_as_the_service_does_under_its_id_here(tapis: TapisService, bench: Bench) -> None:
    assert await bench.engine.app(TENANT, APP_ID) == {**tapis.apps[APP], "id": APP_ID, "name": APP[0]}


@pytest.mark.parametrize(
    "name", ["missing-1.0", "", "..", "-1", "a/../b-1", "a-1/..", "a-1\0", "\ud800-1", "x" * 10_000]
)
async def test_an_app_that_is_not_there_is_not_found(bench: Bench, name: str) -> None:
    with pytest.raises(AppNotFound):
        await bench.engine.app(TENANT, name)


async def test_an_app_that_may_not_be_executed_is_not_found(tapis: TapisService, bench: Bench) -> None:
    tapis.hidden.add(APP)
    with pytest.raises(AppNotFound, match="or none that may be used"):
        await bench.engine.app(TENANT, APP_ID)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (answering(500, message="it broke"), "500: it broke"),
        (answering(502, "<html>Bad gateway</html>"), "502"),
        (answering(429), "429"),
        (answering(302), "could not be asked"),
        (answering(200, "<html>", content_type="text/html"), "no JSON"),
        (answering(200, "[" * 100_000), "no JSON"),
        (answering(200, '{"result": null}'), "without a result"),
        (answering(200, '{"result": [1]}'), "without a result"),
        (answering(200, '{"result": [[1]]}'), "without a result"),
        (answering(200, "x" * 5_000_000), "more than"),
        (answering(400, message="bad request"), "bad request"),
    ],
)
async def test_a_failing_service_is_told_from_a_missing_app(
    tapis: TapisService, bench: Bench, fault: Any, reason: str
) -> None:
    tapis.fail(*LOOK_UP, fault)
    with pytest.raises(BatchEngineFailed, match=reason):
        await bench.engine.app(TENANT, APP_ID)


async def test_a_service_that_does_not_answer_costs_the_limit(tapis: TapisService, make: Make) -> None:
    tapis.fail(*LOOK_UP, tapis.hang)
    with pytest.raises(BatchEngineFailed, match=r"within 0\.2 s"):
        await make(token="fixed", timeout_seconds=0.2).engine.app(TENANT, APP_ID)


async def test_a_service_that_is_not_there_is_told(make: Make) -> None:
    with pytest.raises(BatchEngineFailed, match="could not be asked"):
        await make(base_url="http://127.0.0.1:9").engine.app(TENANT, APP_ID)


async def test_requests_beyond_the_limit_wait(tapis: TapisService, make: Make) -> None:
    bench = make(token="fixed", at_once=1)
    tapis.fail(*LOOK_UP, tapis.hang)
    first, second = (asyncio.ensure_future(bench.engine.app(TENANT, APP_ID)) for _ in range(2))
    await tapis.hung.wait()
    assert tapis.count(*LOOK_UP) == 1
    tapis.hanging.set()
    with pytest.raises(BatchEngineFailed):
        await first
    assert (await second)["id"] == APP_ID


async def test_after_the_end_nothing_is_asked(bench: Bench) -> None:
    bench.client.close()
    with pytest.raises(BatchEngineFailed, match="being stopped"):
        await bench.engine.app(TENANT, APP_ID)


def test_without_tapipy_the_remedy_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tapipy", None)
    with pytest.raises(ConfigError, match=r"install abacod\[tapis\]"):
        make()


# --- tokens ---------------------------------------------------------------------------------------------------------


async def test_one_login_serves_many_requests(tapis: TapisService, bench: Bench) -> None:
    await asyncio.gather(*(bench.engine.app(TENANT, APP_ID) for _ in range(8)))
    assert tapis.logins == 1
    assert {path for _, path in tapis.asked} == {LOGIN[1], LOOK_UP[1]}


async def test_a_token_is_replaced_before_it_runs_out(tapis: TapisService, bench: Bench, clock: FakeClock) -> None:
    await bench.engine.app(TENANT, APP_ID)
    await clock.advance(14400 - 29)
    await bench.engine.app(TENANT, APP_ID)
    assert tapis.logins == 2
    assert tapis.count(*LOOK_UP) == 2


async def test_a_token_that_the_service_refuses_is_replaced(tapis: TapisService, bench: Bench) -> None:
    await bench.engine.app(TENANT, APP_ID)
    tapis.valid.clear()
    assert await bench.engine.app(TENANT, APP_ID)
    assert tapis.logins == 2


async def test_a_wrong_login_is_told_without_its_secrets(make: Make) -> None:
    with pytest.raises(BatchEngineFailed, match="gave no token: it answered with 400") as caught:
        await make(password="wrong").engine.app(TENANT, APP_ID)
    assert "wrong" not in caught.value.message


@pytest.mark.parametrize(
    "text", ['{"result": 1}', '{"result": {"access_token": 1}}', '{"result": {"access_token": {}}}']
)
async def test_a_token_that_cannot_be_read_is_none(tapis: TapisService, bench: Bench, text: str) -> None:
    tapis.fail(*LOGIN, answering(200, text))
    with pytest.raises(BatchEngineFailed, match="gave no token"):
        await bench.engine.app(TENANT, APP_ID)


async def test_a_fixed_token_that_is_refused_is_told(make: Make) -> None:
    with pytest.raises(BatchEngineFailed, match=r"refused the token of batch\.tapis"):
        await make(token="old").engine.app(TENANT, APP_ID)


async def test_a_token_in_a_file_is_read_again_when_it_is_refused(
    tapis: TapisService, make: Make, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("fixed\n")
    engine = make(token=None, token_file=file).engine
    await engine.app(TENANT, APP_ID)
    tapis.valid = {"newer"}
    file.write_text("newer\n")
    assert await engine.app(TENANT, APP_ID)


# --- jobs -----------------------------------------------------------------------------------------------------------


async def test_a_definition_is_submitted_in_the_words_of_tapis(tapis: TapisService, bench: Bench) -> None:
    job = await bench.engine.submit(TENANT, OWNER, DEFINITION, "key")
    (request,) = tapis.requests
    tags = request.pop("tags")
    assert tags[0] == "abacod"
    assert request == {
        "name": "count",
        "appId": "wordcount",
        "appVersion": "0.1.0",
        "fileInputs": [{"name": "text", "sourceUrl": "tapis://data.tacc.cloud/examples/a b.txt"}],
        "parameterSet": {
            "appArgs": [{"name": "pattern", "arg": "a+"}],
            "envVariables": [{"key": "DEBUG", "value": "true"}],
        },
        "archiveSystemId": "data-sd2e-community",
        "archiveSystemDir": "/products/v2/1061/adept-dog",
        "maxMinutes": 16,
    }
    assert job.id == tapis.jobs[0]["uuid"]
    assert job.link == f"{tapis.base_url}/v3/jobs/{job.id}"


async def test_the_same_key_gives_the_same_job(tapis: TapisService, bench: Bench, make: Make) -> None:
    first, second = await asyncio.gather(bench.submit(), bench.submit())
    assert first == second == await make().submit()
    assert await bench.submit("another") != first
    assert len(tapis.jobs) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (answering(400, message="JOBS_INPUT_INVALID"), "JOBS_INPUT_INVALID"),
        (answering(403, message="no"), "^no.$"),
        (answering(201, '{"status": "success", "result": {"id": 7}}'), "without the id"),
        (answering(201, '{"status": "success", "result": []}'), "without the id"),
    ],
)
async def test_what_the_service_refuses_is_refused_with_its_reason(
    tapis: TapisService, bench: Bench, fault: Any, reason: str
) -> None:
    tapis.fail(*SUBMIT, fault)
    with pytest.raises(BatchJobRefused, match=reason):
        await bench.submit()
    assert await bench.submit()
    assert len(tapis.jobs) == 1


async def test_an_app_that_is_gone_refuses_its_jobs(tapis: TapisService, bench: Bench) -> None:
    tapis.apps.clear()
    with pytest.raises(BatchJobRefused, match="APPAPI_NOT_FOUND"):
        await bench.submit()


@pytest.mark.parametrize(
    "changes",
    [
        {"appId": None},
        {"inputs": {"text": "/relative"}},
        {"parameters": {"x": float("inf")}},
        {"notifications": {}},
        {"notifications": [{"url": "ftp://x"}]},
    ],
)
async def test_what_is_wrong_with_a_definition_is_said_before_the_service_is_asked(
    tapis: TapisService, bench: Bench, changes: dict[str, Any]
) -> None:
    with pytest.raises(BatchJobRefused):
        await bench.submit(**changes)
    assert not tapis.asked


async def test_a_definition_that_is_nested_too_deeply_is_refused(bench: Bench) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BatchJobRefused, match="nested too deeply"):
        await bench.submit(parameters={"x": deep})


# --- when the answer is lost ----------------------------------------------------------------------------------------


async def test_a_job_whose_answer_was_lost_is_found(tapis: TapisService, bench: Bench) -> None:
    tapis.fail(*SUBMIT, tapis.take_and_hang_up)
    job_id = await bench.submit()
    assert [job["uuid"] for job in tapis.jobs] == [job_id]


@pytest.mark.parametrize("as_text", [False, True])
async def test_a_job_that_was_submitted_before_a_crash_is_found_by_its_tag(
    tapis: TapisService, database: Database, bench: Bench, as_text: bool
) -> None:
    # given a job whose id the daemon did not live to note, and jobs of others
    await bench.submit()
    tags = tapis.jobs[0]["tags"]
    await database.write(lambda tx: launches.forget(tx, TENANT, "tapis", "key"))
    await database.write(lambda tx: launches.begin(tx, TENANT, "tapis", "key", START))
    tapis.jobs[0]["tags"] = "{" + ",".join(tags) + "}" if as_text else tags
    tapis.add_job(**{**tapis.requests[0], "tags": ["abacod", "another"]})
    tapis.add_job(appId="another")
    # then
    assert await bench.submit() == tapis.jobs[2]["uuid"]
    assert len(tapis.requests) == 1


async def test_a_launch_that_never_reached_the_service_is_submitted_after_a_crash(
    tapis: TapisService, database: Database, bench: Bench
) -> None:
    await database.write(lambda tx: launches.begin(tx, TENANT, "tapis", "key", START))
    assert await bench.submit() == tapis.jobs[0]["uuid"]
    assert tapis.count(*LIST) == 1


@pytest.mark.parametrize("fault", [answering(400, message="no"), answering(200, '{"result": {}}'), answering(503)])
async def test_a_list_that_cannot_be_had_submits_nothing(
    tapis: TapisService, database: Database, bench: Bench, fault: Any
) -> None:
    await database.write(lambda tx: launches.begin(tx, TENANT, "tapis", "key", START))
    tapis.fail(*LIST, fault)
    with pytest.raises(BatchEngineFailed):
        await bench.submit()
    assert not tapis.requests
