"""Built-in reactors through restarts, upgrades, other settings, and days without an engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import pytest

from abacod.config import AuthSettings, ServerSettings
from abacod.config_pipelines import PipelineSettings
from abacod.config_workers import WorkerSettings
from abacod.ids import TenantId, Username
from abacod.models.user import Role, User
from abacod.services.tokens import SigningKey
from abacod.store import actors
from reactors.builtin import HANDLERS
from reactors.ports import Handler, Invocation, Ports
from tests.abacod.api.reactors import tell
from tests.abacod.api.serving import CREATED, DEV, Client, Serving, serving
from tests.abacod.api.test_upgrade import OLD, as_user, first_release
from tests.fakes import FakeContainer

MANAGER: Final = "pipelines-manager"
PIPELINE: Final = {"name": "n", "components": [{"id": "a"}]}


@asynccontextmanager
async def opened(tmp_path: Path, key: SigningKey, **changes: Any) -> AsyncIterator[Serving]:
    """A daemon with built-in reactors, on a directory that outlives it."""
    async with serving(tmp_path, key, **{"pipelines": PipelineSettings(), **changes}) as running:
        yield running


async def status(client: Client, method: str, path: str, **options: Any) -> int:
    return (await client.send(method, f"/v3/actors/{path}", **options)).status


def again(served: Serving, name: str, *roles: Role) -> Client:
    """A user whom an earlier daemon knew."""
    user = User(DEV, Username(name), frozenset(roles), CREATED)
    return Client(served.session, served.url, served.daemon.core.tokens.issue(user, "access").text)


class Handling:
    """A handler that waits in the middle of its work."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.goes_on = threading.Event()
        self.times = 0

    def __call__(self, call: Invocation, ports: Ports) -> None:
        self.times += 1
        call.info(f"time {self.times}")
        written = ports.pipelines.create(PIPELINE)
        self.begun.set()
        self.goes_on.wait(20)
        raise call.success(f"{call.nickname} created {written.uuid}")

    async def until_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 10)


@pytest.fixture
def handling(monkeypatch: pytest.MonkeyPatch) -> Handling:
    handler = Handling()
    monkeypatch.setitem(cast("dict[str, Handler]", HANDLERS), MANAGER, handler)
    return handler


async def test_what_a_daemon_left_in_the_middle_is_run_again_with_a_log_begun_anew(
    tmp_path: Path, signing_key: SigningKey, handling: Handling
) -> None:
    # given a daemon that stops while a handler has done its work and has not ended
    async with opened(tmp_path, signing_key) as first:
        alice = await first.user("alice")
        ids = [
            (await alice.post(f"/v3/actors/{MANAGER}/messages", json={"message": text}, expect=200)).result[
                "execution_id"
            ]
            for text in ("1", "2")
        ]
        await handling.until_begun()
        shown = (await alice.get(f"/v3/actors/{MANAGER}/executions/{ids[0]}", expect=200)).result
        assert shown["status"] == "RUNNING"
    handling.goes_on.set()
    # when another one starts
    async with opened(tmp_path, signing_key) as second:
        alice = again(second, "alice")
        for execution in ids:
            ended = await second.until_ended(alice, MANAGER, execution)
            assert (ended["status"], ended["exit_code"]) == ("COMPLETE", 0)
        # then the log has nothing of the first time, and what was done was done once
        log = (await alice.get(f"/v3/actors/{MANAGER}/executions/{ids[0]}/logs")).result["logs"]
        first_line, last_line = log.splitlines()
        assert first_line.endswith(" INFO time 2")
        assert " created " in last_line
        rows = await second.database.read(lambda tx: tx.execute("SELECT action FROM updates").fetchall())
        assert [row["action"] for row in rows] == ["create"]
        assert handling.times == 3


async def test_a_stopping_daemon_lets_a_handler_end(
    tmp_path: Path, signing_key: SigningKey, handling: Handling
) -> None:
    server = ServerSettings(port=0, drain_seconds=30)
    async with opened(tmp_path, signing_key, server=server) as first:
        alice = await first.user("alice")
        sent = await alice.post(f"/v3/actors/{MANAGER}/messages", json={"message": "1"}, expect=200)
        await handling.until_begun()
        asyncio.get_running_loop().call_later(0.05, handling.goes_on.set)
    async with opened(tmp_path, signing_key) as second:
        path = f"/v3/actors/{MANAGER}/executions/{sent.result['execution_id']}"
        assert (await again(second, "alice").get(path)).result["status"] == "COMPLETE"
    assert handling.times == 1


