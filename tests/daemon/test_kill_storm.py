"""A daemon that is killed again and again under load loses nothing and runs nothing twice."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.daemon.flows import assert_each_ran_once, assert_in_order, drained, flowing, mount_setting, register_kinds
from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.process import Client, DaemonProcess

# More of them, and other moments, by hand: STORM_KILLS=200 STORM_SEED=7 pytest tests/daemon/test_kill_storm.py
KILLS = int(os.environ.get("STORM_KILLS", "6"))
SEED = int(os.environ.get("STORM_SEED", "1"))

EARLY = 0.3
"""How often a daemon is killed a second time while it starts."""


@pytest.mark.docker
@pytest.mark.daemon
@pytest.mark.timeout(120 + 10 * KILLS)
async def test_nothing_is_lost_and_nothing_runs_twice(tmp_path: Path, docker_images: str) -> None:
    dice = random.Random(SEED)
    out = tmp_path / "out"
    async with DaemonProcess(tmp_path, mount_setting(out)) as daemon:
        token = daemon.token("alice")
        await daemon.start()
        async with Client.opened(daemon, token) as client:
            flows = await register_kinds(client, docker_images, out)
            async with flowing(client, flows, pause=0.9):
                for _ in range(KILLS):
                    await asyncio.sleep(dice.uniform(0.05, 3))
                    await daemon.kill()
                    if dice.random() < EARLY:
                        await daemon.start_and_kill(dice.uniform(0, 1))
                    await daemon.start()
            for flow in flows:
                await flow.send_one(client)
            await drained(daemon, client, flows)
            for flow in flows:
                await assert_each_ran_once(client, flow)
            for flow in flows[::2]:
                assert_in_order(flow)
        await stop_with_nothing_left(daemon)
