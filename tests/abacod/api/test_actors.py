from __future__ import annotations

import asyncio
import json
from typing import Any

from abacod.ids import ActorId, Username
from abacod.models.permission import Subject
from abacod.models.user import Level
from abacod.store import permissions
from tests.abacod.api.registrations import ALL_FIELDS, DEFAULTS
from tests.abacod.api.serving import Client, Serving
from tests.fakes import obey


async def grant(served: Serving, actor_id: str, username: str, level: Level) -> None:
    await served.database.write(
        lambda tx: permissions.grant(tx, Subject.actor(ActorId(actor_id)), Username(username), level)
    )


# --- lists -----------------------------------------------------------------------------------------------------------


async def test_a_list_has_what_the_caller_may_read_oldest_first(
    alice: Client, bob: Client, root: Client, zoe: Client, served: Serving
) -> None:
    assert (await alice.get("/v3/actors", expect=200)).result == []
    ids = [(await alice.register(name="same"))["id"] for _ in range(3)]
    theirs = (await bob.register())["id"]
    await grant(served, ids[1], "bob", Level.READ)
    assert [actor["id"] for actor in (await alice.get("/v3/actors")).result] == ids
    assert [actor["id"] for actor in (await bob.get("/v3/actors")).result] == [ids[1], theirs]
    assert (await root.get("/v3/actors")).result == []
    assert (await zoe.get("/v3/actors")).result == []


# --- permissions -----------------------------------------------------------------------------------------------------


async def test_each_level_opens_its_requests_and_no_more(alice: Client, bob: Client, served: Serving) -> None:
    actor = await alice.register(stateless=False)
    path = f"/v3/actors/{actor['id']}"
    needs: list[tuple[Level, str, str, dict[str, Any]]] = [
        (Level.READ, "GET", path, {}),
        (Level.READ, "GET", f"{path}/state", {}),
        (Level.READ, "GET", f"{path}/messages", {}),
        (Level.READ, "GET", f"{path}/executions", {}),
        (Level.READ, "GET", f"{path}/workers", {}),
        (Level.EXECUTE, "POST", f"{path}/messages", {"json": 1}),
        (Level.UPDATE, "POST", f"{path}/state", {"json": 1}),
        (Level.UPDATE, "DELETE", f"{path}/messages", {}),
        (Level.UPDATE, "PUT", path, {"json": {"image": "image"}}),
        (Level.UPDATE, "DELETE", path, {}),
    ]
    for level in Level:
        await grant(served, actor["id"], "bob", level)
        for needed, method, address, body in needs:
            answer = await bob.send(method, address, **body)
            assert answer.status == (200 if level >= needed else 403), (level, method, address)


async def test_an_administrator_may_do_everything_within_the_tenant(alice: Client, root: Client, zoe: Client) -> None:
    actor = await alice.register()
    await root.put(f"/v3/actors/{actor['id']}", json={"image": "image"}, expect=200)
    await zoe.get(f"/v3/actors/{actor['id']}", expect=404)
    await zoe.delete(f"/v3/actors/{actor['id']}", expect=404)
    await root.delete(f"/v3/actors/{actor['id']}", expect=200)


# --- update ----------------------------------------------------------------------------------------------------------


async def test_what_an_update_omits_returns_to_its_default_but_for_four_fields(pam: Client) -> None:
    given: dict[str, Any] = {name: text for name, text, _ in ALL_FIELDS if name not in ("max_workers", "stateless")}
    actor = await pam.register(**given, stateless=False)
    path = f"/v3/actors/{actor['id']}"
    await pam.post(f"{path}/state", json={"kept": 1}, expect=200)
    updated = (await pam.put(path, json={"image": "image"}, expect=200)).result
    kept = {"name": "counter", "state": {"kept": 1}, "stateless": False, "cron_on": True}
    expected = DEFAULTS | kept | {"owner": "pam", "uid": None, "gid": None}
    assert {name: updated[name] for name in DEFAULTS} == expected
    assert updated["create_time"] == actor["create_time"]
    assert (await pam.get(path, expect=200)).result | {"status": "", "status_message": ""} == updated | {
        "status": "",
        "status_message": "",
    }


async def test_an_update_changes_everything_that_is_given(pam: Client) -> None:
    actor = await pam.register()
    for name, text, expected in ALL_FIELDS:
        # The order of the list: what is stateless may become stateful, but not the reverse, so each gets its own.
        target = actor if name != "stateless" else await pam.register()
        updated = await pam.put(f"/v3/actors/{target['id']}", json={"image": "image", name: text}, expect=200)
        assert updated.result[name] == expected


