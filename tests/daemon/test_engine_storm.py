"""An engine that goes away and comes back under load costs time, but no message."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.flows import assert_each_ran_once, assert_in_order, drained, flowing, mount_setting, register_kinds
from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.process import Client, DaemonProcess
from tests.docker_images import engine
from tests.engine_proxy import engine_proxy

pytestmark = [pytest.mark.docker, pytest.mark.daemon, pytest.mark.timeout(60)]


async def test_nothing_is_lost_while_the_engine_comes_and_goes(tmp_path: Path, docker_images: str) -> None:
    here = engine()
    await here.ping()
    out = tmp_path / "out"
    async with engine_proxy(tmp_path, here.socket) as proxy:
        settings = f'{mount_setting(out)}\n[engine]\nurl = "{proxy.url}"\nretry_max_seconds = 1'
        async with DaemonProcess(tmp_path, settings) as daemon:
            token = daemon.token("alice")
            await daemon.start()
            async with Client.opened(daemon, token) as client:
                flows = await register_kinds(client, docker_images, out)
                async with flowing(client, flows, pause=0.9):
                    for _ in range(5):
                        seen = len(daemon.events)
                        await daemon.event(lambda event: event["event"] == "execution_complete", since=seen)
                        proxy.down()
                        await _assert_trouble_is_told(client, flows[0].actor_id)
                        await flows[0].more_acknowledged()
                        await proxy.up()
                await drained(daemon, client, flows)
                for flow in flows:
                    await assert_each_ran_once(client, flow)
                for flow in flows[::2]:
                    assert_in_order(flow)
            await stop_with_nothing_left(daemon)
    await here.close()


async def _assert_trouble_is_told(client: Client, actor_id: str) -> None:
    readiness = await client.get("/readyz")
    assert (readiness.status, readiness.answer["result"]["database"]) == (503, "ok")
    assert "does not answer" in readiness.answer["result"]["engine"]
    actor = await client.call("GET", f"/{actor_id}")
    assert "does not answer" in actor["status_message"]
    assert actor["status"] in ("SUBMITTED", "READY")
