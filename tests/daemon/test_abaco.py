"""The command `abaco` as a process, on a daemon with real containers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.daemon.flows import mount_setting
from tests.daemon.process import DaemonProcess
from tests.docker_images import SHELL, image_name

pytestmark = [pytest.mark.docker, pytest.mark.daemon, pytest.mark.timeout(90)]

TALK_WAIT_END = 'echo "before $MSG"; until [ -e /out/go ]; do usleep 20000; done; echo "after $MSG"; exit 7'
"""Runs until the test makes a file, and ends with 7."""


@dataclass
class Terminal:
    """Where a user types commands."""

    daemon: DaemonProcess
    token: str

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """A command that runs."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from abacod.client.main import main; main()", *arguments),
            env=os.environ | {"ABACO_URL": self.daemon.url, "ABACO_TOKEN": self.token},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str) -> tuple[int | None, str, str]:
        """How a command ended."""
        command = await self.start(*arguments)
        out, err = await command.communicate()
        return command.returncode, out.decode(), err.decode()


@asynccontextmanager
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    """A terminal beside a daemon."""
    async with DaemonProcess(tmp_path, mount_setting(tmp_path / "out")) as daemon:
        token = daemon.token("alice")
        await daemon.start()
        yield Terminal(daemon, token)


async def next_line(command: asyncio.subprocess.Process) -> bytes:
    assert command.stdout is not None
    return await command.stdout.readline()


async def test_a_log_is_followed_live_through_a_restart_and_ends_as_the_actor(
    tmp_path: Path, docker_images: str
) -> None:
    async with terminal(tmp_path) as here:
        script = ("-e", f"SCRIPT={TALK_WAIT_END}")
        status, _, err = await here.run("create", image_name(docker_images, SHELL), "-n", "talker", *script)
        assert status == 0, err
        waiting = await here.start("run", "--wait", "-m", "grüß", "talker")
        assert await next_line(waiting) == "before grüß\n".encode()
        following = await here.start("logs", "-f", "talker")
        assert await next_line(following) == "before grüß\n".encode()

        await here.daemon.kill()
        await here.daemon.start()
        (tmp_path / "out" / "go").touch()

        out, err_bytes = await waiting.communicate()
        assert (waiting.returncode, out) == (7, "after grüß\n".encode()), err_bytes
        out, _ = await following.communicate()
        assert (following.returncode, out) == (0, "after grüß\n".encode())


async def test_ctrl_c_leaves_the_execution_running_and_says_so(tmp_path: Path, docker_images: str) -> None:
    async with terminal(tmp_path) as here:
        script = ("-e", f"SCRIPT={TALK_WAIT_END}")
        await here.run("create", image_name(docker_images, SHELL), "-n", "talker", *script)
        waiting = await here.start("run", "--wait", "-m", "x", "talker")
        await next_line(waiting)
        waiting.send_signal(signal.SIGINT)
        _, err = await waiting.communicate()
        assert waiting.returncode == 130
        assert b"goes on" in err
        assert b"Traceback" not in err
        _, listed, _ = await here.run("executions", "talker")
        assert "RUNNING" in listed
        (tmp_path / "out" / "go").touch()
        assert await here.run("logs", "-f", "talker") == (0, "before x\nafter x\n", "")


async def test_a_directory_is_built_deployed_and_run(tmp_path: Path, docker_images: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "Dockerfile").write_text(f'FROM {image_name(docker_images, SHELL)}\nENV SCRIPT="echo one"\n')
    (project / "actor.toml").write_text('name = "deployed"\n')
    image = f"{docker_images}/deployed"
    async with terminal(tmp_path) as here:
        try:
            status, out, err = await here.run("deploy", str(project), "--tag", image)
            assert status == 0, err
            assert "READY" in out
            assert (await here.run("run", "--wait", "-m", "x", "deployed"))[:2] == (0, "one\n")

            (project / "Dockerfile").write_text(f'FROM {image_name(docker_images, SHELL)}\nENV SCRIPT="echo two"\n')
            assert (await here.run("deploy", str(project), "--tag", image))[0] == 0
            assert (await here.run("run", "--wait", "-m", "x", "deployed"))[:2] == (0, "two\n")

            (project / "Dockerfile").write_text("FROM scratch\nCOPY nothing /\n")
            status, out, err = await here.run("deploy", str(project), "--tag", image)
            assert (status, out) == (1, "")
            assert "abaco: `docker build` failed" in err
        finally:
            removal = await asyncio.create_subprocess_exec(
                "docker", "rmi", "-f", image, stdout=asyncio.subprocess.DEVNULL
            )
            await removal.wait()