async def test_only_another_image_or_force_makes_a_new_revision(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    path = f"/v3/actors/{actor['id']}"
    await served.until_status(alice, path, "READY")
    served.engine.images.add("image:2")
    same = (await alice.put(path, json={"image": "image", "description": "new"}, expect=200)).result
    other = (await alice.put(path, json={"image": "image:2"}, expect=200)).result
    forced = (await alice.put(f"{path}?force=true", json={"image": "image:2"}, expect=200)).result
    unforced = (await alice.put(path, json={"image": "image:2", "force": "false"}, expect=200)).result
    assert (same["revision"], same["status"]) == (1, "READY")
    assert (other["revision"], other["status"]) == (2, "SUBMITTED")
    assert forced["revision"] == 3
    assert unforced["revision"] == 3


async def test_an_actor_leaves_error_by_an_update(alice: Client, served: Serving) -> None:
    actor = await alice.register(image="missing")
    path = f"/v3/actors/{actor['id']}"
    await served.until_status(alice, path, "ERROR")
    await alice.put(path, json={"image": "image"}, expect=200)
    ready = await served.until_status(alice, path, "READY", "ERROR")
    assert (ready["status"], ready["status_message"]) == ("READY", " ")


async def test_a_stateful_actor_stays_stateful(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register(stateless=False))['id']}"
    refused = await alice.put(path, json={"image": "image", "stateless": True}, expect=400)
    assert "cannot be updated to be stateless" in refused.message
    assert (await alice.get(path)).result["stateless"] is False


async def test_an_update_needs_an_image_and_changes_nothing_without(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register(description='old'))['id']}"
    refused = await alice.put(path, json={"description": "new"}, expect=400)
    assert "image" in refused.message
    assert (await alice.get(path)).result["description"] == "old"


async def test_an_update_by_another_user_keeps_the_owner(alice: Client, bob: Client, served: Serving) -> None:
    actor = await alice.register()
    await grant(served, actor["id"], "bob", Level.UPDATE)
    updated = (await bob.put(f"/v3/actors/{actor['id']}", json={"image": "image"}, expect=200)).result
    assert (updated["owner"], updated["uid"], updated["gid"]) == ("alice", 1001, 1002)


async def test_an_update_cannot_smuggle_in_what_needs_trust(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register())['id']}"
    await alice.put(f"{path}?privileged=true", json={"image": "image"}, expect=403)
    assert (await alice.get(path)).result["privileged"] is False


async def test_a_schedule_given_later_is_on_and_stays_as_the_user_left_it(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register())['id']}"
    schedule = {"image": "image", "cron_schedule": "now + 1 day"}
    assert (await alice.put(path, json=schedule, expect=200)).result["cron_on"] is True
    assert (await alice.put(path, json=schedule | {"cron_on": False}, expect=200)).result["cron_on"] is False
    assert (await alice.put(path, json=schedule, expect=200)).result["cron_on"] is False


# --- delete ----------------------------------------------------------------------------------------------------------


async def test_a_deleted_actor_is_gone(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register())['id']}"
    deleted = await alice.delete(path, expect=200)
    assert (deleted.message, deleted.result) == ("Actor deleted successfully.", None)
    for method in ("GET", "PUT", "DELETE"):
        await alice.send(method, path, json={"image": "image"}, expect=404)
    assert (await alice.get("/v3/actors")).result == []


async def test_deleting_an_actor_stops_what_it_runs(alice: Client, served: Serving) -> None:
    served.engine.programs["image"] = obey
    path = f"/v3/actors/{(await alice.register())['id']}"
    sent = [(await alice.post(f"{path}/messages", json=1, expect=200)).result["execution_id"] for _ in range(2)]
    await served.until_status(alice, f"{path}/executions/{sent[0]}", "RUNNING")
    await alice.delete(path, expect=200)
    assert not served.engine.containers
    await alice.get(f"{path}/executions/{sent[0]}", expect=404)


