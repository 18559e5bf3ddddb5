from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from abacod.config_batch import AgaveSettings
from abacod.errors import AppNotFound, BatchEngineFailed, BatchJobRefused
from abacod.services.batch.agave import AgaveEngine
from abacod.services.batch.engine import BatchEngine
from abacod.store import launches
from abacod.store.database import Database
from tests.abacod.services.batch.agave_service import APP, CLIENT, USER, AgaveService, answering, enveloped
from tests.factories import OWNER, START, TENANT
from tests.fakes import FakeClock

DEFINITION = {
    "name": "taco",
    "appId": APP,
    "inputs": {"file1": "agave://data.tacc.cloud/examples/tacobot/test1.txt"},
    "parameters": {"salsa": True},
    "maxRunTime": "00:15:00",
    "archive": True,
    "archiveSystem": "data-sd2e-community",
    "archivePath": "/products/v2/1061/adept-dog-20190101T000000Z",
    "notifications": [{"event": "*", "persistent": True, "url": "https://lab.example.org/?status=${STATUS}"}],
}
JOBS = ("POST", "/jobs/v2")
LIST = ("GET", "/jobs/v2")

Make = Callable[..., AgaveEngine]


@pytest.fixture
def make(agave: AgaveService, database: Database, clock: FakeClock) -> Make:
    """Makes an engine that logs in with a name and a password, or as the given settings say."""

    def make(**given: Any) -> AgaveEngine:
        login = {"client_key": CLIENT[0], "client_secret": CLIENT[1], "username": USER[0], "password": USER[1]}
        settings = {
            "base_url": agave.base_url,
            "timeout_seconds": 5,
            **(login if "token" not in given else {}),
            **given,
        }
        return AgaveEngine(AgaveSettings.model_validate(settings), database, clock)

    return make


@pytest.fixture
def engine(make: Make) -> AgaveEngine:
    return make()


async def submitted(engine: BatchEngine, key: str = "key", **changes: Any) -> str:
    return (await engine.submit(TENANT, OWNER, {**DEFINITION, **changes}, key)).id


# --- apps -----------------------------------------------------------------------------------------------------------


async def test_an_app_is_described_as_the_service_does(agave: AgaveService, engine: AgaveEngine) -> None:
    assert await engine.app(TENANT, APP) == agave.apps[APP]


@pytest.mark.parametrize("name", ["missing-1.0", "", "..", ".", "a/b", "a?b", "a%2Fb", "a\0b", "\ud800", "x" * 10_000])
async def test_an_app_that_is_not_there_is_not_found(engine: AgaveEngine, name: str) -> None:
    with pytest.raises(AppNotFound):
        await engine.app(TENANT, name)


async def test_an_app_that_may_not_be_used_is_not_found(agave: AgaveService, engine: AgaveEngine) -> None:
    agave.hidden.add(APP)
    with pytest.raises(AppNotFound, match="or none that may be used"):
        await engine.app(TENANT, APP)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (answering(500, message="it broke"), "500: it broke"),
        (answering(502, "<html>Bad gateway</html>"), "502"),
        (answering(429), "429"),
        (answering(302), "302"),
        (answering(200, "<html>"), "no JSON"),
        (answering(200, "[" * 100_000), "no JSON"),
        (answering(200, '{"result": null}'), "without a result"),
        (answering(200, '{"result": []}'), "without a result"),
        (answering(200, "x" * 5_000_000), "more than"),
        (answering(400, message="bad\nrequest"), "bad request"),
    ],
)
async def test_a_failing_service_is_told_from_a_missing_app(
    agave: AgaveService, engine: AgaveEngine, fault: Any, reason: str
) -> None:
    agave.fail("GET", f"/apps/v2/{APP}", fault)
    with pytest.raises(BatchEngineFailed, match=reason):
        await engine.app(TENANT, APP)