async def test_a_running_handler_is_halted(tmp_path: Path, signing_key: SigningKey, handling: Handling) -> None:
    async with opened(tmp_path, signing_key) as served:
        alice, root = await served.user("alice"), await served.user("root", "abaco_admin")
        sent = await alice.post(f"/v3/actors/{MANAGER}/messages", json={"message": "1"}, expect=200)
        execution = sent.result["execution_id"]
        await handling.until_begun()
        assert await status(alice, "DELETE", f"{MANAGER}/executions/{execution}") == 403
        assert await status(root, "DELETE", f"{MANAGER}/executions/{execution}") == 200
        ended = await served.until_ended(root, MANAGER, execution)
        assert (ended["exit_code"], ended["final_state"]["Error"]) == (137, "it was halted")
        handling.goes_on.set()


async def test_each_execution_has_a_nickname(tmp_path: Path, signing_key: SigningKey, handling: Handling) -> None:
    handling.goes_on.set()
    async with opened(tmp_path, signing_key) as served:
        told = await tell(served, await served.user("alice"), MANAGER, "1")
        assert len(told.last.split()[1].split("-")) == 2


async def test_they_go_on_while_the_engine_is_away(tmp_path: Path, signing_key: SigningKey) -> None:
    async with opened(tmp_path, signing_key) as served:
        await served.recovered()
        alice = await served.user("alice")
        served.engine.up = False
        for _ in range(3):
            assert (await tell(served, alice, MANAGER, PIPELINE)).code == 0


async def test_a_start_without_an_engine_takes_up_what_they_had_begun_and_takes_more(
    tmp_path: Path, signing_key: SigningKey, handling: Handling
) -> None:
    async with opened(tmp_path, signing_key) as first:
        alice = await first.user("alice")
        sent = await alice.post(f"/v3/actors/{MANAGER}/messages", json={"message": "1"}, expect=200)
        await handling.until_begun()
    handling.goes_on.set()
    async with opened(tmp_path, signing_key, engine_up=False) as second:
        alice = again(second, "alice")
        assert (await second.until_ended(alice, MANAGER, sent.result["execution_id"]))["exit_code"] == 0
        actor = (await alice.register())["id"]
        waiting = await alice.post(f"/v3/actors/{actor}/messages", json={"message": "1"}, expect=200)
        assert (await tell(second, alice, MANAGER, "2")).code == 0
        # and once there is an engine, everything else begins
        assert (await alice.get(f"/v3/actors/{actor}/workers")).result == []
        second.engine.up = True
        assert (await second.until_ended(alice, actor, waiting.result["execution_id"]))["status"] == "COMPLETE"
        assert handling.times == 3


async def test_they_take_no_place_of_actors_and_need_none(tmp_path: Path, signing_key: SigningKey) -> None:
    goes_on = asyncio.Event()

    async def busy(_: FakeContainer) -> int:
        await goes_on.wait()
        return 0

    workers = WorkerSettings(autoscaling=False, max_per_host=1)
    async with opened(tmp_path, signing_key, workers=workers) as served:
        alice = await served.user("alice")
        # with an idle built-in worker there is a place for an actor's, and with that taken for the built-in one's
        assert (await tell(served, alice, MANAGER, PIPELINE)).code == 0
        served.engine.programs["image"] = busy
        actor = (await alice.register())["id"]
        path = f"/v3/actors/{actor}"
        sent = await alice.post(f"{path}/messages", json={"message": "1"}, expect=200)
        await served.until_status(alice, f"{path}/executions/{sent.result['execution_id']}", "RUNNING")
        for _ in range(2):
            assert (await tell(served, alice, MANAGER, PIPELINE)).code == 0
        # neither ended the other's worker
        assert len((await alice.get(f"{path}/workers")).result) == 1
        goes_on.set()
        await served.until_ended(alice, actor, sent.result["execution_id"])


async def test_the_managers_have_one_worker_however_much_waits(
    tmp_path: Path, signing_key: SigningKey, handling: Handling
) -> None:
    async with opened(tmp_path, signing_key) as served:
        root = await served.user("root", "abaco_admin")
        for text in "12345":
            await root.post(f"/v3/actors/{MANAGER}/messages", json={"message": text}, expect=200)
        await handling.until_begun()
        assert await status(root, "POST", f"{MANAGER}/workers", json={"num": 3}) == 400
        assert len((await root.get(f"/v3/actors/{MANAGER}/workers")).result) == 1
        handling.goes_on.set()


