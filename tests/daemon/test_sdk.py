"""The SDK inside containers, against a real daemon."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

import reactors
from tests.daemon.process import Client, DaemonProcess
from tests.daemon.sdk_programs import EXAMPLE, MAKES_A_JOB, USES_ITS_DAEMON

pytestmark = [pytest.mark.docker, pytest.mark.daemon, pytest.mark.timeout(90)]

_HOME: Final = "/sdk"
"""Where the SDK lies in a container; the daemon's own part of the package is not there."""

EXAMPLE_FILES: Final = Path(__file__).resolve().parents[2] / "examples" / "reactor-and-app"


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    package = Path(reactors.__file__).parent
    names = ("__init__.py", "runtime")
    store = tmp_path / "store"
    store.mkdir()
    example = [
        f"{EXAMPLE_FILES / 'reactor' / name}:/{name}:ro" for name in ("reactor.py", "config.yml", "message.jsonschema")
    ]
    mounts = [*example, *(f"{package / name}:{_HOME}/reactors/{name}:ro" for name in names), f"{store}:/data:rw"]
    system = f"[pipelines.systems.data-sd2e-community]\nroot = {json.dumps(str(store))}"
    runs = f"[runs]\nactor_uid = {os.getuid()}\nmounts = {json.dumps(mounts)}"
    async with DaemonProcess(tmp_path, f"{runs}\n{system}") as daemon:
        await daemon.start()
        yield daemon
        await daemon.stop()


async def registered(client: Client, image: str, program: str, **more: Any) -> str:
    """The id of an actor that runs the Python text with the SDK."""
    variables = {"PROGRAM": program, "PYTHONPATH": _HOME}
    body = {"image": image, "default_environment": {**variables, **more.pop("variables", {})}, **more}
    return str((await client.call("POST", "", json=body))["id"])


async def test_a_reactor_uses_its_daemon(daemon: DaemonProcess, python_image: str) -> None:
    # given an actor whose program uses the SDK
    async with Client.opened(daemon, daemon.token("alice", "abaco_privileged")) as client:
        more = {"name": "reactor", "token": True, "stateless": False}
        actor = await registered(
            client, python_image, USES_ITS_DAEMON, variables={"_REACTOR_SECRET": "very secret"}, **more
        )
        # when it is sent a message that it welcomes, and one that it does not
        sent = await client.call("POST", f"/{actor}/messages", json={"secret": True})
        await daemon.ended({sent["execution_id"]})
        path = f"/{actor}/executions/{sent['execution_id']}"
        log = (await client.call("GET", f"{path}/logs"))["logs"]
        assert (await client.call("GET", path))["exit_code"] == 0, log
        # then it has used everything, and its log shows no secret
        seen = json.loads(await client.read(f"{path}/results"))
        assert seen["by_alias"] is None
        assert seen["nonces"] == [2, 5]
        assert (seen["name"], seen["tapipy"]) == ("reactor", "reactor")
        assert seen["hook"].startswith(f"{daemon.url}/actors/v2/{actor}/messages?x-nonce=dev_")
        assert (seen["left"], seen["none"]) == ([True], [])
        lines = log.splitlines()
        assert lines[0] == f"{actor} INFO token *****, variable *****"
        assert lines[-1] == f"{actor} INFO all done"
        # and the message to itself has come with its sender and its session, in a run that sees the state
        await daemon.ended({seen["execution"]})
        reply = json.loads(await client.read(f"/{actor}/executions/{seen['execution']}/results"))
        assert reply == {"from": actor, "session": seen["session"], "state": {"seen": True}}
        refused = (await client.call("POST", f"/{actor}/messages", json={"other": 1}))["execution_id"]
        await daemon.ended({refused})
        assert (await client.call("GET", f"/{actor}/executions/{refused}"))["exit_code"] == 1
        lines = (await client.call("GET", f"/{actor}/executions/{refused}/logs"))["logs"].splitlines()
        assert lines[-1] == f"{actor} CRITICAL Unwelcome : {{'other': 1}}"


TOLD: Final = ["create", "run", "finish", "index", "indexed"]


def example(name: str) -> Any:
    """A file of the example."""
    return json.loads((EXAMPLE_FILES / name).read_text())


