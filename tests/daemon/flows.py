"""Steady flows of messages to actors whose containers leave traces that no daemon can reach."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.daemon.process import Client, DaemonProcess
from tests.docker_images import SHELL, image_name

_SCRIPT = 'echo "start $MSG" >> /out/$_abaco_actor_id; echo "log of $MSG"; usleep 150000; echo "end $MSG" >> /out/$_abaco_actor_id'
"""What every container does; there is time to lose a daemon or an engine between its two lines."""


@dataclass
class Flow:
    """Messages sent to one actor, and what came of each POST."""

    actor_id: str
    traces: Path
    sent: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Text by execution id."""
    _grew: asyncio.Event = field(default_factory=asyncio.Event)

    async def send_one(self, client: Client) -> None:
        """Send the next message and note its acknowledgement."""
        self.sent += 1
        text = f"m{self.sent}"
        reply = await client.call("POST", f"/{self.actor_id}/messages", data={"message": text})
        self.acknowledged[reply["execution_id"]] = text
        self._grew.set()

    async def more_acknowledged(self) -> None:
        """Wait for the next acknowledgement."""
        self._grew.clear()
        await self._grew.wait()

    async def send_for_ever(self, client: Client, pause: float) -> None:
        """A steady flow; a message that a dying daemon does not acknowledge may have been taken or not."""
        while True:
            with suppress(aiohttp.ClientError):
                await self.send_one(client)
            await asyncio.sleep(pause)

    def lines(self) -> list[str]:
        """What the containers left, in order."""
        return self.traces.read_text().splitlines()


@asynccontextmanager
async def flowing(client: Client, flows: list[Flow], pause: float) -> AsyncIterator[None]:
    """A steady flow to all of them while the block runs; `pause` in seconds."""
    senders = [asyncio.create_task(flow.send_for_ever(client, pause)) for flow in flows]
    try:
        yield
    finally:
        for sender in senders:
            sender.cancel()
        await asyncio.wait(senders)


def mount_setting(out: Path) -> str:
    """The TOML that gives every container the directory for traces."""
    out.mkdir(mode=0o777)
    return f'[runs]\nmounts = ["{out}:/out:rw"]'


async def register(client: Client, images: str, out: Path, *, stateless: bool, hint: str | None = None) -> Flow:
    """A flow to a new actor."""
    actor = await client.call(
        "POST",
        "",
        json={
            "image": image_name(images, SHELL),
            "stateless": stateless,
            "hints": [hint] if hint else [],
            "default_environment": {"SCRIPT": _SCRIPT},
        },
    )
    return Flow(actor["id"], out / actor["id"])


async def register_kinds(client: Client, images: str, out: Path) -> list[Flow]:
    """A flow to an actor of each kind: stateful and stateless ones, without a hint and with each that changes its workers."""
    kinds = [(False, None), (True, None), (False, "warm"), (True, "sync")]
    return [await register(client, images, out, stateless=stateless, hint=hint) for stateless, hint in kinds]


async def drained(daemon: DaemonProcess, client: Client, flows: list[Flow]) -> None:
    """Wait for the end of every execution there is, also of those that were taken but not acknowledged."""
    for flow in flows:
        listed = await client.call("GET", f"/{flow.actor_id}/executions")
        open_ones = {each["id"] for each in listed["executions"] if each["status"] in ("SUBMITTED", "RUNNING")}
        await daemon.ended(open_ones)


async def assert_each_ran_once(client: Client, flow: Flow) -> None:
    """Every acknowledged message ran, whole and once, and its log is complete; none that was not acknowledged ran twice."""
    lines = Counter(flow.lines())
    listed = await client.call("GET", f"/{flow.actor_id}/executions")
    by_id = {execution["id"]: execution["status"] for execution in listed["executions"]}
    assert set(flow.acknowledged) <= set(by_id)
    assert set(by_id.values()) == {"COMPLETE"}
    assert set(lines.values()) == {1}, f"some ran twice: {lines.most_common(3)}"
    assert len(lines) == 2 * len(by_id), "an execution ran only in part"
    for execution_id, text in flow.acknowledged.items():
        assert lines[f"start {text}"] == lines[f"end {text}"] == 1
        log = await client.call("GET", f"/{flow.actor_id}/executions/{execution_id}/logs")
        assert log["logs"] == f"log of {text}\n"
    waiting = await client.call("GET", f"/{flow.actor_id}/messages")
    assert waiting["messages"] == 0


def assert_in_order(flow: Flow) -> None:
    """One message after the other, in the order they were sent."""
    lines = flow.lines()
    numbers = [int(line.split()[1].removeprefix("m")) for line in lines[::2]]
    assert numbers == sorted(numbers)
    assert lines == [f"{word} m{number}" for number in numbers for word in ("start", "end")]