# --- settings ---------------------------------------------------------------------------------------------------


async def test_switched_off_again_nothing_of_them_runs(tmp_path: Path, signing_key: SigningKey) -> None:
    async with opened(tmp_path, signing_key) as first:
        alice = await first.user("alice")
        assert (await tell(first, alice, MANAGER, PIPELINE)).code == 0
    async with serving(tmp_path, signing_key) as off:
        alice = again(off, "alice")
        sent = await alice.post(f"/v3/actors/{MANAGER}/messages", json={"message": "{}"}, expect=200)
        ended = await off.until_ended(alice, MANAGER, sent.result["execution_id"])
        assert ended["status"] == "ERROR"
        assert "pipelines.enabled" in ended["final_state"]["reason"]
    async with opened(tmp_path, signing_key) as on:
        assert (await tell(on, again(on, "alice"), MANAGER, PIPELINE)).code == 0


async def test_who_may_use_them_follows_the_setting_at_each_start(tmp_path: Path, signing_key: SigningKey) -> None:
    async with opened(tmp_path, signing_key) as first:
        bob = await first.user("bob")
        assert await status(bob, "POST", f"{MANAGER}/messages", json={"message": "{}"}) == 200
    async with opened(tmp_path, signing_key, pipelines=PipelineSettings(execute=(Username("carol"),))) as narrow:
        bob, carol = again(narrow, "bob"), await narrow.user("carol")
        assert await status(bob, "POST", f"{MANAGER}/messages", json={"message": "{}"}) == 403
        assert await status(bob, "GET", MANAGER) == 403
        assert await status(carol, "POST", f"{MANAGER}/messages", json={"message": "{}"}) == 200
        # what the administrators give beside the setting stays
        await (await narrow.user("root", "abaco_admin")).share(MANAGER, "bob", "READ")
    async with opened(tmp_path, signing_key, pipelines=PipelineSettings(execute=())) as nobody:
        assert await status(again(nobody, "bob"), "GET", MANAGER) == 200


async def test_a_new_tenant_gets_its_own(tmp_path: Path, signing_key: SigningKey) -> None:
    new = TenantId("new")
    async with opened(tmp_path, signing_key) as first:
        before = (await (await first.user("alice")).get(f"/v3/actors/{MANAGER}")).result["id"]
    async with opened(tmp_path, signing_key, auth=AuthSettings(tenants=(new,))) as second:
        nina = await second.user("nina", tenant=new)
        assert (await nina.get(f"/v3/actors/{MANAGER}", expect=200)).result["id"] != before
        assert (await tell(second, nina, MANAGER, PIPELINE)).code == 0
        assert (await again(second, "alice").get(f"/v3/actors/{MANAGER}")).result["id"] == before
        assert (await again(second, "alice").get("/v3/pipelines")).result == []


# --- older data -------------------------------------------------------------------------------------------------


async def test_an_alias_that_somebody_had_stays_theirs(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key) as before:
        alice = await before.user("alice")
        hers = (await alice.register())["id"]
        await alice.post("/v3/actors/aliases", json={"alias": MANAGER, "actor_id": hers}, expect=201)
    async with opened(tmp_path, signing_key) as after:
        alice = again(after, "alice")
        assert (await alice.get(f"/v3/actors/{MANAGER}")).result["id"] == hers
        # pipelines are those of the built-in one, which is found by its id
        assert (await alice.get("/v3/pipelines", expect=200)).result == []
        found = await after.database.read(lambda tx: actors.builtin(tx, DEV, MANAGER))
        assert found is not None
        built_in = found.id
        assert (await tell(after, alice, built_in, PIPELINE)).code == 0
        await alice.delete(f"/v3/actors/aliases/{MANAGER}", expect=200)
    async with opened(tmp_path, signing_key) as later:
        assert (await again(later, "alice").get(f"/v3/actors/{MANAGER}")).result["id"] == built_in


async def test_a_directory_of_the_first_release_gets_them(tmp_path: Path, signing_key: SigningKey) -> None:
    first_release(tmp_path / "data")
    async with opened(tmp_path, signing_key) as served:
        ada = as_user(served, "ada")
        assert (await tell(served, ada, MANAGER, PIPELINE)).code == 0
        assert OLD in [each["id"] for each in (await ada.get("/v3/actors")).result]