async def prepared(daemon: DaemonProcess, client: Client) -> dict[str, str]:
    """Load the catalog and register the pipeline of the example; the variables of a reactor that makes jobs of it."""
    await client.outside("POST", "/v3/catalog", json=example("catalog.json"))
    sent = await client.call("POST", "/pipelines-manager/messages", json=example("app/pipeline.json"))
    await daemon.ended({sent["execution_id"]})
    pipeline = (await client.outside("GET", "/v3/pipelines"))[0]["uuid"]
    nonce = await client.call("POST", "/pipelinejobs-manager/nonces", json={"level": "EXECUTE"})
    return {"_REACTOR_PIPELINES_PIPELINE_UUID": pipeline, "_REACTOR_PIPELINES_JOB_MANAGER_NONCE": nonce["id"]}


async def test_a_reactor_makes_a_job_with_a_nonce_alone(daemon: DaemonProcess, python_image: str) -> None:
    async with Client.opened(daemon, daemon.token("root", "abaco_admin")) as client:
        # given a catalog, a pipeline, and a reactor without a token of its own
        actor = await registered(client, python_image, MAKES_A_JOB, variables=await prepared(daemon, client))
        # when it is sent a message
        execution = (await client.call("POST", f"/{actor}/messages", json={"key1": "value 1"}))["execution_id"]
        await daemon.ended({execution})
        # then the job has run, in the place and under the names that it was told, and its product is indexed
        path = f"/{actor}/executions/{execution}"
        log = (await client.call("GET", f"{path}/logs"))["logs"]
        assert (await client.call("GET", path))["exit_code"] == 0, log
        assert log.startswith(f"{actor} INFO Can't trigger event finish from state CREATED!")
        seen = json.loads(await client.read(f"{path}/results"))
        job = await client.outside("GET", f"/v3/jobs/{seen['record']['uuid']}")
        assert [entry["name"] for entry in job["history"]][:5] == TOLD
        assert job["session"] == seen["nickname"]
        assert job["agent"] == f"{daemon.url}/actors/v2/{actor}"
        assert job["task"] == f"{daemon.url}/actors/v2/{actor}/executions/{execution}"
        assert job["archive_path"] == seen["path"]
        assert len(job["child_of"]) == 1
        (file,) = await client.outside("GET", f"/v3/files?job={job['uuid']}")
        assert (file["name"], file["level"]) == (f"{seen['path']}/words.txt", "1")


def is_told(status: str, event: dict[str, Any]) -> bool:
    """Whether the event is that of a notification of a status."""
    return bool(event["event"] == "notification_delivered" and event["status"] == status)


async def test_the_example_has_its_app_compute_a_job(daemon: DaemonProcess, python_image: str, tmp_path: Path) -> None:
    async with Client.opened(daemon, daemon.token("root", "abaco_admin")) as client:
        # given the app of the example, and its reactor
        await client.outside("POST", "/apps/v2", json={**example("app/app.json"), "image": python_image})
        variables = await prepared(daemon, client)
        actor = await registered(client, python_image, EXAMPLE, variables=variables, token=True)
        # when it is sent a message
        message = {"data": {"key1": "value 1"}, "sample_id": "sample.tacc.20001"}
        execution = (await client.call("POST", f"/{actor}/messages", json=message))["execution_id"]
        await daemon.ended({execution})
        log = (await client.call("GET", f"/{actor}/executions/{execution}/logs"))["logs"]
        assert (await client.call("GET", f"/{actor}/executions/{execution}"))["exit_code"] == 0, log
        # then the app has counted its words in the archive path of a job, and the job is told
        (job,) = await client.outside("GET", "/v3/jobs")
        (batch,) = await client.outside("GET", "/jobs/v2")
        assert log.endswith(f"INFO PipelineJob {job['uuid']} is computed by batch job {batch['id']}\n")
        for told in ("RUNNING", "FINISHED"):
            await daemon.event(partial(is_told, told))
        (product,) = (tmp_path / "store").joinpath(job["archive_path"].lstrip("/")).iterdir()
        assert product.name == f"words-{batch['id']}.txt"
        assert product.read_text() == "2\n"
        # and the same message again is refused
        again = (await client.call("POST", f"/{actor}/messages", json=message))["execution_id"]
        await daemon.ended({again})
        log = (await client.call("GET", f"/{actor}/executions/{again}/logs"))["logs"]
        assert "reset it, or change its data" in log
