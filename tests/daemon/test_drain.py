"""A daemon that is asked to stop while everything is under way ends in time, cleanly, and loses nothing."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.daemon.flows import Flow, drained, mount_setting
from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.process import Client, DaemonProcess
from tests.docker_images import SHELL, image_name
from tests.hooks import HookServer

pytestmark = [pytest.mark.docker, pytest.mark.daemon, pytest.mark.timeout(90)]

DRAIN = 3
WEBHOOKS = 5
"""How long webhooks under way may take, in seconds; executions have their time beside them."""
REQUESTS = 5
"""How long requests may take then, in seconds (docs/explanation/recovery.md)."""
SLACK = 4
"""For processes to start and end on a busy machine, in seconds."""

NOTE = 'echo "$MSG" >> /out/$_abaco_actor_id'
WAIT = f'{NOTE}; echo "before $MSG"; until [ -e /out/go ]; do usleep 20000; done; echo "after $MSG"'


async def test_followers_waiters_webhooks_and_events_do_not_keep_it(tmp_path: Path, docker_images: str) -> None:
    out = tmp_path / "out"
    settings = f"{mount_setting(out)}\n[server]\ndrain_seconds = {DRAIN}\n[webhooks]\ntimeout_seconds = 60"
    async with HookServer.opened() as hooks, DaemonProcess(tmp_path, settings) as daemon:
        token = daemon.token("alice")
        await daemon.start()
        hooks.gates["/silent"] = asyncio.Event()
        async with Client.opened(daemon, token) as client:
            image = image_name(docker_images, SHELL)

            async def registered(script: str, **more: Any) -> str:
                body = {"image": image, "default_environment": {"SCRIPT": script}, **more}
                return str((await client.call("POST", "", json=body))["id"])

            # given a webhook that does not answer, with more events behind it
            target = await registered(NOTE, stateless=False)
            source = await registered("true", stateless=False, link=target, webhook=hooks.url("/silent"))
            sent = [await client.call("POST", f"/{source}/messages", data={"message": "m"}) for _ in range(3)]
            await daemon.ended({each["execution_id"] for each in sent})
            await hooks.called("/silent")
            # and containers that run on, with followers and senders that wait
            waiting = await registered(WAIT)
            async with asyncio.TaskGroup() as group:
                path = f"/{waiting}/messages?_abaco_synchronous=true"
                waiters = [
                    group.create_task(client.bare("POST", path, data={"message": message}))
                    for message in ("one", "two")
                ]
                await _lines(client, waiting, out)
                running = [each["id"] for each in (await client.call("GET", f"/{waiting}/executions"))["executions"]]
                begun = [asyncio.Event() for _ in running]
                followers = [
                    group.create_task(
                        _whole(f"{daemon.url}/v3/actors/{waiting}/executions/{each}/logs", token, started)
                    )
                    for each, started in zip(running, begun, strict=True)
                ]
                for started in begun:
                    await started.wait()
                # when it is asked to stop
                began = time.monotonic()
                assert await daemon.stop() == 0
                seconds = time.monotonic() - began
            # then it ends in time, and everybody is told
            assert seconds < WEBHOOKS + REQUESTS + SLACK
            answers = [each.result() for each in waiters]
            assert [answer.status for answer in answers] == [503, 503]
            assert {json.loads(answer.body)["result"]["execution_id"] for answer in answers} == set(running)
            assert [each.result() for each in followers] == [False, False], (
                "an answer looks like the end of an execution"
            )
            assert not [event for event in daemon.events if "exception" in event or event["event"] == "text"]

            # and the next one goes on: the call that was cut off is not repeated, all others come
            hooks.gates["/silent"].set()
            (out / "go").touch()
            await daemon.start()
            await hooks.called("/silent", 4)
            await drained(daemon, client, [Flow(each, out) for each in (source, waiting, target)])
            told = [json.loads(line).get("execution_id") for line in (out / target).read_text().splitlines()]
            assert told == [None, *(each["execution_id"] for each in sent)]
            assert [body.get("execution_id") for body in hooks.bodies("/silent")] == told
            for each in running:
                log = (await client.call("GET", f"/{waiting}/executions/{each}/logs"))["logs"]
                assert log.startswith("before ")
                assert "after " in log
        await stop_with_nothing_left(daemon)


async def _whole(url: str, token: str, begun: asyncio.Event) -> bool:
    """Follow a log; tells when the first of it is there. Whether the answer came to its end."""
    try:
        async with (
            aiohttp.ClientSession(headers={"X-Tapis-Token": token}) as session,
            session.get(f"{url}?follow=true") as response,
        ):
            async for _ in response.content.iter_any():
                begun.set()
    except aiohttp.ClientError:
        return False
    return True


async def _lines(client: Client, actor_id: str, out: Path) -> None:
    """Wait until both messages run; each look is a request, so this does not spin."""
    while not (out / actor_id).exists() or len((out / actor_id).read_text().splitlines()) < 2:
        await client.call("GET", f"/{actor_id}")