async def test_a_service_that_does_not_answer_costs_the_limit(agave: AgaveService, make: Make) -> None:
    agave.fail("GET", f"/apps/v2/{APP}", agave.hang)
    with pytest.raises(BatchEngineFailed, match=r"did not answer within 0\.2 s"):
        await make(token="fixed", timeout_seconds=0.2).app(TENANT, APP)


async def test_a_service_that_is_not_there_is_told(make: Make) -> None:
    with pytest.raises(BatchEngineFailed, match="could not be asked: ClientConnectorError"):
        await make(base_url="http://127.0.0.1:9").app(TENANT, APP)


# --- tokens ---------------------------------------------------------------------------------------------------------


async def test_one_login_serves_many_requests(agave: AgaveService, engine: AgaveEngine) -> None:
    await asyncio.gather(*(engine.app(TENANT, APP) for _ in range(5)))
    assert agave.grants == [
        {"grant_type": "password", "username": USER[0], "password": USER[1], "scope": "PRODUCTION"},
    ]


async def test_a_login_that_is_not_answered_costs_all_who_wait_the_limit_once(agave: AgaveService, make: Make) -> None:
    engine = make(timeout_seconds=0.2)
    agave.fail("POST", "/token", *[agave.hang] * 5)
    outcomes = await asyncio.gather(*(engine.app(TENANT, APP) for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [BatchEngineFailed] * 5
    assert agave.count("POST", "/token") == 1


async def test_who_gives_up_waiting_for_a_login_leaves_it_to_the_others(
    agave: AgaveService, engine: AgaveEngine
) -> None:
    first, second = (asyncio.ensure_future(engine.app(TENANT, APP)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == agave.apps[APP]
    assert len(agave.grants) == 1


async def test_a_token_is_refreshed_before_it_runs_out(
    agave: AgaveService, engine: AgaveEngine, clock: FakeClock
) -> None:
    await engine.app(TENANT, APP)
    await clock.advance(14400 - 29)
    await engine.app(TENANT, APP)
    assert [grant["grant_type"] for grant in agave.grants] == ["password", "refresh_token"]
    assert agave.count("GET", f"/apps/v2/{APP}") == 2


async def test_a_token_that_the_service_refuses_is_replaced(agave: AgaveService, engine: AgaveEngine) -> None:
    await engine.app(TENANT, APP)
    agave.forget_tokens()
    agave.refreshable.clear()
    assert await engine.app(TENANT, APP)
    assert [grant["grant_type"] for grant in agave.grants] == ["password", "refresh_token", "password"]


async def test_a_job_is_posted_once_though_the_token_ran_out(agave: AgaveService, engine: AgaveEngine) -> None:
    await engine.app(TENANT, APP)
    agave.forget_tokens()
    await submitted(engine)
    assert len(agave.jobs) == 1


@pytest.mark.parametrize("given", [{"password": "wrong"}, {"client_secret": "wrong"}])
async def test_a_wrong_login_is_told_without_its_secrets(make: Make, given: dict[str, str]) -> None:
    with pytest.raises(BatchEngineFailed, match="gave no token: it answered with 400") as caught:
        await make(**given).app(TENANT, APP)
    assert "wrong" not in caught.value.message


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"access_token": 1}', '{"access_token": "a\\nb"}', "[" * 100_000])
async def test_a_token_that_cannot_be_read_is_none(agave: AgaveService, engine: AgaveEngine, text: str) -> None:
    agave.fail("POST", "/token", answering(200, text))
    with pytest.raises(BatchEngineFailed, match="gave no token"):
        await engine.app(TENANT, APP)


async def test_a_fixed_token_needs_no_login(agave: AgaveService, make: Make) -> None:
    await make(token="fixed").app(TENANT, APP)
    assert not agave.grants


async def test_a_fixed_token_that_is_refused_is_told(make: Make) -> None:
    with pytest.raises(BatchEngineFailed, match=r"refused the token of batch\.agave"):
        await make(token="old").app(TENANT, APP)


async def test_a_token_in_a_file_is_read_again_when_it_is_refused(
    agave: AgaveService, make: Make, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("fixed\n")
    engine = make(token=None, token_file=file)
    await engine.app(TENANT, APP)
    agave.valid = {"newer"}
    file.write_text("newer\n")
    assert await engine.app(TENANT, APP)


@pytest.mark.parametrize("content", [None, b"", b"\xff"])
async def test_a_file_that_holds_no_secret_is_told_to_the_operator(
    make: Make, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BatchEngineFailed, match="login at the batch service cannot be read") as caught:
        await make(password=None, password_file=file).app(TENANT, APP)
    assert "batch.agave.password_file" in str(caught.value.hint)
    assert str(file) not in caught.value.message


# --- jobs -----------------------------------------------------------------------------------------------------------


async def test_a_definition_is_posted_as_it_is(agave: AgaveService, engine: AgaveEngine) -> None:
    job = await engine.submit(TENANT, OWNER, DEFINITION, "key")
    assert agave.bodies == [DEFINITION]
    assert job.id == agave.jobs[0]["id"]
    assert job.link == f"{agave.base_url}/jobs/v2/{job.id}"


async def test_the_same_key_gives_the_same_job(agave: AgaveService, engine: AgaveEngine, make: Make) -> None:
    first, second = await asyncio.gather(submitted(engine), submitted(engine))
    assert first == second == await submitted(make())
    assert await submitted(engine, key="another") != first
    assert len(agave.jobs) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (answering(400, message="Invalid input value"), "^Invalid input value.$"),
        (answering(403, message="Permission denied"), "^Permission denied.$"),
        (answering(422), "answered with 422"),
        (answering(200, '{"status": "error", "message": "Not today", "result": null}'), "^Not today.$"),
        (answering(201, '{"status": "success", "result": {}}'), "without the id"),
        (answering(201, '{"status": "success", "result": {"id": 7}}'), "without the id"),
        (answering(201, '{"status": "success", "result": {"id": "a\\nb"}}'), "without the id"),
        (answering(201, '{"status": "success", "result": null}'), "without the id"),
    ],
)
async def test_what_the_service_refuses_is_refused_with_its_reason(
    agave: AgaveService, engine: AgaveEngine, fault: Any, reason: str
) -> None:
    agave.fail(*JOBS, fault)
    with pytest.raises(BatchJobRefused, match=reason):
        await submitted(engine)
    assert await submitted(engine)
    assert len(agave.jobs) == 1


@pytest.mark.parametrize("app_id", [None, 7, "", "../x", {}])
async def test_a_definition_without_an_app_is_refused(agave: AgaveService, engine: AgaveEngine, app_id: Any) -> None:
    with pytest.raises(BatchJobRefused, match="appId"):
        await submitted(engine, appId=app_id)
    assert not agave.asked


@pytest.mark.parametrize("value", [float("nan"), b"bytes"])
async def test_a_definition_that_is_no_json_is_refused(agave: AgaveService, engine: AgaveEngine, value: Any) -> None:
    with pytest.raises(BatchJobRefused, match="no JSON"):
        await submitted(engine, parameters={"x": value})
    assert not agave.asked


async def test_a_definition_that_is_nested_too_deeply_is_refused(engine: AgaveEngine) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BatchJobRefused, match="nested too deeply"):
        await submitted(engine, parameters={"x": deep})


# --- when the answer is lost ----------------------------------------------------------------------------------------


async def test_a_job_whose_answer_was_lost_is_found(agave: AgaveService, engine: AgaveEngine) -> None:
    agave.fail(*JOBS, agave.take_and_hang_up)
    job_id = await submitted(engine)
    assert [job["id"] for job in agave.jobs] == [job_id]


@pytest.mark.parametrize("lists_paths", [True, False])
async def test_a_job_that_was_posted_before_a_crash_is_found_and_not_posted_again(
    agave: AgaveService, database: Database, engine: AgaveEngine, lists_paths: bool
) -> None:
    # given a launch that the daemon did not live to settle, and jobs of others before and after it
    await database.write(lambda tx: launches.begin(tx, TENANT, "agave", "key", START))
    agave.lists_paths = lists_paths
    agave.add_job(**{**DEFINITION, "archivePath": "/elsewhere"})
    expected = agave.add_job(**{**DEFINITION, "archivePath": str(DEFINITION["archivePath"])[1:] + "/"})
    agave.add_job(**{**DEFINITION, "appId": "another-1.0"})
    # then
    assert await submitted(engine) == expected["id"]
    assert await submitted(engine) == expected["id"]
    assert not agave.bodies


async def test_a_launch_that_never_reached_the_service_is_posted_after_a_crash(
    agave: AgaveService, database: Database, engine: AgaveEngine
) -> None:
    await database.write(lambda tx: launches.begin(tx, TENANT, "agave", "key", START))
    assert await submitted(engine) == agave.jobs[0]["id"]
    assert agave.count(*LIST) == 1


async def test_an_older_job_with_the_same_path_is_not_taken_for_this_one(
    agave: AgaveService, database: Database, engine: AgaveEngine, clock: FakeClock
) -> None:
    agave.add_job(**DEFINITION, created="2025-12-31T10:00:00.000-06:00")
    earlier = await submitted(engine, key="earlier")
    await database.write(lambda tx: launches.begin(tx, TENANT, "agave", "key", clock.now()))
    later = await submitted(engine)
    assert later == agave.jobs[0]["id"] != earlier
    assert len(agave.jobs) == 3


async def test_without_an_archive_path_there_is_nothing_to_find_a_job_by(
    agave: AgaveService, database: Database, engine: AgaveEngine
) -> None:
    await database.write(lambda tx: launches.begin(tx, TENANT, "agave", "key", START))
    agave.add_job(appId=APP, archivePath="")
    await submitted(engine, archivePath="")
    assert len(agave.bodies) == 1
    assert not agave.count(*LIST)


async def test_many_jobs_are_looked_through_in_pages(
    agave: AgaveService, database: Database, engine: AgaveEngine
) -> None:
    await database.write(lambda tx: launches.begin(tx, TENANT, "agave", "key", START))
    expected = agave.add_job(**DEFINITION)
    for _ in range(250):
        agave.add_job(appId="another-1.0", archivePath="/x")
    assert await submitted(engine) == expected["id"]
    assert agave.count(*LIST) == 3


async def test_a_service_that_failed_is_asked_before_the_job_is_posted_again(
    agave: AgaveService, engine: AgaveEngine
) -> None:
    agave.fail(*JOBS, answering(504))
    agave.fail(*LIST, answering(503))
    with pytest.raises(BatchEngineFailed, match="504"):
        await submitted(engine)
    expected = agave.add_job(**DEFINITION)
    assert await submitted(engine) == expected["id"]
    assert not agave.bodies


@pytest.mark.parametrize(
    "fault", [answering(400, message="no"), answering(200, '{"result": {}}'), answering(200, '{"result": "text"}')]
)
async def test_a_list_that_cannot_be_had_posts_nothing(
    agave: AgaveService, database: Database, engine: AgaveEngine, fault: Any
) -> None:
    await database.write(lambda tx: launches.begin(tx, TENANT, "agave", "key", START))
    agave.fail(*LIST, fault)
    with pytest.raises(BatchEngineFailed):
        await submitted(engine)
    assert not agave.bodies


async def test_entries_of_a_list_that_are_no_jobs_are_passed_over(
    agave: AgaveService, database: Database, engine: AgaveEngine
) -> None:
    await database.write(lambda tx: launches.begin(tx, TENANT, "agave", "key", START))

    async def odd(_: Any) -> Any:
        return enveloped([7, None, {"id": 7}, {"id": ""}, {"appId": APP}])

    agave.fail(*LIST, odd)
    assert await submitted(engine) == agave.jobs[0]["id"]
