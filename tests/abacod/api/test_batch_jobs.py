"""Batch jobs from their submission to their end, on a whole daemon whose containers are programs of the tests."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from abacod.config import ServerSettings, WebhookSettings
from abacod.errors import AppNotFound, BatchEngineFailed, BatchJobRefused, InvalidField
from abacod.ids import Username
from abacod.models.user import Role
from abacod.services.batch.description import described
from abacod.services.storage.copying import copy
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import DEV, Client, Serving, serving
from tests.fakes import FakeContainer, Program, obey
from tests.hooks import HookServer

ALL = [
    *("PENDING", "PROCESSING_INPUTS", "STAGING_INPUTS", "STAGED", "SUBMITTING", "QUEUED", "RUNNING", "CLEANING_UP"),
    *("ARCHIVING", "ARCHIVING_FINISHED", "FINISHED"),
]
SYSTEM = "data-sd2e-community"


def app(**given: Any) -> dict[str, Any]:
    return {
        "name": "copy",
        "version": "0.1",
        "image": "image",
        "template": "cp $file1 out",
        "inputs": [{"id": "file1", "value": {"required": True}}],
        "parameters": [{"id": "times", "value": {"type": "number", "default": 2}}],
        **given,
    }


def job(**given: Any) -> dict[str, Any]:
    inputs = {"file1": f"agave://{SYSTEM}/uploads/a.txt"}
    return {"appId": "copy-0.1", "name": "a job", "inputs": inputs, "archivePath": "/products/1", **given}


def work_of(container: FakeContainer) -> Path:
    """The directory that the container sees as its work directory."""
    return next(Path(mount.host_path) for mount in container.spec.mounts if mount.container_path == "/work")


async def copying(container: FakeContainer) -> int:
    """What the app does."""
    work = work_of(container)
    (work / "sub").mkdir()
    (work / "sub" / "out").write_text((work / container.spec.environment["file1"]).read_text())
    container.write("copied\n")
    return 0


def every(url: str) -> dict[str, Any]:
    """A notification of every status."""
    return {"url": url, "event": "*", "persistent": True}


def deep() -> Any:
    """A value nested deeper than anybody reads."""
    value: Any = []
    for _ in range(100_000):
        value = [value]
    return value


class Bench:
    """An administrator, a user, an app and a file for it."""

    def __init__(self, served: Serving) -> None:
        self.served = served
        self.root = served.settings.system_roots[SYSTEM]
        (self.root / "uploads").mkdir(parents=True, exist_ok=True)
        (self.root / "uploads" / "a.txt").write_text("text")
        served.engine.programs["image"] = copying

    async def user(self, name: str, *roles: Role) -> Client:
        return await self.served.user(name, *roles)

    async def register(self, **given: Any) -> None:
        admin = await self.served.user("admin", "abaco_admin")
        await admin.post("/apps/v2", json=app(**given), expect=201)

    async def submit(self, client: Client, **given: Any) -> str:
        return str((await client.post("/jobs/v2", json=job(**given), expect=201)).result["id"])

    async def ended(self, client: Client, job_id: str) -> dict[str, Any]:
        ends = ("FINISHED", "FAILED", "STOPPED", "ARCHIVING_FAILED")
        return await self.served.until_status(client, f"/jobs/v2/{job_id}", *ends)

    async def statuses(self, client: Client, job_id: str) -> list[str]:
        history = await client.get(f"/jobs/v2/{job_id}/history", expect=200)
        return [line["status"] for line in history.result]

    def archived(self, path: str) -> dict[str, str]:
        """The files under a directory of the default system, with what is in them."""
        top = self.root / path
        return {str(each.relative_to(top)): each.read_text() for each in top.rglob("*") if each.is_file()}

    def containers(self, program: Program = copying) -> list[FakeContainer]:
        """Where containers are noted that are made from now on."""
        seen: list[FakeContainer] = []

        async def note(container: FakeContainer) -> int:
            seen.append(container)
            return await program(container)

        self.served.engine.programs["image"] = note
        return seen

    def left(self) -> list[str]:
        return [path.name for path in self.served.settings.work_dir.iterdir()]


@pytest.fixture
async def bench(served: Serving) -> Bench:
    return Bench(served)


@pytest.fixture
async def hooks() -> AsyncIterator[HookServer]:
    """A server that is told of jobs."""
    async with HookServer.opened() as server:
        yield server


async def test_a_job_is_staged_run_archived_and_told_of(bench: Bench, hooks: HookServer) -> None:
    await bench.register()
    ada = await bench.user("ada")
    url = hooks.url("/hook") + "?status=${STATUS}&name=%24%7BJOB_NAME%7D&x=${UNKNOWN}"
    job_id = await bench.submit(ada, notifications=[every(url)], parameters={"times": 3})
    done = await bench.ended(ada, job_id)
    assert (done["status"], done["archivePath"], done["owner"]) == ("FINISHED", "/products/1", "ada")
    assert done["parameters"] == {"times": 3}
    assert job_id.endswith("-007")
    assert await bench.statuses(ada, job_id) == ALL
    assert bench.archived("products") == {"1/sub/out": "text"}
    assert bench.left() == []
    assert (await ada.get(f"/jobs/v2/{job_id}/logs", expect=200)).result == {"logs": "copied\n"}
    told = await hooks.called("/hook", len(ALL))
    assert [body["status"] for body in told] == ALL
    assert told[-1] == done
    assert {body["id"] for body in told} == {job_id}
    assert hooks.queries[0].startswith("status=PENDING&name=a%20job&x=$")
    assert [each["id"] for each in (await ada.get("/jobs/v2", expect=200)).result] == [job_id]


async def test_what_the_container_gets(bench: Bench) -> None:
    await bench.register(environment={"MODE": "fast"}, cpus=0.5, memory="64m")
    ada, seen = await bench.user("ada"), bench.containers()
    evil = "$(touch /tmp/x); `id` ${file1}"
    job_id = await bench.submit(ada, name=evil, maxRunTime="00:10:00")
    await bench.ended(ada, job_id)
    spec = seen[0].spec
    assert spec.environment["file1"] == "a.txt"
    assert (spec.environment["times"], spec.environment["MODE"]) == ("2", "fast")
    assert spec.environment["AGAVE_JOB_NAME"] == evil
    assert (spec.environment["AGAVE_JOB_ID"], spec.environment["AGAVE_JOB_OWNER"]) == (job_id, "ada")
    assert spec.environment["AGAVE_JOB_ARCHIVE_PATH"] == "/products/1"
    assert (spec.entrypoint, spec.command) == (("/bin/sh", "/_abaco_app_template"), None)
    assert (spec.working_dir, spec.time_limit) == ("/work", 600)
    assert (spec.nano_cpus, spec.memory_bytes) == (500_000_000, 64 * 1024**2)
    assert spec.environment["_abaco_access_token"] == ""


async def test_names_in_a_command_are_replaced_once_and_without_a_shell(bench: Bench) -> None:
    await bench.register(
        template=None,
        command=["cp", "${file1}", "-${text}-", "${no}", "${flag}"],
        parameters=[
            {"id": "text", "value": {"type": "string"}},
            {"id": "flag", "value": {"type": "bool", "default": False}},
        ],
    )
    ada, seen = await bench.user("ada"), bench.containers()
    job_id = await bench.submit(ada, parameters={"text": "${file1} $(id)"})
    await bench.ended(ada, job_id)
    assert seen[0].spec.command == ("cp", "a.txt", "-${file1} $(id)-", "${no}", "false")
    assert seen[0].spec.entrypoint is None


async def test_a_job_that_fails_says_why_and_archives_nothing(bench: Bench) -> None:
    await bench.register()
    ada = await bench.user("ada")

    async def fail(container: FakeContainer) -> int:
        await copying(container)
        return 3

    bench.served.engine.programs["image"] = fail
    done = await bench.ended(ada, await bench.submit(ada))
    assert (done["status"], done["lastStatusMessage"]) == ("FAILED", "The app ended with exit code 3.")
    assert bench.archived("products") == {}
    assert bench.left() == []


async def test_a_full_disk_costs_a_job_time_only(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count()

    def copied(*given: Any, **options: Any) -> list[str]:
        done = copy(*given, **options)
        if next(calls) % 2 == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return done

    monkeypatch.setattr("abacod.services.batch.work.copy", copied)
    await bench.register()
    ada = await bench.user("ada")
    seen = bench.containers()
    job_id = await bench.submit(ada)
    assert (await bench.ended(ada, job_id))["status"] == "FINISHED"
    # Staging and archiving, each in vain and once more.
    assert next(calls) == 4
    assert len(seen) == 1
    assert bench.archived("products") == {"1/sub/out": "text"}
    assert bench.left() == []


async def test_a_job_that_takes_too_long_is_stopped_and_fails(bench: Bench) -> None:
    await bench.register(template="sleep 100")
    ada = await bench.user("ada")
    bench.served.engine.programs["image"] = obey
    done = await bench.ended(ada, await bench.submit(ada, maxRunTime="00:00:01"))
    assert (done["status"], done["lastStatusMessage"]) == ("FAILED", "The app was stopped after its maxRunTime of 1 s.")


async def test_a_missing_input_fails_the_job_and_a_missing_image_too(bench: Bench) -> None:
    await bench.register()
    ada = await bench.user("ada")
    job_id = await bench.submit(ada, inputs={"file1": f"agave://{SYSTEM}/nothing"})
    done = await bench.ended(ada, job_id)
    assert done["lastStatusMessage"] == (
        f"The inputs could not be staged: There is no nothing on the storage system {SYSTEM}."
    )
    bench.served.engine.images.clear()
    done = await bench.ended(ada, await bench.submit(ada))
    assert (done["status"], "was not found" in done["lastStatusMessage"]) == ("FAILED", True)
    bench.served.engine.images.add("image")
    assert (await bench.ended(ada, await bench.submit(ada)))["status"] == "FINISHED"


async def test_links_lead_nowhere(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (bench.root / "uploads" / "link").symlink_to(tmp_path / "secret")
    (bench.root / "out").symlink_to(tmp_path)
    await bench.register()
    ada = await bench.user("ada")

    async def escape(container: FakeContainer) -> int:
        work = work_of(container)
        (work / "way").symlink_to(tmp_path)
        (work / "file").symlink_to(tmp_path / "secret")
        (work / "good").write_text("good")
        os.mkfifo(work / "fifo")
        return 0

    bench.served.engine.programs["image"] = escape
    done = await bench.ended(ada, await bench.submit(ada, inputs={"file1": f"agave://{SYSTEM}/uploads/link"}))
    assert done["status"] == "FAILED"
    done = await bench.ended(ada, await bench.submit(ada, archivePath="/out/new"))
    assert (done["status"], "leads out" in done["lastStatusMessage"]) == ("ARCHIVING_FAILED", True)
    assert (await bench.ended(ada, await bench.submit(ada)))["status"] == "FINISHED"
    assert bench.archived("products") == {"1/good": "good"}
    assert not (tmp_path / "new").exists()
    assert bench.left() == []


@pytest.mark.parametrize("when", ["staging", "waiting", "running"])
async def test_a_job_is_stopped_in_every_phase(bench: Bench, when: str) -> None:
    await bench.register()
    ada, bob = await bench.user("ada"), await bench.user("bob")
    seen, engine = bench.containers(obey), bench.served.engine
    first = await bench.submit(ada) if when == "waiting" else None
    if first:
        await bench.served.until_status(ada, f"/jobs/v2/{first}", "RUNNING")
    job_id = await bench.submit(ada)
    if when == "running":
        await bench.served.until_status(ada, f"/jobs/v2/{job_id}", "RUNNING")
    elif when == "waiting":
        await bench.served.until_status(ada, f"/jobs/v2/{job_id}", "QUEUED")
    await bob.post(f"/jobs/v2/{job_id}", json={"action": "stop"}, expect=403)
    await ada.post(f"/jobs/v2/{job_id}", json={"action": "stop"}, expect=200)
    assert (await bench.ended(ada, job_id))["status"] == "STOPPED"
    assert [each.spec.environment["AGAVE_JOB_ID"] for each in seen].count(job_id) <= (when != "waiting")
    if first:
        await ada.delete(f"/jobs/v2/{first}", expect=200)
        assert (await bench.ended(ada, first))["status"] == "STOPPED"
    assert bench.left() == []
    assert all(container.ended.is_set() for container in engine.containers.values())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"appId": "nothing-1"}, "appId: There is no app nothing-1"),
        ({"inputs": {}}, "inputs.file1: the app copy-0.1 needs it"),
        ({"inputs": {"file1": 1}}, "inputs.file1: give the URI"),
        ({"inputs": {"file1": "/etc/passwd"}}, "agave://SYSTEM/PATH"),
        ({"inputs": {"file1": f"agave://{SYSTEM}/../x"}}, "has .. in it"),
        ({"inputs": {"file1": f"agave://{SYSTEM}/"}}, "whole storage system"),
        ({"inputs": {"file1": [f"agave://{SYSTEM}/a/x", f"agave://{SYSTEM}/b/x"]}}, "two of them are called x"),
        ({"inputs": {"other": "x"}}, "inputs.other: the app has no such name; it has file1"),
        ({"parameters": {"times": "2"}}, "parameters.times: give a number"),
        ({"parameters": {"times": True}}, "parameters.times: give a number"),
        ({"parameters": []}, "parameters: give an object"),
        ({"maxRunTime": "1h"}, "maxRunTime: '1h' is no running time"),
        ({"maxRunTime": "00:00:00"}, "maxRunTime"),
        ({"archivePath": "/a/../../b"}, "has .. in it"),
        ({"archivePath": "/"}, "name a directory"),
        ({"archiveSystem": "nope"}, "There is no storage system 'nope'"),
        ({"name": "a\0b"}, "name: "),
        ({"notifications": [{"url": "file:///etc/passwd"}]}, "notifications.0.url"),
        ({"notifications": ["x"]}, "notifications: give an array"),
        ({"archive": "maybe"}, "archive: give true or false"),
    ],
)
async def test_a_definition_that_does_not_fit_is_refused(bench: Bench, changes: dict[str, Any], said: str) -> None:
    await bench.register()
    ada = await bench.user("ada")
    answer = await ada.post("/jobs/v2", json=job(**changes), expect=400)
    assert said in answer.message
    assert (await ada.get("/jobs/v2", expect=200)).result == []


async def test_a_receiver_that_fails_is_called_again_and_one_that_refuses_is_not(
    bench: Bench, hooks: HookServer
) -> None:
    await bench.register()
    ada = await bench.user("ada")
    answers = iter([503, 429, 200])
    hooks.answers["/slow"] = lambda: web.Response(status=next(answers, 200))
    hooks.answers["/no"] = lambda: web.Response(status=404)
    other = {"url": hooks.url("/once"), "event": "FINISHED"}
    job_id = await bench.submit(ada, notifications=[every(hooks.url("/slow")), every(hooks.url("/no")), other])
    await bench.ended(ada, job_id)
    slow = await hooks.called("/slow", len(ALL) + 2)
    assert [body["status"] for body in slow] == ["PENDING"] * 3 + ALL[1:]
    assert [body["status"] for body in await hooks.called("/no", len(ALL))] == ALL
    assert [body["status"] for body in await hooks.called("/once")] == ["FINISHED"]


async def test_the_server_calls_itself_directly_and_keeps_addresses_to_itself(
    tmp_path: Path, signing_key: SigningKey, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    public = "https://actors.example.org/lab"
    server = ServerSettings(port=0, drain_seconds=0, public_url=public)
    private = WebhookSettings(forbid_private_addresses=True)
    async with serving(tmp_path, signing_key, server=server, webhooks=private) as served:
        await served.recovered()
        assert served.daemon.url == public
        port = served.daemon.core.batch.notifications.own_url.rpartition(":")[2]
        served.url = f"http://127.0.0.1:{port}"
        bench = Bench(served)
        ada = await bench.user("ada")
        await bench.register()
        served.engine.images.add("listener")
        listening = await ada.register(image="listener")
        nonce = await ada.post(f"/v3/actors/{listening['id']}/nonces", json={"level": "EXECUTE"}, expect=201)
        secret = nonce.result["id"]
        url = f"{public}/v3/actors/{listening['id']}/messages?x-nonce={secret}&s=${{STATUS}}"
        seen = bench.containers()
        job_id = await bench.submit(ada, notifications=[every(url)])

        async def told() -> bool:
            executions = await ada.get(f"/v3/actors/{listening['id']}/executions", expect=200)
            return bool(executions.result["total_executions"] == len(ALL))

        await bench.ended(ada, job_id)
        await served.until(told)
        assert seen
        dumped = await served.database.read(lambda tx: "\n".join(map(str, tx.execute("SELECT * FROM batch_hooks"))))
        assert secret not in dumped
    assert secret not in capsys.readouterr().out + caplog.text


async def test_a_hidden_actor_takes_no_messages_of_users(bench: Bench) -> None:
    await bench.register()
    admin = Client(bench.served.session, bench.served.url, (await bench.user("boss", "abaco_admin")).token)
    rows = await bench.served.database.read(
        lambda tx: tx.execute("SELECT id FROM actors WHERE builtin = 'app:copy-0.1'").fetchall()
    )
    actor_id = rows[0]["id"]
    assert (await admin.get("/v3/actors", expect=200)).result == []
    sent = await admin.post(f"/v3/actors/{actor_id}/messages", json={"message": "x"}, expect=200)
    ended = await bench.served.until_ended(admin, actor_id, sent.result["execution_id"])
    assert ended["status"] == "ERROR"
    assert "submit one to /jobs/v2" in ended["final_state"]["reason"]
    await admin.delete(f"/v3/actors/{actor_id}", expect=400)


async def test_an_app_of_somebody_else_that_is_not_public_is_not_there(bench: Bench) -> None:
    await bench.register(isPublic=False)
    ada = await bench.user("ada")
    assert (await ada.get("/apps/v2", expect=200)).result == []
    await ada.get("/apps/v2/copy-0.1", expect=404)
    answer = await ada.post("/jobs/v2", json=job(), expect=400)
    assert "There is no app copy-0.1" in answer.message


async def test_a_job_runs_with_the_description_it_was_accepted_with(bench: Bench) -> None:
    await bench.register()
    ada = await bench.user("ada")
    gate = bench.served.engine.gates.setdefault("*", asyncio.Event())
    first = await bench.submit(ada)
    await bench.served.until_status(ada, f"/jobs/v2/{first}", "RUNNING")
    waiting = await bench.submit(ada, archivePath="/products/2")
    await bench.served.until_status(ada, f"/jobs/v2/{waiting}", "QUEUED", "RUNNING")
    bench.served.engine.images.add("other")
    admin = await bench.user("boss", "abaco_admin")
    await admin.post("/apps/v2", json=app(image="other"), expect=201)
    gate.set()
    assert (await bench.ended(ada, first))["status"] == "FINISHED"
    assert (await bench.ended(ada, waiting))["status"] == "FINISHED"
    assert bench.archived("products/2") == {"sub/out": "text"}


async def test_the_same_key_gives_the_same_job(bench: Bench) -> None:
    await bench.register()
    ada = await bench.user("ada")
    engine = bench.served.daemon.core.batch.engines
    submitted = await asyncio.gather(*(engine.submit(DEV, Username("ada"), job(), "key") for _ in range(5)))
    assert len({each.id for each in submitted}) == 1
    assert submitted[0].link.endswith(f"/jobs/v2/{submitted[0].id}")
    assert (await engine.app(DEV, "copy-0.1"))["image"] == "image"
    with pytest.raises(AppNotFound):
        await engine.app(DEV, "nothing-1")
    await bench.ended(ada, submitted[0].id)
    assert len((await ada.get("/jobs/v2?limit=1", expect=200)).result) == 1
    assert (await ada.get("/jobs/v2?offset=1", expect=200)).result == []


@pytest.mark.parametrize(
    "value", [float("nan"), "\ud800", object(), deep()], ids=["nan", "surrogate", "object", "deep"]
)
async def test_what_cannot_be_written_down_is_refused(bench: Bench, value: Any) -> None:
    await bench.register()
    engine = bench.served.daemon.core.batch.engines
    for definition in (job(other=value), job(parameters={"times": value}), job(inputs=value), job(name=value)):
        with pytest.raises(BatchJobRefused) as error:
            await engine.submit(DEV, Username("ada"), definition, "key")
        error.value.message.encode()
    document = app(other=value)
    with pytest.raises(InvalidField):
        described(document)


async def test_an_engine_that_is_not_set_up_is_told(bench: Bench) -> None:
    await bench.register(engine="tapis")
    with pytest.raises(BatchEngineFailed, match="tapis"):
        await bench.served.daemon.core.batch.engines.submit(DEV, Username("ada"), job(), "key")


async def test_what_jobs_left_is_swept_away(bench: Bench) -> None:
    work = bench.served.settings.work_dir
    (work / "nothing" / "files").mkdir(parents=True)
    await bench.served.daemon.core.batch.local.sweep()
    assert bench.left() == []


class Vanishing(set[str]):
    """Images of which each is there the first time that somebody looks."""

    def __contains__(self, image: object) -> bool:
        there = super().__contains__(image)
        self.discard(str(image))
        return there


async def test_an_image_that_is_gone_before_the_worker_looks_fails_the_job(bench: Bench) -> None:
    await bench.register()
    ada = await bench.user("ada")
    bench.served.engine.images = Vanishing({"image"})
    job_id = await bench.submit(ada)

    async def in_error() -> bool:
        question = "SELECT 1 FROM actors WHERE builtin = 'app:copy-0.1' AND status = 'ERROR'"
        return await bench.served.database.read(lambda tx: tx.execute(question).fetchone() is not None)

    await bench.served.until(in_error)
    await bench.served.daemon.core.batch.local.sweep()
    done = await bench.ended(ada, job_id)
    assert (done["status"], "was not found" in done["lastStatusMessage"]) == ("FAILED", True)
