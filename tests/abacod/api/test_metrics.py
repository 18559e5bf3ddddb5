from __future__ import annotations

from abacod.ids import new_actor_id
from tests.abacod.api.serving import Client, Serving
from tests.prometheus import Samples, samples

REQUESTS = "abacod_http_request_duration_seconds_count"


async def scrape(served: Serving) -> Samples:
    async with served.session.get(served.url + "/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "Access-Control-Allow-Origin" in response.headers
        return samples(await response.read())


async def test_an_execution_is_measured(served: Serving, alice: Client) -> None:
    actor = await alice.register()
    await served.run(alice, actor["id"], data={"message": "x"})
    found = await scrape(served)
    assert found.value("abacod_executions_total", status="COMPLETE") == 1
    assert found.value("abacod_execution_duration_seconds_count") == 1
    assert found.value("abacod_execution_start_latency_seconds_count") == 1
    assert found.value("abacod_commit_duration_seconds_count") > 0
    assert found.value("abacod_writes_total") >= found.value("abacod_commit_duration_seconds_count")


async def test_actors_workers_and_messages_are_counted(served: Serving, alice: Client) -> None:
    actor = await alice.register()
    missing = await alice.register(image="missing")
    await served.until_status(alice, f"/v3/actors/{actor['id']}", "READY")
    await served.until_status(alice, f"/v3/actors/{missing['id']}", "ERROR")
    for _ in range(3):
        await alice.post(f"/v3/actors/{missing['id']}/messages", data={"message": "x"}, expect=200)
    found = await scrape(served)
    assert found.value("abacod_actors", status="READY") == 1
    assert found.value("abacod_actors", status="ERROR") == 1
    assert found.value("abacod_workers", status="READY") == 1
    assert found.value("abacod_messages_waiting") == 3
    assert found.value("abacod_actor_messages_waiting", tenant="dev", actor=missing["id"]) == 3
    assert found.value("abacod_actor_workers", tenant="dev", actor=actor["id"]) == 1
    assert found.value("abacod_worker_requests") == 0
    assert found.value("abacod_engine_up") == found.value("abacod_database_up") == 1


async def test_a_deleted_actor_has_no_series(served: Serving, alice: Client) -> None:
    actor = await alice.register()
    await served.run(alice, actor["id"], data={"message": "x"})
    assert actor["id"] in (await scrape(served)).labels("abacod_actor_messages_waiting", "actor")
    await alice.delete(f"/v3/actors/{actor['id']}", expect=200)
    assert actor["id"] not in (await scrape(served)).labels("abacod_actor_messages_waiting", "actor")


async def test_requests_are_told_by_route_whatever_the_path(served: Serving, alice: Client) -> None:
    for prefix in ("/v3/actors", "/actors", "/actors/v2", "//actors/"):
        await alice.get(f"{prefix}/{new_actor_id()}", expect=404)
    await alice.get("/v3/actors", expect=200)
    await alice.get("/nowhere/at/all", expect=404)
    await alice.post("/healthz", expect=405)
    await alice.get("/v3/actors/%ff", expect=400)
    await served.nobody.get("/v3/actors", expect=401)
    found = await scrape(served)
    assert found.value(REQUESTS, route="/actors/{actor}", method="GET", status="4xx") == 4
    assert found.value(REQUESTS, route="/actors/", method="GET", status="2xx") == 1
    assert found.value(REQUESTS, route="/actors/", method="GET", status="4xx") == 1
    assert found.value(REQUESTS, route="none", method="GET", status="4xx") == 2
    assert found.value(REQUESTS, route="none", method="POST", status="4xx") == 1


async def test_without_the_database_the_rest_is_told(served: Serving) -> None:
    await served.recovered()
    await served.database.close()
    served.engine.up = False
    await served.nobody.get("/readyz", expect=503, may_fail=True)
    found = await scrape(served)
    assert found.value("abacod_database_up") == found.value("abacod_engine_up") == 0
    assert found.value(REQUESTS, route="/readyz", method="GET", status="5xx") == 1
    assert "abacod_actors" not in found.names


async def test_a_scrape_changes_nothing(served: Serving, alice: Client) -> None:
    await alice.register()
    await served.recovered()
    before = await served.contents()
    await scrape(served)
    assert await served.contents() == before
