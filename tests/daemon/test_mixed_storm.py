"""A daemon that is killed again and again keeps all its promises at once: events, results, nonces, answers, schedules."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from abacod.store.database import beside_daemon
from tests.daemon.flows import mount_setting
from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.loads import Fetched, Keys, Linked, Load, Scheduled, Waiters, loaded
from tests.daemon.process import Client, DaemonProcess
from tests.hooks import HookServer
from tests.manager import Manager
from tests.prometheus import samples

# More of them, and other moments, by hand: STORM_KILLS=200 STORM_SEED=7 pytest tests/daemon/test_mixed_storm.py
KILLS = int(os.environ.get("STORM_KILLS", "4"))
SEED = int(os.environ.get("STORM_SEED", "1"))
# Whether a service manager keeps the sockets on which containers send results while the daemon is away.
KEEPS = bool(os.environ.get("STORM_KEEPS", ""))

EARLY = 0.3
"""How often a daemon is killed a second time while it starts."""
ROOM = 100
"""How many sockets the service manager keeps."""


@pytest.mark.docker
@pytest.mark.daemon
@pytest.mark.timeout(180 + 15 * KILLS)
async def test_all_promises_hold(tmp_path: Path, docker_images: str, python_image: str) -> None:
    dice = random.Random(SEED)
    out = tmp_path / "out"
    async with (
        HookServer.opened() as hooks,
        _manager() as manager,
        DaemonProcess(tmp_path, mount_setting(out)) as daemon,
    ):
        alice, root = daemon.token("alice"), daemon.token("root", "abaco_admin")
        await _start(daemon, manager)
        async with (
            Client.opened(daemon, alice) as client,
            Client.opened(daemon, root) as admin,
            Client.opened(daemon, None) as nobody,
        ):
            loads: list[Load] = [
                await Linked.registered(daemon, client, docker_images, out, hooks),
                await Fetched.registered(daemon, client, python_image, dice, kept=KEEPS),
                await Keys.registered(daemon, client, nobody, docker_images),
                await Waiters.registered(daemon, client, docker_images, out),
                await Scheduled.registered(daemon, client, docker_images),
            ]
            twice = 0
            async with loaded(loads):
                for _ in range(KILLS):
                    await asyncio.sleep(dice.uniform(0.05, 4))
                    await daemon.kill()
                    if dice.random() < EARLY:
                        await daemon.start_and_kill(dice.uniform(0, 1.5), manager, ROOM)
                        twice += 1
                    await _start(daemon, manager)
            figures = [await load.check() for load in loads]
            # For long runs by hand: pytest -rP shows it.
            print(f"{KILLS} kills and {twice} during the starts after them: {'; '.join(figures)}")  # noqa: T201 - see above
            await _assert_sums_agree(daemon, admin)
        await stop_with_nothing_left(daemon)
    assert not [event for event in daemon.events if "exception" in event or event["event"] == "text"]


@asynccontextmanager
async def _manager() -> AsyncIterator[Manager | None]:
    """A service manager that hears what the daemon says, if there is to be one."""
    if not KEEPS:
        yield None
        return
    with Manager.listening() as manager:
        hearing = asyncio.create_task(_hear(manager))
        yield manager
        hearing.cancel()
        manager.hear()
        assert manager.kept == [], "what has ended is kept no more"


async def _hear(manager: Manager) -> None:
    while True:
        manager.hear()
        await asyncio.sleep(0.02)


async def _start(daemon: DaemonProcess, manager: Manager | None) -> None:
    if manager:
        await daemon.start_under(manager, ROOM)
    else:
        await daemon.start()


async def _assert_sums_agree(daemon: DaemonProcess, admin: Client) -> None:
    """What is summed up, and what is scraped, is what the executions say."""
    settings = daemon.settings()
    with beside_daemon(settings.database_path, settings.store) as connection:
        rows = connection.execute(
            "SELECT actor_id, count(*), sum(runtime_s), sum(cpu_ns), sum(io_bytes) FROM executions GROUP BY actor_id"
        )
        summed = {row[0]: tuple(row)[1:] for row in rows}
    shown = await admin.call("GET", "/admin/executions")
    fields = ("total_executions", "total_execution_runtime", "total_execution_cpu", "total_execution_io")
    by_actor = {each["actor_id"]: tuple(each[name] for name in fields) for each in shown["actors"]}
    assert {actor_id: sums for actor_id, sums in by_actor.items() if sums[0]} == summed
    totals = tuple(map(sum, zip(*summed.values(), strict=True)))
    assert tuple(shown["summary"][f"{name}_all"] for name in ("total_executions", *fields[1:])) == totals

    begin = max(number for number, event in enumerate(daemon.events) if event["event"] == "serving")
    settled = sum(event["event"] == "execution_complete" for event in daemon.events[begin:])
    scraped = samples(await admin.text("/metrics"))
    assert scraped.value("abacod_messages_waiting") == 0
    assert scraped.value("abacod_executions_total", status="COMPLETE") == settled
