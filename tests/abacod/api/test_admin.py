from __future__ import annotations

from tests.abacod.api.serving import Client, Serving

UTILIZATION = "/v3/actors/utilization"
ADMIN = "/v3/actors/admin"


async def test_utilization_counts_actors_ever_and_now(served: Serving, alice: Client, zoe: Client) -> None:
    first, second = await alice.register(), await alice.register()
    await zoe.register()
    await served.until_status(alice, f"/v3/actors/{first['id']}", "READY")
    await alice.delete(f"/v3/actors/{second['id']}", expect=200)
    for path in (UTILIZATION, "/actors/utilization", "/actors/v2/utilization"):
        answer = await alice.get(path, expect=200)
        assert answer.message == "Abaco utilization returned successfully."
        assert set(answer.result) == {"currentActors", "totalActors", "workers", "commandQueue"}
        assert (answer.result["currentActors"], answer.result["totalActors"]) == (2, 3)


async def test_utilization_tells_workers_that_wait_for_their_image(served: Serving, alice: Client) -> None:
    served.engine.up = False
    await alice.register()

    async def asked_for() -> bool:
        shown = (await alice.get(UTILIZATION, expect=200)).result
        return bool((shown["workers"], shown["commandQueue"]) == (1, 1))

    await served.until(asked_for)
    served.engine.up = True

    async def at_work() -> bool:
        shown = (await alice.get(UTILIZATION, expect=200)).result
        return bool((shown["workers"], shown["commandQueue"]) == (1, 0))

    await served.until(at_work)


async def test_administrators_see_all_actors_of_their_tenant_with_what_they_do(
    served: Serving, alice: Client, root: Client, zoe: Client
) -> None:
    actor = await alice.register(name="busy")
    await zoe.register()
    await served.run(alice, actor["id"], data={"message": "x"})
    (shown,) = (await root.get(ADMIN, expect=200)).result
    plain = (await alice.get(f"/v3/actors/{actor['id']}", expect=200)).result
    assert {name: shown[name] for name in plain} == plain
    assert (shown["messages"], shown["executions"], shown["runtime"]) == (0, 1, 0)
    assert [worker["image"] for worker in shown["workers"]] == ["image"]
    (camel,) = (await root.get("/actors/v2/admin", expect=200)).result
    assert camel["createTime"] == shown["create_time"]
    assert camel["workers"][0]["chName"] == shown["workers"][0]["ch_name"]


async def test_administrators_see_and_count_all_workers(
    served: Serving, alice: Client, root: Client, zoe: Client
) -> None:
    actor = await alice.register()
    await zoe.register()
    await served.until_status(alice, f"/v3/actors/{actor['id']}", "READY")
    missing = await alice.register(image="missing")
    await served.until_status(alice, f"/v3/actors/{missing['id']}", "ERROR")

    async def settled() -> bool:
        return bool((await root.get(f"{ADMIN}/workers", expect=200)).result["summary"]["total_workers"] == 1)

    await served.until(settled)
    result = (await root.get(f"{ADMIN}/workers", expect=200)).result
    assert result["summary"] == {
        "total_workers": 1,
        "ready_workers": 1,
        "requested_workers": 0,
        "error_workers": 0,
        "busy_workers": 0,
        "actors_no_workers": 1,
    }
    (worker,) = result["workers"]
    assert (worker["actor_id"], worker["actor_dbid"]) == (actor["id"], f"dev_{actor['id']}")
    camel = (await root.get("/actors/v2/admin/workers", expect=200)).result
    assert (camel["summary"]["totalWorkers"], camel["workers"][0]["actorId"]) == (1, actor["id"])


async def test_sums_over_executions_include_deleted_actors(served: Serving, alice: Client, root: Client) -> None:
    gone, idle = await alice.register(), await alice.register()
    await served.run(alice, gone["id"], data={"message": "x"})
    await alice.delete(f"/v3/actors/{gone['id']}", expect=200)
    result = (await root.get(f"{ADMIN}/executions", expect=200)).result
    summary = result["summary"]
    assert (summary["total_actors_all"], summary["total_actors_all_with_executions"]) == (2, 1)
    assert (summary["total_actors_existing"], summary["total_actors_existing_with_executions"]) == (1, 0)
    assert (summary["total_executions_all"], summary["total_executions_existing"]) == (1, 0)
    assert len(summary) == 12
    (row,) = result["actors"]
    assert row == {
        "actor_id": idle["id"],
        "owner": "alice",
        "image": "image",
        "total_executions": 0,
        "total_execution_cpu": 0,
        "total_execution_io": 0,
        "total_execution_runtime": 0,
    }
    camel = (await root.get("/actors/v2/admin/executions", expect=200)).result
    assert camel["summary"]["totalExecutionsAll"] == 1


async def test_only_administrators_see_a_whole_tenant(served: Serving, alice: Client, pam: Client) -> None:
    for path in (ADMIN, f"{ADMIN}/workers", f"{ADMIN}/executions"):
        await served.nobody.get(path, expect=401)
        for client in (alice, pam):
            assert (await client.get(path, expect=403)).message == "Abaco Admin role required."
        await alice.post(path, expect=405)
    await served.nobody.get(UTILIZATION, expect=401)
    await alice.get(f"{ADMIN}/nothing", expect=404)
