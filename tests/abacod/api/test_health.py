from __future__ import annotations

from tests.abacod.api.serving import Client, Serving


async def test_the_daemon_is_alive_for_everybody(served: Serving) -> None:
    assert (await served.nobody.get("/healthz", expect=200)).result == {"alive": True}


async def test_ready_once_the_engine_and_the_database_answer(served: Serving) -> None:
    assert (await served.nobody.get("/readyz", expect=200)).result == {"database": "ok", "engine": "ok"}


async def test_a_silent_engine_makes_the_daemon_unready_but_keeps_it_alive(served: Serving) -> None:
    served.engine.up = False
    unready = await served.nobody.get("/readyz", expect=503, may_fail=True)
    assert unready.result["database"] == "ok"
    assert unready.result["engine"] != "ok"
    assert "engine" in unready.message
    await served.nobody.get("/healthz", expect=200)


async def test_a_closed_database_makes_the_daemon_unready(served: Serving) -> None:
    await served.recovered()
    await served.database.close()
    unready = await served.nobody.get("/readyz", expect=503, may_fail=True)
    assert unready.result["engine"] == "ok"
    assert "database" in unready.message


async def test_the_daemon_is_ready_again_when_the_engine_returns(served: Serving) -> None:
    served.engine.up = False
    await served.nobody.get("/readyz", expect=503, may_fail=True)
    served.engine.up = True
    await served.nobody.get("/readyz", expect=200)


async def test_requests_against_a_closed_database_are_503(served: Serving, alice: Client) -> None:
    await served.recovered()
    await served.database.close()
    await alice.get("/v3/actors", expect=503, may_fail=True)
