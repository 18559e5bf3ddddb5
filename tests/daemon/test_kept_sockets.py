"""Results while the daemon is away, under a service manager that keeps the sockets (docs/reference/container.md)."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from tests.daemon.flows import mount_setting
from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.process import Client, DaemonProcess
from tests.manager import Manager

pytestmark = [pytest.mark.docker, pytest.mark.daemon, pytest.mark.timeout(60)]

PROGRAM = """
import socket
results = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
results.connect("/_abaco_results.sock")  # to the very socket: another one in its place would not do
results.send(b"0")
print("ready", flush=True)
open("/out/away").read()
for number in range(1, 6):
    results.send(b"%d" % number)
open("/out/sent", "w").close()
for number in range(6, 60):  # more than the socket holds: the program waits for the next daemon
    results.send(b"%d" % number)
"""


async def test_what_a_container_sends_while_the_daemon_is_dead_arrives(tmp_path: Path, python_image: str) -> None:
    out = tmp_path / "out"
    with Manager.listening() as manager, socket.create_server(("127.0.0.1", 0)) as stranger:
        async with DaemonProcess(tmp_path, mount_setting(out)) as daemon:
            token = daemon.token("alice")
            for name in ("away", "sent"):
                os.mkfifo(out / name)
            await daemon.start_under(manager, 1)
            async with Client.opened(daemon, token) as client:
                definition = {"image": python_image, "default_environment": {"PROGRAM": PROGRAM}}
                actor = await client.call("POST", "", json=definition)
                message = await client.call("POST", f"/{actor['id']}/messages", json={"message": "go"})
                execution = f"/{actor['id']}/executions/{message['execution_id']}"
                assert await client.line_of_log(execution) == b"ready\n"
                await daemon.kill()
                await asyncio.to_thread((out / "away").write_text, "")
                await asyncio.to_thread((out / "sent").read_text)

                await daemon.start_under(manager, 1, http=stranger.fileno())
                await daemon.ended({message["execution_id"]})

                first, *others = await _results(client, execution)
                assert first == b"0"
                if others[0] == b"0":
                    others = others[1:]  # written, but still on the socket when the daemon was killed
                assert others == [b"%d" % number for number in range(1, 60)]
            manager.hear()
            assert manager.kept == [], "what has ended is kept no more"
            await stop_with_nothing_left(daemon)


async def test_where_no_room_is_left_the_container_finds_a_link(tmp_path: Path, python_image: str) -> None:
    program = 'import os; print(os.readlink("/_abaco_results.sock"))'
    with Manager.listening() as manager:
        async with DaemonProcess(tmp_path) as daemon:
            token = daemon.token("alice")
            await daemon.start_under(manager, 0)
            async with Client.opened(daemon, token) as client:
                definition = {"image": python_image, "default_environment": {"PROGRAM": program}}
                actor = await client.call("POST", "", json=definition)
                message = await client.call("POST", f"/{actor['id']}/messages", json={"message": "go"})
                await daemon.ended({message["execution_id"]})
                logs = await client.call("GET", f"/{actor['id']}/executions/{message['execution_id']}/logs")
            assert logs["logs"] == "/_abaco_run/results.sock\n"
            assert not any("FDSTORE" in said for said in manager.said)


async def _results(client: Client, execution: str) -> list[bytes]:
    found = []
    while (result := await client.read(f"{execution}/results")) != b"":
        found.append(result)
    return found
