"""A daemon that is killed again and again keeps all that the PipelineJobs system promises: events, launches, products, tokens."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from abacod.store.database import beside_daemon
from reactors.pipelinejobs.states import JobState, after, event_named
from tests.daemon.flows import mount_setting
from tests.daemon.job_loads import Catalogued, Indexed, Launched, Piped, Told, handled, prepared
from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.loads import Load, loaded
from tests.daemon.process import Client, DaemonProcess
from tests.docker_images import SHELL, image_name

pytestmark = [pytest.mark.docker, pytest.mark.daemon]

# More of them, and other moments, by hand: STORM_KILLS=200 STORM_SEED=7 pytest tests/daemon/test_jobs_storm.py
KILLS = int(os.environ.get("STORM_KILLS", "3"))
SEED = int(os.environ.get("STORM_SEED", "1"))

EARLY: Final = 0.3
"""How often a daemon is killed a second time while it starts."""
REACTORS: Final = ("pipelines-manager", "pipelinejobs-manager", "pipelinejobs-indexer", "pipelinejobs-agave-proxy")
# How an entry of the history of a batch job may follow another one.
_WAY: Final = [
    *("PENDING", "PROCESSING_INPUTS", "STAGING_INPUTS", "STAGED", "SUBMITTING", "QUEUED", "RUNNING", "CLEANING_UP"),
    *("ARCHIVING", "ARCHIVING_FINISHED", "FINISHED"),
]


@pytest.mark.timeout(180 + 15 * KILLS)
async def test_jobs_go_on(tmp_path: Path, docker_images: str) -> None:
    dice = random.Random(SEED)
    out, root = tmp_path / "out", tmp_path / "storage"
    root.mkdir()
    settings = f'[engine]\npull_policy = "missing"\n{mount_setting(out)}\n[pipelines.systems.data-sd2e-community]\nroot = "{root}"'
    async with DaemonProcess(tmp_path, settings) as daemon:
        tokens = [daemon.token(name) for name in ("alice", "bob")]
        overseer = daemon.token("root", "abaco_admin")
        await daemon.start()
        async with (
            Client.opened(daemon, tokens[0]) as alice,
            Client.opened(daemon, tokens[1]) as bob,
            Client.opened(daemon, overseer) as admin,
            aiohttp.ClientSession() as session,
        ):
            pipeline = await prepared(daemon, admin, image_name(docker_images, SHELL), root)
            loads: list[Load] = [
                Launched(daemon, alice, root, out, "alice", pipeline),
                Launched(daemon, bob, root, out, "bob", pipeline),
                await Told.registered(daemon, alice, pipeline, session, tokens[0]),
                Piped(alice, daemon, "alice"),
                Piped(bob, daemon, "bob"),
                Catalogued(admin),
                Indexed(daemon, bob, root, pipeline),
            ]
            twice = 0
            async with loaded(loads):
                for _ in range(KILLS):
                    await asyncio.sleep(dice.uniform(0.05, 4))
                    await daemon.kill()
                    if dice.random() < EARLY:
                        await daemon.start_and_kill(dice.uniform(0, 1.5))
                        twice += 1
                    await daemon.start()
            for reactor in REACTORS:
                await handled(daemon, reactor)
            figures = [await load.check() for load in loads]
            # For long runs by hand: pytest -rP shows it.
            print(f"{KILLS} kills and {twice} during the starts after them: {'; '.join(figures)}")  # noqa: T201 - see above
        await stop_with_nothing_left(daemon)
    assert not [event for event in daemon.events if "exception" in event or event["event"] == "text"]
    _assert_records_agree(daemon)
    assert list((daemon.data_dir / "work").iterdir()) == []


def _assert_records_agree(daemon: DaemonProcess) -> None:
    """Revisions are what the log of changes says, states what histories say, and nobody is still to be told anything."""
    settings = daemon.settings()
    with beside_daemon(settings.database_path, settings.store) as connection:
        changes = {
            row[0]: tuple(row)[1:]
            for row in connection.execute(
                "SELECT uuid, count(*) - 1, sum(action = 'create'), min(seq) = min(CASE action WHEN 'create' THEN seq END) "
                "FROM updates GROUP BY tenant, uuid"
            )
        }
        for table in ("pipelines", "jobs", "records"):
            for uuid, revision in connection.execute(f"SELECT uuid, revision FROM {table}").fetchall():  # noqa: S608 - of the names above
                assert changes.pop(uuid) == (revision, 1, 1), table
        assert changes == {}
        for uuid, state, revision in connection.execute("SELECT uuid, state, revision FROM jobs").fetchall():
            rows = connection.execute("SELECT name FROM job_events WHERE job = ? ORDER BY seq", (uuid,)).fetchall()
            now = JobState.CREATED
            for row in rows:
                now = after(now, event_named(row[0]))
            assert (now, len(rows) - 1) == (state, revision)
        for (job_id,) in connection.execute("SELECT id FROM batch_jobs").fetchall():
            statuses = connection.execute("SELECT status FROM batch_history WHERE job_id = ? ORDER BY seq", (job_id,))
            way = [row[0] for row in statuses]
            assert way in (_WAY, [*_WAY[: len(way) - 1], "FAILED"]), way
        assert connection.execute("SELECT count(*) FROM batch_notifications WHERE done_ms IS NULL").fetchone()[0] == 0
        ends = connection.execute("SELECT status, count(*) FROM executions GROUP BY status").fetchall()
        assert [row[0] for row in ends] == ["COMPLETE"]
        assert connection.execute("SELECT count(*) FROM batch_jobs WHERE NOT ended").fetchone()[0] == 0
