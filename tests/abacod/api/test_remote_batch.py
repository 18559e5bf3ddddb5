"""Pipeline jobs whose apps run at another service: the daemon with all its parts, and a service of ours in place of the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from abacod.config_batch import AgaveSettings, BatchSettings, TapisSettings
from abacod.config_pipelines import PipelineSettings
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import Client, Serving, serving
from tests.abacod.services.batch import agave_service, tapis_service
from tests.abacod.services.batch.agave_service import AgaveService
from tests.abacod.services.batch.tapis_service import TapisService
from tests.jobbing import SAMPLE, fill_catalog

PROXY: Final = "/v3/actors/pipelinejobs-agave-proxy"


def definition(app_id: str) -> dict[str, Any]:
    return {"appId": app_id, "name": "count", "inputs": {}, "parameters": {}, "maxRunTime": "00:10:00"}


async def launched(served: Serving, user: Client, app_id: str) -> str:
    """Register the app as a pipeline, launch it for a sample, and wait for the proxy; the UUID of the job."""
    await served.database.write(fill_catalog)
    pipeline = {"id": app_id, "name": "count", "components": [{"id": app_id, "inputs": {}, "parameters": {}}]}
    message = {"parameters": {"sample_id": SAMPLE}, "job_definition": definition(app_id)}
    for reactor, body in (("pipelines-manager", pipeline), ("pipelinejobs-agave-proxy", message)):
        path = f"/v3/actors/{reactor}"
        sent = await user.post(f"{path}/messages", json=body, expect=200)
        ended = await served.until_ended(user, reactor, sent.result["execution_id"])
        log = (await user.get(f"{path}/executions/{sent.result['execution_id']}/logs")).result["logs"]
        assert ended["exit_code"] == 0, log
    [job] = (await user.get("/v3/jobs", expect=200)).result
    return str(job["uuid"])


async def until_last_event(served: Serving, user: Client, uuid: str, name: str) -> dict[str, Any]:
    record: dict[str, Any] = {}

    async def came() -> bool:
        record.update((await user.get(f"/v3/jobs/{uuid}", expect=200)).result)
        return bool(record["last_event"] == name)

    await served.until(came)
    return record


async def test_a_job_at_tapis_is_followed_to_its_indexed_products(tmp_path: Path, signing_key: SigningKey) -> None:
    async with TapisService.opened() as tapis:
        login = dict(zip(("username", "password"), tapis_service.USER, strict=True))
        settings = TapisSettings.model_validate({"base_url": tapis.base_url, "poll_seconds": 0.05, **login})
        batch = BatchSettings(engine="tapis", tapis=settings)
        async with serving(tmp_path, signing_key, pipelines=PipelineSettings(), batch=batch) as served:
            user = await served.user("ada")
            uuid = await launched(served, user, "-".join(tapis_service.APP))
            [job] = tapis.jobs
            job["status"] = "RUNNING"
            running = await until_last_event(served, user, uuid, "run")
            assert running["state"] == "RUNNING"
            job["status"] = "FINISHED"
            finished = await until_last_event(served, user, uuid, "indexed")
            assert finished["state"] == "FINISHED"
            assert job["archiveSystemDir"] == finished["archive_path"]


@pytest.mark.parametrize("status", ["FAILED", "FINISHED"])
async def test_a_job_at_agave_tells_its_callbacks(tmp_path: Path, signing_key: SigningKey, status: str) -> None:
    async with AgaveService.opened() as agave:
        login = dict(zip(("username", "password"), agave_service.USER, strict=True))
        client = dict(zip(("client_key", "client_secret"), agave_service.CLIENT, strict=True))
        settings = AgaveSettings.model_validate({"base_url": agave.base_url, **login, **client})
        batch = BatchSettings(engine="agave", agave=settings)
        async with serving(tmp_path, signing_key, pipelines=PipelineSettings(), batch=batch) as served:
            user = await served.user("ada")
            uuid = await launched(served, user, agave_service.APP)
            [job] = agave.jobs
            [told] = agave.bodies[-1]["notifications"]
            for each in ("RUNNING", status):
                url = told["url"].replace("${STATUS}", each).replace("${JOB_ERROR}", "")
                path = url.removeprefix(served.daemon.url)
                await served.nobody.post(path, json={**agave.bodies[-1], "id": job["id"], "status": each}, expect=200)
            ended = await until_last_event(served, user, uuid, "indexed" if status == "FINISHED" else "fail")
            assert ended["state"] == status
            assert [entry["name"] for entry in ended["history"]][:2] == ["create", "run"]
