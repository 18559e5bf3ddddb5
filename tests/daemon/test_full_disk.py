"""A disk that is full while results arrive, events are due and containers end: it costs time, and nothing that was promised."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.flows import Flow, drained, mount_setting
from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.process import Client, DaemonProcess, Event
from tests.docker_images import SHELL, image_name
from tests.hooks import HookServer

pytestmark = [pytest.mark.docker, pytest.mark.daemon, pytest.mark.timeout(120)]

HOOK = "/hook"
RESULTS = 5
SENDS = f"""
import os, pathlib, socket, time
print("before", flush=True)
while not pathlib.Path("/out/go").exists():
    time.sleep(0.02)
results = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for number in range({RESULTS}):
    while True:
        try:
            results.sendto(str(number).encode(), "/_abaco_results.sock")
            break
        except ConnectionRefusedError:  # no daemon
            time.sleep(0.05)
    time.sleep(0.05)
print("after")
"""
NOTE = 'echo "$MSG" >> /out/$_abaco_actor_id'
WAIT = "until [ -e /out/go ]; do usleep 20000; done"


@contextmanager
def full_disk(daemon: DaemonProcess) -> Iterator[None]:
    """While the block runs no file of the daemon can grow or be written. It is the same for SQLite as a disk that is full."""
    assert daemon.process
    pid, kind = daemon.process.pid, resource.RLIMIT_FSIZE
    usual = resource.prlimit(pid, kind, (0, resource.getrlimit(kind)[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it was ended
            resource.prlimit(pid, kind, usual)


@dataclass
class Lab:
    """An actor that is about to send results, and one whose end is an event for a third one and for a webhook."""

    daemon: DaemonProcess
    client: Client
    out: Path
    sender: str
    source: str
    target: str
    results: str = ""
    """The execution that sends results."""
    event: str = ""
    """The execution whose end is told."""

    @classmethod
    async def made(
        cls, daemon: DaemonProcess, client: Client, out: Path, images: str, python_image: str, hook: str
    ) -> Lab:
        """The actors, new; both executions run and wait for the file `go`."""
        body: dict[str, Any] = {"image": python_image, "default_environment": {"PROGRAM": SENDS}}
        sender = (await client.call("POST", "", json=body))["id"]
        body = {"image": image_name(images, SHELL), "stateless": False}
        note, wait = ({"default_environment": {"SCRIPT": script}} for script in (NOTE, WAIT))
        target = (await client.call("POST", "", json=body | note))["id"]
        source = (await client.call("POST", "", json=body | wait | {"link": target, "webhook": hook}))["id"]
        lab = cls(daemon, client, out, sender, source, target)
        lab.results, lab.event = [await lab._running(each) for each in (sender, source)]
        while await lab.log() != "before\n":
            pass
        return lab

    async def _running(self, actor_id: str) -> str:
        sent = await self.client.call("POST", f"/{actor_id}/messages", data={"message": "m"})
        path = f"/{actor_id}/executions/{sent['execution_id']}"
        while (await self.client.call("GET", path))["status"] != "RUNNING":
            pass  # each look is a request, so this does not spin
        return str(sent["execution_id"])

    async def log(self) -> str:
        """What the sender of results has printed."""
        return str((await self.client.call("GET", f"/{self.sender}/executions/{self.results}/logs"))["logs"])

    async def fetched(self) -> list[str]:
        """All its results."""
        path = f"/{self.sender}/executions/{self.results}/results"
        found = []
        while body := (await self.client.bare("GET", path)).body:
            found.append(body.decode())
        return found

    async def go_on_without_room(self) -> None:
        """The disk is full: messages are refused, and what runs ends and sends; reading goes on."""
        binary = {"data": b"xx", "headers": {"Content-Type": "application/octet-stream"}}
        for refused in ({"data": {"message": "not taken"}}, binary):
            assert (await self.client.bare("POST", f"/{self.sender}/messages", **refused)).status == 503
        (self.out / "go").touch()
        for trouble in ("results_not_stored", "execution_not_settled", "events_delayed"):
            await self.daemon.event(partial(_is_called, trouble))
        assert (await self.client.call("GET", f"/{self.sender}"))["id"] == self.sender

    async def assert_all_is_there(self, hooks: HookServer) -> None:
        """Wait for what has room now."""
        await self.daemon.ended({self.results, self.event})
        await hooks.called(HOOK, 2)
        await drained(
            self.daemon, self.client, [Flow(each, self.out) for each in (self.sender, self.source, self.target)]
        )
        executions = (await self.client.call("GET", f"/{self.sender}/executions"))["executions"]
        assert [each["id"] for each in executions] == [self.results], "a refused message was kept"
        assert await self.log() == "before\nafter\n"
        told = [json.loads(line).get("execution_id") for line in (self.out / self.target).read_text().splitlines()]
        assert told == [None, self.event]
        assert [body.get("execution_id") for body in hooks.bodies(HOOK)] == told


def _is_called(name: str, event: Event) -> bool:
    return bool(event["event"] == name)


@pytest.mark.parametrize("ends", ["there is room again", "the daemon is stopped", "the daemon is killed"])
async def test_results_events_and_ends_wait_for_room(
    tmp_path: Path, docker_images: str, python_image: str, ends: str
) -> None:
    out = tmp_path / "out"
    settings = f"{mount_setting(out)}\n[server]\ndrain_seconds = 1"
    async with HookServer.opened() as hooks, DaemonProcess(tmp_path, settings) as daemon:
        token = daemon.token("alice")
        await daemon.start()
        async with Client.opened(daemon, token) as client:
            hooks.gates[HOOK] = asyncio.Event()
            lab = await Lab.made(daemon, client, out, docker_images, python_image, hooks.url(HOOK))
            await hooks.called(HOOK)
            with full_disk(daemon):
                # A webhook answers whose answer cannot be noted, and which must not be called again.
                hooks.gates[HOOK].set()
                await lab.go_on_without_room()
                if ends == "the daemon is stopped":
                    assert await daemon.stop() == 0
                elif ends == "the daemon is killed":
                    await daemon.kill()
            if ends != "there is room again":
                await daemon.start()
            await lab.assert_all_is_there(hooks)
            fetched = await lab.fetched()
            # What an ending daemon could not write is gone, as it is when one is killed.
            assert fetched == sorted(set(fetched))
            if ends == "there is room again":
                assert fetched == [str(number) for number in range(RESULTS)]
        await stop_with_nothing_left(daemon)
        assert not [event for event in daemon.events if "exception" in event or event["event"] == "text"]
