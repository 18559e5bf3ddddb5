"""The chapter Pipelines Manager of the user documentation, as a reader types it; and the same while the daemon is killed."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from abacod.services.accounts import hash_password
from tests.daemon.documentation import PASSWORD, Reader
from tests.daemon.process import Client, DaemonProcess

TACOBOT: Final = """
{
"name": "Tacobot 9001",
"description": "Creates even better breakfast tacos out of silicon, ozone, and shredded GPUs",
"components": [
{
"id": "e1LqaqMyqq4xB",
"opts": {
"cheese": true,
"salsa": true,
"eggs": false
}
},
{
"id": "bbq-brisket-0.5.0",
"parameters": {
"smoke": true,
"quantity": 4
}
}
],
"processing_levels": [
"1"
],
"accepts": [
"CSV"
],
"produces": [
"PNG"
]
}
"""
UUID: Final = "106a7c8e-8adb-5acd-b3d8-53634ba36cc5"

# The commands as programs of this checkout, whatever else is installed; and a place for the login.
PRELUDE: Final = f"""
export HOME=$PWD
abaco() {{ {shlex.quote(sys.executable)} -c 'from abacod.client.main import main; main()' "$@"; }}
jq() {{ {shlex.quote(sys.executable)} -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[3]))))' "$@"; }}
"""


@pytest.mark.docker
@pytest.mark.daemon
@pytest.mark.timeout(90)
async def test_pipelines_manager(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path) as daemon:
        daemon.add_user("tacobot", hash_password(PASSWORD))
        await daemon.start()
        reader = Reader(daemon, daemon.token("tacobot"), tmp_path, {"G1p783PxpalBB": "pipelines-manager"})

        async def typed(command: str) -> str:
            return (await reader.shell(PRELUDE + command)).strip()

        async def log_of(execution: str) -> list[str]:
            await daemon.ended({execution})
            lines = (await typed(f"abaco logs G1p783PxpalBB {execution}")).splitlines()
            return [line.partition(" ")[2] for line in lines]

        def edited(**fields: Any) -> None:
            (tmp_path / "my_pipeline.json").write_text(json.dumps({**json.loads(TACOBOT), **fields}, indent=1))

        await typed(f"echo '{PASSWORD}' | abaco login {daemon.url} -u tacobot --password-stdin")
        (tmp_path / "my_pipeline.json").write_text(TACOBOT)
        # Create a New Pipeline
        created = await log_of(await typed('abaco run -m "$(jq -c . my_pipeline.json)" G1p783PxpalBB'))
        token = created[-1].split()[-1]
        assert created == ["DEBUG Action selected: create", f"INFO Created pipeline {UUID} with update token {token}"]
        # Update a Pipeline
        edited(name="Tacobot 9002")
        update = f'abaco run -m "$(jq -c . my_pipeline.json)" -q token={token} G1p783PxpalBB'
        assert await log_of(await typed(update)) == [
            "DEBUG Action selected: update",
            f"INFO Updated pipeline {UUID} with update token {token}",
        ]
        # "if anything in components changes, the result will have to be a new UUID"
        edited(components=[{"id": "e1LqaqMyqq4xB"}])
        assert "No such pipeline 106" in (await log_of(await typed(update)))[-1]
        # Retire a Pipeline
        retire = json.dumps({"uuid": UUID, "action": "retire", "token": token})
        assert (await typed(f"abaco run -w -m '{retire}' G1p783PxpalBB")).endswith("INFO Success")
        curl = 'curl -s -H "Authorization: Bearer $TOKEN" https://tacc.tapis.io/v3/pipelines'
        assert await reader.result(curl) == []
        record = await reader.result(f"{curl}/{UUID}")
        assert (record["name"], record["retired"]) == ("Tacobot 9002", True)
        assert await daemon.stop() == 0


@pytest.mark.docker
@pytest.mark.daemon
@pytest.mark.timeout(120)
async def test_messages_to_a_built_in_reactor_survive_kills_and_each_is_done_once(tmp_path: Path) -> None:
    sent: dict[str, int] = {}

    async def send(client: Client) -> None:
        """Send until stopped; what was not answered may have come or not."""
        number = 0
        while True:
            number += 1
            document = {"name": f"p{number}", "components": [{"id": str(number)}, {"id": "x" * 20_000}]}
            try:
                answer = await client.call("POST", "/pipelines-manager/messages", json={"message": document})
            except (aiohttp.ClientError, OSError):
                pass
            else:
                sent[answer["execution_id"]] = number
            await asyncio.sleep(0.02)

    async with DaemonProcess(tmp_path) as daemon:
        token = daemon.token("alice")
        await daemon.start()
        async with Client.opened(daemon, token) as client:
            sending = asyncio.create_task(send(client))
            for pause in (0.3, 0.5, 0.2, 0.7):
                await asyncio.sleep(pause)
                await daemon.kill()
                await daemon.start()
            sending.cancel()
            uuids = set()
            for execution in sent:
                path = f"/pipelines-manager/executions/{execution}"
                # Follows the log to the end of the execution.
                await client.read(f"{path}/logs?follow=true")
                shown = await client.call("GET", path)
                log = (await client.call("GET", f"{path}/logs"))["logs"].splitlines()
                assert (shown["status"], shown["exit_code"], len(log)) == ("COMPLETE", 0, 2), (shown, log)
                uuids.add(log[-1].split()[4])
            assert len(uuids) == len(sent) > 5
            listed = (await client.get("/v3/pipelines?limit=1000")).answer["result"]
            assert uuids <= {pipeline["uuid"] for pipeline in listed}
            assert len({pipeline["uuid"] for pipeline in listed}) == len(listed)
        assert await daemon.stop() == 0
