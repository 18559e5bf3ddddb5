"""A daemon that is killed again and again gives a linked actor each event once, and in order."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest

from tests.daemon.flows import drained, flowing, mount_setting, register
from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.process import Client, DaemonProcess
from tests.docker_images import SHELL, image_name

KILLS = 4
NOTE = 'echo "$MSG" >> /out/events'
"""What the linked actor does."""


@pytest.mark.docker
@pytest.mark.daemon
@pytest.mark.timeout(120)
async def test_a_linked_actor_gets_each_event_once_whenever_the_daemon_is_killed(
    tmp_path: Path, docker_images: str
) -> None:
    dice = random.Random(1)
    out = tmp_path / "out"
    async with DaemonProcess(tmp_path, mount_setting(out)) as daemon:
        token = daemon.token("alice")
        await daemon.start()
        async with Client.opened(daemon, token) as client:
            shell = {"image": image_name(docker_images, SHELL), "stateless": False}
            target = await client.call("POST", "", json=shell | {"default_environment": {"SCRIPT": NOTE}})
            flow = await register(client, docker_images, out, stateless=False)
            described = await client.call("GET", f"/{flow.actor_id}")
            linked = {name: described[name] for name in ("image", "default_environment")} | {"link": target["id"]}
            await client.call("PUT", f"/{flow.actor_id}", json=linked)
            async with flowing(client, [flow], pause=0.5):
                for _ in range(KILLS):
                    await asyncio.sleep(dice.uniform(0.3, 2))
                    await daemon.kill()
                    await daemon.start()
            await flow.send_one(client)
            await drained(daemon, client, [flow])
            listed = (await client.call("GET", f"/{flow.actor_id}/executions"))["executions"]
            ran = [execution["id"] for execution in listed]
            while len(_ends(out)) < len(ran):
                await daemon.event(lambda _: True, since=len(daemon.events))
            told = (await client.call("GET", f"/{target['id']}/executions"))["executions"]
            await daemon.ended({execution["id"] for execution in told})
            assert _ends(out) == ran
            assert set(flow.acknowledged) <= set(ran)
        await stop_with_nothing_left(daemon)


def _ends(out: Path) -> list[str]:
    """The executions whose end the linked actor was told, in order."""
    events = [json.loads(line) for line in (out / "events").read_text().splitlines()]
    return [event["execution_id"] for event in events if event["event_type"] == "EXECUTION_COMPLETE"]
