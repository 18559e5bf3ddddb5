"""The daemon as a service: how it starts, stops, and shares its data directory with the command line."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.daemon.flows import drained, mount_setting, register
from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.process import Client, DaemonProcess
from tests.docker_images import SHELL, image_name

pytestmark = [pytest.mark.docker, pytest.mark.daemon, pytest.mark.timeout(60)]

TALK_THEN_WAIT = 'echo "before $MSG"; until [ -e /out/go ]; do usleep 20000; done; echo "after $MSG"'
"""Runs until the test makes a file."""


async def test_a_stopping_daemon_lets_executions_end_and_keeps_what_waits(tmp_path: Path, docker_images: str) -> None:
    out = tmp_path / "out"
    async with DaemonProcess(tmp_path, mount_setting(out)) as daemon:
        token = daemon.token("alice")
        await daemon.start()
        async with Client.opened(daemon, token) as client:
            flow = await register(client, docker_images, out, stateless=False)
            for _ in range(4):
                await flow.send_one(client)
            await daemon.event(lambda event: event["event"] == "execution_complete")
            assert await daemon.stop() == 0
            ran_before = len(flow.lines())
            assert ran_before % 2 == 0, "an execution was cut off"
            assert ran_before < 8

            await daemon.start()
            await drained(daemon, client, [flow])
        assert flow.lines() == [f"{word} m{number}" for number in range(1, 5) for word in ("start", "end")]
        await stop_with_nothing_left(daemon)


@pytest.mark.parametrize("hard", [False, True])
async def test_an_execution_outlives_the_daemon_and_is_taken_up_again(
    tmp_path: Path, docker_images: str, *, hard: bool
) -> None:
    out = tmp_path / "out"
    settings = f"{mount_setting(out)}\n[server]\ndrain_seconds = 0.1"
    async with DaemonProcess(tmp_path, settings) as daemon:
        token = daemon.token("alice")
        await daemon.start()
        async with Client.opened(daemon, token) as client:
            execution = await _talking(client, docker_images)
            status = await (daemon.kill() if hard else daemon.stop())
            assert status == (-signal.SIGKILL if hard else 0)

            await daemon.start()
            assert (await client.call("GET", execution))["status"] == "RUNNING"
            (out / "go").touch()
            await daemon.ended({execution.rpartition("/")[2]})

            ended = await client.call("GET", execution)
            assert (ended["status"], ended["exit_code"]) == ("COMPLETE", 0)
            assert (await client.call("GET", f"{execution}/logs"))["logs"] == "before hello\nafter hello\n"
        await stop_with_nothing_left(daemon)


async def test_a_running_execution_is_halted(tmp_path: Path, docker_images: str) -> None:
    settings = f"{mount_setting(tmp_path / 'out')}\nstop_grace_seconds = 1"
    async with DaemonProcess(tmp_path, settings) as daemon:
        token = daemon.token("alice")
        await daemon.start()
        async with Client.opened(daemon, token) as client:
            execution = await _talking(client, docker_images)
            await client.call("DELETE", execution)
            await daemon.ended({execution.rpartition("/")[2]})
            ended = await client.call("GET", execution)
        assert (ended["status"], ended["exit_code"]) == ("COMPLETE", 137)
        await stop_with_nothing_left(daemon)


async def test_a_data_directory_has_one_daemon(tmp_path: Path, docker_images: str) -> None:
    async with DaemonProcess(tmp_path) as daemon:
        await daemon.start()
        second = await _abacod("serve", "--config", str(daemon.config), "--port", "0")
        assert second.status == 1
        assert second.errors.splitlines() == [f"abacod: Another abacod uses the data directory {daemon.data_dir}."]
        taken = await _abacod("serve", "--data-dir", str(tmp_path / "other"), "--port", str(daemon.port))
        assert taken.status == 1
        assert taken.errors.startswith(f"abacod: Cannot listen on 127.0.0.1 port {daemon.port}: Address already in use")


async def test_the_command_line_works_beside_the_daemon(tmp_path: Path, docker_images: str) -> None:
    async with DaemonProcess(tmp_path) as daemon:
        await daemon.start()
        data_dir = ("--data-dir", str(daemon.data_dir))
        added = await _abacod("users", "add", "bob", "--password-stdin", *data_dir, stdin=b"secret\n")
        assert added.status == 0, added.errors
        token = (await _abacod("token", "bob", *data_dir)).output.strip()
        async with Client.opened(daemon, token) as client:
            actor = await client.call("POST", "", json={"image": image_name(docker_images, SHELL)})

        copy = tmp_path / "copy.db"
        assert (await _abacod("backup", str(copy), *data_dir)).status == 0
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("SELECT id FROM actors WHERE builtin IS NULL").fetchall() == [(actor["id"],)]


async def test_the_watchdog_is_fed(tmp_path: Path, docker_images: str) -> None:
    with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        address = str(Path(place) / "notify")
        notify.bind(address)
        notify.setblocking(False)
        daemon = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "abacod", "serve", "--data-dir", str(tmp_path / "data"), "--port", "0"),
            env=os.environ | {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"},
            stderr=asyncio.subprocess.DEVNULL,
        )
        loop = asyncio.get_running_loop()
        states = [(await loop.sock_recv(notify, 1024)).decode() for _ in range(4)]
        daemon.send_signal(signal.SIGTERM)
        assert await daemon.wait() == 0
    assert states[:4] == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]


async def _talking(client: Client, images: str) -> str:
    """The path of an execution that has begun to talk and waits for the test's file."""
    definition = {"image": image_name(images, SHELL), "default_environment": {"SCRIPT": TALK_THEN_WAIT}}
    actor = await client.call("POST", "", json=definition)
    sent = await client.call("POST", f"/{actor['id']}/messages", data={"message": "hello"})
    execution = f"/{actor['id']}/executions/{sent['execution_id']}"
    # The live log; each look is a request, so this does not spin.
    while (await client.call("GET", f"{execution}/logs"))["logs"] != "before hello\n":
        pass
    return execution


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int | None
    output: str
    errors: str


async def _abacod(*arguments: str, stdin: bytes = b"") -> Ran:
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "abacod", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await command.communicate(stdin)
    return Ran(command.returncode, output.decode(), errors.decode())
