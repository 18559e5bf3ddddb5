"""Unmodified clients against a real daemon and a real engine."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from abacod.services.accounts import hash_password
from tests.daemon import checklist
from tests.daemon.checklist import PASSWORD
from tests.daemon.process import DaemonProcess
from tests.docker_images import SHELL, image_name

TOUR = Path(__file__).parents[2] / "examples" / "tapipy_tour.py"

pytestmark = [pytest.mark.docker, pytest.mark.daemon, pytest.mark.timeout(60)]


async def test_the_quickstart_with_tapipy(tmp_path: Path, docker_images: str) -> None:
    async with DaemonProcess(tmp_path) as daemon:
        daemon.add_user("alice", hash_password("a long password"))
        await daemon.start()
        tour = await asyncio.create_subprocess_exec(
            *(sys.executable, str(TOUR)),
            *(daemon.url, "a long password", image_name(docker_images, SHELL)),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await tour.communicate()
        assert tour.returncode == 0
        seen = json.loads(output.splitlines()[-1])

    assert seen["tenant"] == "dev"
    assert seen["expires"] > 14000
    assert seen["profile"] == "alice"
    assert seen["empty"] == []
    assert seen["registered"] == "SUBMITTED"
    assert seen["ready"] == "READY"
    assert seen["msg"] == "Actor, please count these words."
    assert seen["exit_code"] == 0
    assert {"cpu", "io", "runtime", "final_state", "start_time", "finish_time", "worker_id"} <= set(seen["keys"])
    assert seen["logs"] == "Number of words is: 5\n"
    assert seen["others"] == [{}, True, "binary - omitted"]
    assert seen["total"] == [4, 4]
    assert seen["updated"] == "Counts."
    assert seen["unknown"] == "NotFoundError"
    assert seen["stateless"] == "NotFoundError"
    assert seen["wrong password"] == "UnauthorizedError"
    assert seen["no token"] == "UnauthorizedError"
    assert seen["deleted"] == "success"


async def test_all_that_tapipy_can_do_from_outside(tmp_path: Path, docker_images: str) -> None:
    async with DaemonProcess(tmp_path) as daemon:
        stored = hash_password(PASSWORD)
        daemon.add_user("alice", stored)
        daemon.add_user("bob", stored)
        daemon.add_user("root", stored, "abaco_admin")
        await daemon.start()
        program = Path(checklist.__file__)
        tour = await asyncio.create_subprocess_exec(
            sys.executable, str(program), daemon.url, image_name(docker_images, SHELL), stderr=asyncio.subprocess.PIPE
        )
        _, trouble = await tour.communicate()
        assert tour.returncode == 0, trouble.decode()
