"""A daemon that is killed again and again under load loses nothing and runs nothing twice."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.daemon.leftovers import assert_nothing_left
from tests.daemon.process import Client, DaemonProcess
from tests.docker_images import SHELL, image_name

KILLS = int(os.environ.get("STORM_KILLS", "6"))
SEED = int(os.environ.get("STORM_SEED", "1"))

SCRIPT = 'echo "start $MSG" >> /out/$_abaco_actor_id; echo "log of $MSG"; usleep 150000; echo "end $MSG" >> /out/$_abaco_actor_id'
"""What every container does: leave two lines outside of any daemon's reach, with time to be killed between them."""


@dataclass
class Flow:
    """Messages sent to one actor, and what came of each POST."""

    actor_id: str
    sent: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Text by execution id."""

    async def send_one(self, client: Client) -> None:
        self.sent += 1
        text = f"m{self.sent}"
        reply = await client.call("POST", f"/{self.actor_id}/messages", data={"message": text})
        self.acknowledged[reply["execution_id"]] = text

    async def send_for_ever(self, client: Client, pause: float) -> None:
        """A steady flow; a message that a dying daemon does not acknowledge may have been taken or not."""
        while True:
            with suppress(aiohttp.ClientError):
                await self.send_one(client)
            await asyncio.sleep(pause)


@pytest.mark.docker
@pytest.mark.daemon
@pytest.mark.timeout(120 + 8 * KILLS)
async def test_nothing_is_lost_and_nothing_runs_twice(tmp_path: Path, docker_images: str) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o777)
    dice = random.Random(SEED)
    daemon = DaemonProcess(tmp_path, f'[runs]\nmounts = ["{out}:/out:rw"]')
    token = daemon.token("alice", "abaco_admin")
    await daemon.start()
    async with Client.opened(daemon, token) as client:
        flows = [await _register(client, docker_images, stateless=stateless) for stateless in (False, True)]
        senders = [asyncio.create_task(flow.send_for_ever(client, pause=0.7)) for flow in flows]

        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.05, 3))
            await daemon.kill()
            await daemon.start()

        for sender in senders:
            sender.cancel()
        await asyncio.wait(senders)
        for flow in flows:
            await flow.send_one(client)
        await _drained(daemon, client, flows)

        for flow in flows:
            await _assert_each_ran_once(client, flow, out / flow.actor_id)
        stateful = (out / flows[0].actor_id).read_text().split()
        numbers = [int(text.removeprefix("m")) for text in stateful[1::4]]
        assert numbers == sorted(numbers), "a stateful actor's messages ran out of order"
    assert await daemon.stop() == 0, daemon.events[-5:]
    await assert_nothing_left(daemon)


async def _register(client: Client, images: str, *, stateless: bool) -> Flow:
    actor = await client.call(
        "POST",
        "",
        json={
            "image": image_name(images, SHELL),
            "stateless": stateless,
            "default_environment": {"SCRIPT": SCRIPT},
        },
    )
    return Flow(actor["id"])


async def _drained(daemon: DaemonProcess, client: Client, flows: list[Flow]) -> None:
    """Wait for the end of every execution there is, also of those that were taken but not acknowledged."""
    for flow in flows:
        listed = await client.call("GET", f"/{flow.actor_id}/executions")
        open_ones = {e["id"] for e in listed["executions"] if e["status"] in ("SUBMITTED", "RUNNING")}
        await daemon.ended(open_ones)


async def _assert_each_ran_once(client: Client, flow: Flow, traces: Path) -> None:
    lines = Counter(traces.read_text().splitlines())
    listed = await client.call("GET", f"/{flow.actor_id}/executions")
    by_id = {execution["id"]: execution["status"] for execution in listed["executions"]}
    assert set(flow.acknowledged) <= set(by_id)
    assert set(by_id.values()) == {"COMPLETE"}
    assert set(lines.values()) == {1}, f"some ran twice: {lines.most_common(3)}"
    for execution_id, text in flow.acknowledged.items():
        assert lines[f"start {text}"] == lines[f"end {text}"] == 1
        log = await client.call("GET", f"/{flow.actor_id}/executions/{execution_id}/logs")
        assert log["logs"] == f"log of {text}\n"
    assert len(lines) == 2 * len(by_id), "an execution that was never acknowledged ran only in part"
    waiting = await client.call("GET", f"/{flow.actor_id}/messages")
    assert waiting["messages"] == 0
