"""Batch jobs on a real daemon and a real engine: files, templates, limits, stops; killed in each phase, each runs once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.daemon.flows import mount_setting
from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.process import DaemonProcess
from tests.docker_images import SHELL, image_name
from tests.hooks import HookServer

pytestmark = [pytest.mark.docker, pytest.mark.daemon]

ALL: Final = [
    *("PENDING", "PROCESSING_INPUTS", "STAGING_INPUTS", "STAGED", "SUBMITTING", "QUEUED", "RUNNING", "CLEANING_UP"),
    *("ARCHIVING", "ARCHIVING_FINISHED", "FINISHED"),
]
COUNT: Final = """
echo ran >> /out/"$AGAVE_JOB_NAME"
sleep "$pause"
cp "$text" copied
ln -s /etc/passwd way
ln -s "$text" inside
exit "$code"
"""


class Lab:
    """A daemon with an app, and a user of it. `runs` is where containers note that they ran, by the job's name."""

    def __init__(self, daemon: DaemonProcess, session: aiohttp.ClientSession, root: Path, runs: Path) -> None:
        self.daemon = daemon
        self.root = root
        self.runs = runs
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        async with self._session.request(method, self.daemon.url + path, json=body) as response:
            answer = await response.json()
            assert response.status < 300, answer
            return answer["result"]

    async def submit(self, name: str, **given: Any) -> str:
        parameters = {"pause": 0, "code": 0, **given.pop("parameters", {})}
        wanted = {"name": name, "inputs": {"text": "agave://lab/text"}, "archivePath": f"/products/{name}", **given}
        job = await self.ask("POST", "/jobs/v2", {"appId": "count-1", "parameters": parameters, **wanted})
        return str(job["id"])

    async def moved(self, job_id: str, *statuses: str) -> None:
        """Wait until a daemon has said so."""
        await self.daemon.event(
            lambda event: event["event"] == "batch_job_moved" and event["job"] == job_id and event["status"] in statuses
        )

    async def ended(self, job_id: str) -> dict[str, Any]:
        await self.moved(job_id, "FINISHED", "FAILED", "STOPPED", "ARCHIVING_FAILED")
        return dict(await self.ask("GET", f"/jobs/v2/{job_id}"))

    def archived(self, name: str) -> dict[str, str]:
        top = self.root / "products" / name
        return {path.name: path.read_text() for path in top.rglob("*") if path.is_file() and not path.is_symlink()}


@asynccontextmanager
async def laboratory(folder: Path, images: str, **changes: Any) -> AsyncIterator[Lab]:
    root, runs = folder / "lab", folder / "out"
    root.mkdir()
    (root / "text").write_text("text")
    described = {
        "id": "count-1",
        "image": image_name(images, SHELL),
        "template": COUNT,
        "inputs": [{"id": "text", "value": {"required": True}}],
        "parameters": [{"id": name, "value": {"type": "number"}} for name in ("pause", "code")],
        **changes,
    }
    settings = '[engine]\npull_policy = "missing"\n' + mount_setting(runs)
    system = f'\n[pipelines]\ndefault_system = "lab"\n[pipelines.systems.lab]\nroot = "{root}"\n'
    async with DaemonProcess(folder, settings + system) as daemon:
        headers = {"X-Tapis-Token": daemon.token("ada", "abaco_admin")}
        await daemon.start()
        async with aiohttp.ClientSession(headers=headers) as session:
            lab = Lab(daemon, session, root, runs)
            await lab.ask("POST", "/apps/v2", described)
            yield lab
        await stop_with_nothing_left(daemon)
    assert list((daemon.data_dir / "work").iterdir()) == []


@pytest.mark.timeout(240)
async def test_killed_in_each_phase_a_job_runs_once_and_everything_is_told(tmp_path: Path, docker_images: str) -> None:
    async with HookServer.opened() as hooks, laboratory(tmp_path, docker_images) as lab:
        for status in ALL[:-1]:
            told = {"url": hooks.url(f"/{status}") + "?s=${STATUS}", "event": "*", "persistent": True}
            job_id = await lab.submit(status, parameters={"pause": 1}, notifications=[told])
            if status != "PENDING":
                await lab.moved(job_id, status)
            await lab.daemon.kill()
            await lab.daemon.start()
            assert (await lab.ended(job_id))["status"] == "FINISHED"
            history = await lab.ask("GET", f"/jobs/v2/{job_id}/history")
            assert [entry["status"] for entry in history] == ALL
            assert (lab.runs / status).read_text() == "ran\n"
            assert lab.archived(status) == {"copied": "text", "inside": "text"}
            await _all_told(hooks, f"/{status}")


async def _all_told(hooks: HookServer, path: str) -> None:
    """Each status came, in order; the one that was on its way when the daemon was killed may have come twice."""
    times = len(ALL)
    while (seen := [body["status"] for body in await hooks.called(path, times)])[-1] != ALL[-1]:
        times = len(seen) + 1
    assert list(dict.fromkeys(seen)) == ALL
    assert seen == sorted(seen, key=ALL.index)
    assert len(seen) <= len(ALL) + 1


@pytest.mark.timeout(90)
async def test_an_end_is_told_as_it_was(tmp_path: Path, docker_images: str) -> None:
    async with laboratory(tmp_path, docker_images) as lab:
        failing = await lab.submit("failing", parameters={"code": 3})
        slow = await lab.submit("slow", parameters={"pause": 60}, maxRunTime="00:00:01")
        stopped = await lab.submit("stopped", parameters={"pause": 60})
        missing = await lab.submit("missing", inputs={"text": "agave://lab/nothing"})
        (lab.root / "way").symlink_to("/etc/passwd")
        escaping = await lab.submit("escaping", inputs={"text": "agave://lab/way"})
        await lab.moved(stopped, "RUNNING")
        await lab.ask("POST", f"/jobs/v2/{stopped}", {"action": "stop"})
        said = {name: await lab.ended(job) for name, job in locals().items() if name in _ENDS}
        assert {name: (job["status"], job["lastStatusMessage"]) for name, job in said.items()} == _ENDS
        assert not (lab.root / "products").exists()


_ENDS: Final = {
    "failing": ("FAILED", "The app ended with exit code 3."),
    "slow": ("FAILED", "The app was stopped after its maxRunTime of 1 s."),
    "stopped": ("STOPPED", None),
    "missing": ("FAILED", "The inputs could not be staged: There is no nothing on the storage system lab."),
    "escaping": (
        "FAILED",
        "The inputs could not be staged: A symbolic link leads out of the storage system lab.",
    ),
}


@pytest.mark.timeout(60)
async def test_a_command_gets_values_as_they_are(tmp_path: Path, docker_images: str) -> None:
    given = {
        "template": None,
        "entrypoint": ["/bin/sh", "-c"],
        "command": ['echo "$0" > "$1"; cat "$1"', "${pause} ${text} $(id)", "result"],
    }
    async with laboratory(tmp_path, docker_images, **given) as lab:
        job_id = await lab.submit("command", parameters={"pause": 7})
        assert (await lab.ended(job_id))["status"] == "FINISHED"
        assert lab.archived("command") == {"result": "7 text $(id)\n"}
        assert (await lab.ask("GET", f"/jobs/v2/{job_id}/logs"))["logs"] == "7 text $(id)\n"
