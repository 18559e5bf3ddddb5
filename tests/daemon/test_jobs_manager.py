"""The chapter PipelineJobs Manager of the user documentation, as a reader types it; and many events while the daemon is killed."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from tests.daemon.process import Client, DaemonProcess

# As printed: a line ends with a backslash inside the quotes, too. The address in quotes, for a shell would end the command at `&`.
BEARER: Final = r"""
curl -s -XPOST -H "Authorization: Bearer 969d11396c43b0b810387e4da840cb37" \
--data '{"uuid": "1073f4ff-c2b9-5190-bd9a-e6a406d9796a", \
"token": "0dc73dc3ff39b49a",\
"name": "finish"}' \
https://api.tacc.cloud/actors/v2/<actorId>/messages
"""
PARAMETERS: Final = r"""
curl -s -XPOST -H "Authorization: Bearer 969d11396c43b0b810387e4da840cb37" --data '{"arbitrary": "key value data"}' \
"https://api.tacc.cloud/actors/v2/<actorId>/messages?uuid=1073f4ff-c2b9-5190-bd9a-e6a406d9796a&\
event=finish&token=0dc73dc3ff39b49a"
"""
NONCE: Final = r"""
curl -s -XPOST --data '{"arbitrary": "key value data"}' \
"https://<tenantUrl>/actors/v2/<actorId>/messages?uuid=1073f4ff-c2b9-5190-bd9a-e6a406d9796a&\
name=finish&token=0dc73dc3ff39b49a&\
x-nonce=TACC_XXXXxxxxYz"
"""
COMPONENTS: Final = [{"id": "G46vjoAVzGkkz", "repo": "tacc/tacobot"}]


async def make_jobs(daemon: DaemonProcess, client: Client, count: int) -> list[dict[str, Any]]:
    """Jobs of a new pipeline, in RUNNING: `job`, `token`, `callback`."""
    document = {"name": "Tacobot 9001", "components": COMPONENTS}
    sent = await client.call("POST", "/pipelines-manager/messages", json={"message": document})
    await daemon.ended({sent["execution_id"]})
    (pipeline,) = await client.outside("GET", "/v3/pipelines")
    jobs = []
    for number in range(count):
        body = {"pipeline_uuid": pipeline["uuid"], "data": {"n": number}}
        made = await client.outside("POST", "/v3/jobs", json=body)
        event = {"name": "run", "token": made["token"]}
        await client.outside("POST", f"/v3/jobs/{made['job']['uuid']}/events", json=event)
        jobs.append(made)
    return jobs


@pytest.mark.docker
@pytest.mark.daemon
@pytest.mark.timeout(60)
async def test_the_documented_commands(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path) as daemon:
        token = daemon.token("tacobot")
        await daemon.start()
        async with Client.opened(daemon, token) as client:
            manager = (await client.call("GET", "/pipelinejobs-manager"))["id"]
            jobs = await make_jobs(daemon, client, 3)
            for made, printed in zip(jobs, (BEARER, PARAMETERS, NONCE), strict=True):
                words = {
                    "https://api.tacc.cloud": daemon.url,
                    "https://<tenantUrl>": daemon.url,
                    "<actorId>": manager,
                    "969d11396c43b0b810387e4da840cb37": token,
                    "1073f4ff-c2b9-5190-bd9a-e6a406d9796a": made["job"]["uuid"],
                    "0dc73dc3ff39b49a": made["token"],
                    "TACC_XXXXxxxxYz": parse_qs(urlsplit(made["callback"]).query)["x-nonce"][0],
                }
                sent = await typed(printed, words)
                await daemon.ended({sent["result"]["executionId"]})
                history = await client.outside("GET", f"/v3/jobs/{made['job']['uuid']}/history")
                finish = next(entry for entry in history if entry["name"] == "finish")
                assert finish["data"] == (None if printed is BEARER else {"arbitrary": "key value data"})
        assert await daemon.stop() == 0


async def typed(command: str, words: dict[str, str]) -> Any:
    """What a command prints, with the reader's own words in place of those of the documentation."""
    for printed, own in words.items():
        command = command.replace(printed, own)
    shell = await asyncio.create_subprocess_exec("bash", "-c", command, stdout=asyncio.subprocess.PIPE)
    printed_out, _ = await shell.communicate()
    assert shell.returncode == 0
    return json.loads(printed_out)


@pytest.mark.docker
@pytest.mark.daemon
@pytest.mark.timeout(120)
async def test_events_survive_kills_each_once_and_in_order(tmp_path: Path) -> None:
    dice = random.Random(1)
    answered: set[tuple[int, int, int]] = set()

    async def send(session: aiohttp.ClientSession, sender: int, jobs: Sequence[dict[str, Any]]) -> None:
        """Send until stopped; what was not answered may have come or not."""
        number = 0
        while True:
            number += 1
            index = number % len(jobs)
            body = {"status": "HEARTBEAT", "job": index, "sender": sender, "n": number}
            try:
                async with session.post(jobs[index]["callback"], json=body) as response:
                    if response.status == 200:
                        await response.read()
                        answered.add((index, sender, number))
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)

    async with DaemonProcess(tmp_path) as daemon:
        token = daemon.token("tacobot")
        await daemon.start()
        async with Client.opened(daemon, token) as client, aiohttp.ClientSession() as session:
            jobs = await make_jobs(daemon, client, 5)
            sending = [asyncio.create_task(send(session, sender, jobs)) for sender in range(4)]
            for _ in range(4):
                await asyncio.sleep(dice.uniform(0.2, 1.0))
                await daemon.kill()
                await daemon.start()
            for task in sending:
                task.cancel()
            await asyncio.wait(sending)
            # Whatever came before this one is done when it is.
            last = await client.call("POST", "/pipelinejobs-manager/messages", json={"message": "{}"})
            await daemon.ended({last["execution_id"]})
            came: list[tuple[int, int, int]] = []
            for index, made in enumerate(jobs):
                job = await client.outside("GET", f"/v3/jobs/{made['job']['uuid']}")
                updates = [entry["data"] for entry in job["history"] if entry["name"] == "update"]
                assert all(data["job"] == index for data in updates)
                for sender in range(4):
                    numbers = [data["n"] for data in updates if data["sender"] == sender]
                    assert numbers == sorted(set(numbers)), "twice, or not in order"
                    came += [(index, sender, number) for number in numbers]
            assert answered
            assert answered <= set(came), "lost"
        assert await daemon.stop() == 0
