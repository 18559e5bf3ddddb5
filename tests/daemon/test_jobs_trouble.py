"""An engine that goes away, and a disk that is full, cost pipeline jobs time and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.daemon.flows import mount_setting
from tests.daemon.job_loads import SYSTEM, Indexed, Launched, Told, handled, prepared
from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.loads import Load, loaded
from tests.daemon.process import Client, DaemonProcess, Event
from tests.daemon.test_full_disk import full_disk
from tests.docker_images import SHELL, engine, image_name
from tests.engine_proxy import engine_proxy

pytestmark = [pytest.mark.docker, pytest.mark.daemon, pytest.mark.timeout(120)]

REACTORS = ("pipelinejobs-manager", "pipelinejobs-indexer", "pipelinejobs-agave-proxy")


@asynccontextmanager
async def laboratory(folder: Path, images: str, settings: str = "") -> AsyncIterator[tuple[DaemonProcess, list[Load]]]:
    """A daemon with users who launch jobs, send events and have files indexed; at its end everything must be settled."""
    out, root = folder / "out", folder / "storage"
    root.mkdir()
    lines = ('[engine]\npull_policy = "missing"', settings, mount_setting(out))
    async with DaemonProcess(folder, "\n".join((*lines, f'[pipelines.systems.{SYSTEM}]\nroot = "{root}"'))) as daemon:
        token = daemon.token("alice")
        await daemon.start()
        async with (
            Client.opened(daemon, token) as alice,
            Client.opened(daemon, daemon.token("root", "abaco_admin")) as admin,
            aiohttp.ClientSession() as session,
        ):
            pipeline = await prepared(daemon, admin, image_name(images, SHELL), root)
            loads: list[Load] = [
                Launched(daemon, alice, root, out, "alice", pipeline),
                await Told.registered(daemon, alice, pipeline, session, token),
                Indexed(daemon, alice, root, pipeline),
            ]
            yield daemon, loads
            for reactor in REACTORS:
                await handled(daemon, reactor)
            for load in loads:
                await load.check()
        await stop_with_nothing_left(daemon)
    assert not [event for event in daemon.events if "exception" in event or event["event"] == "text"]
    assert list((daemon.data_dir / "work").iterdir()) == []


async def test_jobs_outlast_an_engine_that_comes_and_goes(tmp_path: Path, docker_images: str) -> None:
    here = engine()
    await here.ping()
    async with (
        engine_proxy(tmp_path, here.socket) as proxy,
        laboratory(tmp_path, docker_images, f'url = "{proxy.url}"\nretry_max_seconds = 1') as (daemon, loads),
        loaded(loads),
    ):
        for status in ("SUBMITTING", "QUEUED", "RUNNING", "CLEANING_UP"):
            await daemon.event(partial(_moved, status), since=len(daemon.events))
            proxy.down()
            await asyncio.sleep(0.7)
            await proxy.up()
    await here.close()


async def test_jobs_and_events_wait_for_room(tmp_path: Path, docker_images: str) -> None:
    async with laboratory(tmp_path, docker_images) as (daemon, loads):
        launched, *others = loads
        assert isinstance(launched, Launched)
        launched.pause = 1
        async with loaded(others):
            for number in range(1, 3):
                seen = len(daemon.events)
                await launched.launch(number)
                await daemon.event(partial(_moved, "RUNNING"), since=seen)
                # Its end cannot be noted, nor can events and checksums.
                with full_disk(daemon):
                    await daemon.event(partial(_is_called, "execution_not_settled"), since=seen)
                    await asyncio.sleep(0.5)


def _is_called(name: str, event: Event) -> bool:
    return bool(event["event"] == name)


def _moved(status: str, event: Event) -> bool:
    return bool(event["event"] == "batch_job_moved" and event["status"] == status)
