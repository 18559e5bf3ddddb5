from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from abacod.config_workers import QueueSettings, WorkerSettings
from abacod.ids import new_worker_id
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import Client, Serving, serving


async def workers(client: Client, actor_id: str, *, count: int, status: str, served: Serving) -> list[dict[str, Any]]:
    """Wait until the actor has so many workers, all in this status; them, as shown."""
    shown: list[dict[str, Any]] = []

    async def reached() -> bool:
        shown[:] = (await client.get(f"/v3/actors/{actor_id}/workers", expect=200)).result
        return len(shown) == count and all(worker["status"] == status for worker in shown)

    await served.until(reached)
    return shown


async def test_a_worker_shows_what_clients_look_for(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    (worker,) = await workers(alice, actor["id"], count=1, status="READY", served=served)
    expected = {
        "tenant": "dev",
        "image": "image",
        "cid": worker["id"],
        "ch_name": f"worker_{worker['id']}",
        "last_execution_time": "None",
    }
    assert {name: worker[name] for name in expected} == expected
    assert all(worker[name] for name in ("id", "location", "host_id", "host_ip", "create_time"))
    assert worker["last_health_check_time"] != "None"
    one = (await alice.get(f"/v3/actors/{actor['id']}/workers/{worker['id']}", expect=200)).result
    assert set(one) == set(worker)
    spelled = (await alice.get(f"/actors/v2/{actor['id']}/workers/{worker['id']}", expect=200)).result
    assert spelled["chName"] == worker["ch_name"]


async def test_an_administrator_asks_for_workers(alice: Client, root: Client, served: Serving) -> None:
    actor = await alice.register()
    path = f"/v3/actors/{actor['id']}/workers"
    await workers(alice, actor["id"], count=1, status="READY", served=served)
    asked = await root.post(path, json={"num": 3}, expect=200)
    assert asked.message == "Scheduled 2 new worker(s) to start. Previously, there were 1 workers."
    assert asked.result is None
    await workers(alice, actor["id"], count=3, status="READY", served=served)
    bodies: list[dict[str, Any]] = [
        {"json": {"num": "2"}},
        {"data": {"num": "3"}},
        {"json": {}},
        {},
        {"data": {"num": "0"}},
    ]
    for body in bodies:
        again = await root.post(path, **body, expect=200)
        assert "already had" in again.message
    assert (await root.post(f"{path}?num=3", expect=200)).message == f"Actor {actor['id']} already had 3 worker(s)."
    await workers(alice, actor["id"], count=3, status="READY", served=served)


async def test_only_an_administrator_asks_for_workers(alice: Client, pam: Client, zoe: Client) -> None:
    actor = await alice.register()
    path = f"/v3/actors/{actor['id']}/workers"
    assert (await alice.post(path, json={"num": 1}, expect=403)).message == (
        "Not authorized -- only admins are authorized to update workers."
    )
    await pam.post(path, json={"num": 1}, expect=403)
    await zoe.post(path, json={"num": 1}, expect=404)


async def test_a_number_that_makes_no_sense_is_refused_by_name(alice: Client, root: Client) -> None:
    actor = await alice.register()
    numbers: list[Any] = [-1, "-1", 76, 10**30, "9" * 5000, 1.5, True, "two", [1], {}, "1_0"]
    for number in numbers:
        refused = await root.post(f"/v3/actors/{actor['id']}/workers", json={"num": number}, expect=400)
        assert "num" in refused.message


async def test_a_stateful_actor_has_one_worker(alice: Client, root: Client, served: Serving) -> None:
    actor = await alice.register(stateless=False)
    path = f"/v3/actors/{actor['id']}/workers"
    refused = await root.post(path, json={"num": 2}, expect=400)
    assert "stateful actors can only have 1 worker" in refused.message
    await root.post(path, json={"num": 1}, expect=200)
    await workers(alice, actor["id"], count=1, status="READY", served=served)


async def test_old_clients_may_list_a_stand_by_worker(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key, compat="abaco") as served:
        root = await served.user("root", "abaco_admin")
        actor = await root.register(stateless=False)
        await root.post(f"/v3/actors/{actor['id']}/workers", json={"num": 2}, expect=200)
        await workers(root, actor["id"], count=2, status="READY", served=served)


async def test_the_machine_has_room_for_so_many_workers(tmp_path: Path, signing_key: SigningKey) -> None:
    limit = WorkerSettings(max_per_host=2, autoscaling=False)
    async with serving(tmp_path, signing_key, workers=limit) as served:
        root = await served.user("root", "abaco_admin")
        actor = await root.register()
        refused = await root.post(f"/v3/actors/{actor['id']}/workers", json={"num": 3}, expect=400)
        assert "num" in refused.message
        await root.post(f"/v3/actors/{actor['id']}/workers", json={"num": 2}, expect=200)
        await workers(root, actor["id"], count=2, status="READY", served=served)


async def test_a_stopped_worker_disappears(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    (worker,) = await workers(alice, actor["id"], count=1, status="READY", served=served)
    path = f"/v3/actors/{actor['id']}/workers/{worker['id']}"
    stopped = await alice.delete(path, expect=200)
    assert (stopped.message, stopped.result) == ("Worker scheduled to be stopped.", None)
    await workers(alice, actor["id"], count=0, status="", served=served)
    await alice.get(path, expect=404)


async def test_a_busy_worker_ends_after_what_it_does(alice: Client, served: Serving) -> None:
    gate = served.engine.gates.setdefault("image", asyncio.Event())
    actor = await alice.register()
    sent = (await alice.post(f"/v3/actors/{actor['id']}/messages", json=1, expect=200)).result["execution_id"]
    (worker,) = await workers(alice, actor["id"], count=1, status="BUSY", served=served)
    await served.until_status(alice, f"/v3/actors/{actor['id']}/executions/{sent}", "RUNNING")
    await alice.delete(f"/v3/actors/{actor['id']}/workers/{worker['id']}", expect=200)
    await workers(alice, actor["id"], count=1, status="SHUTDOWN_REQUESTED", served=served)
    gate.set()
    ended = await served.until_ended(alice, actor["id"], sent)
    assert (ended["status"], ended["worker_id"]) == ("COMPLETE", worker["id"])
    await workers(alice, actor["id"], count=0, status="", served=served)


async def test_an_unknown_worker_is_not_found(alice: Client, bob: Client, served: Serving) -> None:
    actor, other = await alice.register(), await bob.register()
    (worker,) = await workers(bob, other["id"], count=1, status="READY", served=served)
    for unknown in (new_worker_id(), "x", worker["id"]):
        path = f"/v3/actors/{actor['id']}/workers/{unknown}"
        assert (await alice.get(path, expect=404)).message == "Worker not found."
        await alice.delete(path, expect=404)


async def test_a_full_queue_says_so(tmp_path: Path, signing_key: SigningKey) -> None:
    limits = WorkerSettings(queues={"special": QueueSettings(max_workers=2)}, autoscaling=False)
    async with serving(tmp_path, signing_key, workers=limits) as served:
        root = await served.user("root", "abaco_admin")
        gate = served.engine.gates.setdefault("image", asyncio.Event())
        busy, actor = await root.register(queue="special"), await root.register(queue="special")
        refused = await root.post(f"/v3/actors/{actor['id']}/workers", json={"num": 3}, expect=400)
        assert "from 1 to 2" in refused.message
        await root.post(f"/v3/actors/{busy['id']}/messages", json=1, expect=200)
        await workers(root, busy["id"], count=1, status="BUSY", served=served)
        await workers(root, actor["id"], count=1, status="READY", served=served)
        asked = await root.post(f"/v3/actors/{actor['id']}/workers", json={"num": 2}, expect=200)
        assert asked.message == f"There is no room for more workers now. Actor {actor['id']} has 1 worker(s)."
        gate.set()