async def test_deleting_while_the_engine_is_silent_goes_on_by_itself(alice: Client, served: Serving) -> None:
    served.engine.programs["image"] = obey
    path = f"/v3/actors/{(await alice.register())['id']}"
    sent = (await alice.post(f"{path}/messages", json=1, expect=200)).result["execution_id"]
    await served.until_status(alice, f"{path}/executions/{sent}", "RUNNING")
    served.engine.up = False
    deleted = await alice.delete(path, expect=200)
    assert "still cleaning up" in deleted.message
    assert (await alice.get(path, expect=200)).result["status"] == "SHUTTING_DOWN"
    await alice.post(f"{path}/messages", json=2, expect=409)


# --- state -----------------------------------------------------------------------------------------------------------


async def test_a_state_is_any_json_value(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register(stateless=False))['id']}"
    states: list[Any] = [{"a": [1, None, {"b_c": "ü"}]}, {}, [], "", "text", 0, 17, 1.5, True, False, None, [[1], [2]]]
    for state in states:
        changed = await alice.post(f"{path}/state", data=json.dumps(state).encode(), expect=200)
        assert changed.message == "State updated successfully."
        assert changed.result["state"] == state
        assert (await alice.get(f"{path}/state", expect=200)).result == {"state": state}
        assert (await alice.get(f"/actors/v2{path[10:]}", expect=200)).result["state"] == state


async def test_containers_see_the_state(alice: Client, served: Serving) -> None:
    actor = await alice.register(stateless=False)
    await alice.post(f"/v3/actors/{actor['id']}/state", json={"a": "ü"}, expect=200)
    container = await served.run(alice, actor["id"], json=1)
    assert container.spec.environment["_abaco_actor_state"] == '{"a": "ü"}'


async def test_a_stateless_actor_has_no_state_to_set(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register())['id']}/state"
    assert (await alice.post(path, json={"a": 1}, expect=404)).message == "actor is stateless."
    assert (await alice.get(path, expect=200)).result == {"state": {}}


async def test_what_is_no_json_is_no_state(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register(stateless=False))['id']}/state"
    for body in (b"", b"{", b"a=1", b"NaN", b"\xff", rb'"\ud800"'):
        refused = await alice.post(path, data=body, expect=400)
        assert "state must be JSON serializable" in refused.message
    assert (await alice.get(path)).result == {"state": {}}


async def test_a_state_that_no_container_could_be_given_is_refused(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register(stateless=False))['id']}/state"
    states: list[tuple[Any, int]] = [("a\0b", 400), ("x" * 131_072, 413), (["x" * 131_072], 413)]
    for state, status in states:
        assert "state" in (await alice.post(path, json=state, expect=status)).message
    assert (await alice.get(path)).result == {"state": {}}


# --- a silent engine -------------------------------------------------------------------------------------------------


async def test_actors_tell_that_the_engine_is_silent_but_keep_their_own_errors(alice: Client, served: Serving) -> None:
    fine, broken = await alice.register(), await alice.register(image="missing")
    await served.until_status(alice, f"/v3/actors/{fine['id']}", "READY")
    failed = await served.until_status(alice, f"/v3/actors/{broken['id']}", "ERROR")
    served.engine.up = False
    await served.nobody.get("/readyz", expect=503, may_fail=True)
    shown = {actor["id"]: actor for actor in (await alice.get("/v3/actors", expect=200)).result}
    assert "Messages are kept" in shown[fine["id"]]["status_message"]
    assert shown[fine["id"]]["status"] == "READY"
    assert shown[broken["id"]]["status_message"] == failed["status_message"]
    served.engine.up = True
    await served.nobody.get("/readyz", expect=200)
    assert (await alice.get(f"/v3/actors/{fine['id']}")).result["status_message"] == " "


async def test_actors_can_be_registered_while_the_engine_is_silent(alice: Client, served: Serving) -> None:
    served.engine.up = False
    actor = await alice.register()
    assert actor["status"] == "SUBMITTED"
    served.engine.up = True
    await served.nobody.get("/readyz", expect=200)
    await served.until_status(alice, f"/v3/actors/{actor['id']}", "READY")


# --- many at once ----------------------------------------------------------------------------------------------------


async def test_updates_at_once_leave_one_of_them_whole(alice: Client) -> None:
    path = f"/v3/actors/{(await alice.register())['id']}"
    pairs = [{"image": "image", "name": str(number), "description": str(number)} for number in range(10)]
    await asyncio.gather(*(alice.put(path, json=pair, expect=200) for pair in pairs))
    shown = (await alice.get(path)).result
    assert shown["name"] == shown["description"]
