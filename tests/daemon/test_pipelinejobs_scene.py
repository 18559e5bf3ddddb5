"""The PipelineJobs system as a lab uses it: from a catalog to products that are linked to measurements, with real containers.

The files are those of `examples/word-count-pipeline`; only the image is another one.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.process import Client, DaemonProcess
from tests.daemon.test_abaco import Terminal
from tests.docker_images import SHELL, image_name

pytestmark = [pytest.mark.docker, pytest.mark.daemon, pytest.mark.timeout(120)]

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "word-count-pipeline"
TEXT: Final = "it is a truth universally acknowledged that a single man in possession of a good fortune"
SAMPLE: Final = "sample.tacc.book-1"
LIFE: Final = ["create", "run", "finish", "index", "indexed"]
MEASUREMENTS: Final = ("measurement.tacc.book-1-scan-1", "measurement.tacc.book-1-scan-2")


def as_text(name: str) -> str:
    """A file of the example on one line, as `jq -c .` prints it."""
    return json.dumps(json.loads((EXAMPLE / name).read_text()), separators=(",", ":"))


@dataclass
class Lab:
    """A lab at its workstation: the daemon, its administrator's shell, and a user with `abaco` and curl."""

    daemon: DaemonProcess
    client: Client
    terminal: Terminal

    async def administers(self, *arguments: str) -> str:
        """What `abacod ARGUMENTS` prints."""
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "abacod", *arguments, "--config", str(self.daemon.config)),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await command.communicate()
        assert command.returncode == 0, arguments
        return out.decode()

    async def sends(self, reactor: str, message: str, *options: str) -> tuple[int | None, str]:
        """How an execution of a reactor ended, and its log, by `abaco run --wait`."""
        code, out, _ = await self.terminal.run("run", "-w", "-m", message, *options, reactor)
        return code, out

    async def prepared(self, image: str, uploads: Path) -> None:
        """Load the catalog, put a text where the job looks for it, register the app and the pipeline."""
        text = uploads / "uploads" / "books" / "book-1-scan-1.txt"
        text.parent.mkdir(parents=True)
        text.write_text(TEXT)
        await self.administers("catalog", "load", str(EXAMPLE / "catalog.json"))
        app = json.loads((EXAMPLE / "app.json").read_text()) | {"image": image}
        described = self.daemon.folder / "app.json"
        described.write_text(json.dumps(app))
        (self.daemon.folder / "count.sh").write_text((EXAMPLE / "count.sh").read_text())
        await self.administers("apps", "add", str(described))
        code, log = await self.sends("pipelines-manager", as_text("pipeline.json"))
        assert code == 0, log
        assert re.search(
            r"DEBUG Action selected: create\n.* INFO Created pipeline 106\S+ with update token \w{16}\n", log
        )

    async def launched(self) -> str:
        """Launch the job; its UUID."""
        code, log = await self.sends("pipelinejobs-agave-proxy", as_text("job.json"))
        assert code == 0, log
        found = re.search(r"ManagedPipelineJob (107\S+) is managing Agave job \S+-007 \(\d+ usec\)", log)
        assert found, log
        return found[1]

    async def job(self, uuid: str) -> dict[str, Any]:
        """The job's record."""
        record: dict[str, Any] = (await self.client.get(f"/v3/jobs/{uuid}")).answer["result"]
        return record

    async def only_job(self) -> str:
        """The UUID of the one job, once that is there."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            found[:] = (await self.client.get("/v3/jobs")).answer["result"]
            return bool(found)

        await self.until(there)
        [job] = found
        return str(job["uuid"])

    async def until(self, what: Callable[[], Awaitable[bool]]) -> None:
        """Look again after each execution that ends, for it may be the callback that is waited for."""
        seen = 0
        while not await what():
            event = await self.daemon.event(lambda event: event["event"] == "execution_complete", since=seen)
            seen = self.daemon.events.index(event) + 1

    async def until_indexed(self, uuid: str) -> dict[str, Any]:
        """The record of the job once its products are indexed."""

        async def indexed() -> bool:
            return str((await self.job(uuid))["last_event"]) == "indexed"

        await self.until(indexed)
        return await self.job(uuid)


def in_order(record: dict[str, Any]) -> list[str]:
    """The events that moved a job on, each where it first came: the container's start is told by the proxy, too, and
    callbacks may come twice.
    """
    names = [entry["name"] for entry in record["history"]]
    return [name for name in dict.fromkeys(names) if name not in ("resource", "update")]


def lab_settings(root: Path) -> str:
    return f'[engine]\npull_policy = "missing"\n[pipelines.systems.data-sd2e-community]\nroot = "{root}"'


async def check_products(lab: Lab, uuid: str, root: Path) -> None:
    """What the job left: files in its archive, records of them, links to the measurements of its sample."""
    record = await lab.job(uuid)
    archive = root / record["archive_path"].lstrip("/")
    words = next(archive.glob("words-*.txt"))
    assert words.read_text().split() == [str(len(TEXT.split()))]
    listed = (await lab.client.get(f"/v3/files?job={uuid}")).answer["result"]
    assert {Path(each["name"]).name for each in listed} == {path.name for path in archive.iterdir()}
    assert sorted(each["type"] for each in listed) == ["CSV", "PLAIN"]
    measured = [(await lab.client.get(f"/v3/catalog/records/{name}")).answer["result"]["uuid"] for name in MEASUREMENTS]
    assert record["child_of"] == sorted(measured)
    for each in listed:
        assert each["level"] == "1"
        assert uuid in each["generated_by"]
        assert each["measurements"] == sorted(measured)


async def check_tokens(lab: Lab, uuid: str) -> None:
    """Only the job's own token lets an event in; only an administrative one resets it."""
    message = {"uuid": uuid, "name": "validate", "token": "0123456789abcdef"}
    code, log = await lab.sends("pipelinejobs-manager", json.dumps(message))
    assert code == 1
    assert "CRITICAL Event not processed" in log
    assert (await lab.job(uuid))["state"] == "FINISHED"
    token = (await lab.client.outside("POST", "/v3/jobs", json=await request_of(lab, uuid)))["token"]
    code, _ = await lab.sends("pipelinejobs-manager", json.dumps(message | {"token": token}))
    assert code == 0
    assert (await lab.job(uuid))["state"] == "VALIDATING"
    code, _ = await lab.sends("pipelinejobs-manager", json.dumps({"uuid": uuid, "name": "reset", "token": token}))
    assert code == 1
    admin = (await lab.administers("admin-token")).strip()
    code, log = await lab.sends("pipelinejobs-manager", json.dumps({"uuid": uuid, "name": "reset", "token": admin}))
    assert code == 0, log


async def request_of(lab: Lab, uuid: str) -> dict[str, Any]:
    """The request that the job was made with, which tells its token again."""
    record = await lab.job(uuid)
    return {"pipeline_uuid": record["pipeline_uuid"], "data": record["data"], "sample_id": SAMPLE}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The directory of the storage system."""
    path = tmp_path / "storage"
    path.mkdir()
    return path


async def test_a_job_from_the_catalog_to_its_products(tmp_path: Path, root: Path, docker_images: str) -> None:
    async with DaemonProcess(tmp_path, lab_settings(root)) as daemon:
        token = daemon.token("alice")
        await daemon.start()
        async with Client.opened(daemon, token) as client:
            lab = Lab(daemon, client, Terminal(daemon, token))
            await lab.prepared(image_name(docker_images, SHELL), root)
            uuid = await lab.launched()
            record = await lab.until_indexed(uuid)
            assert record["state"] == "FINISHED"
            assert in_order(record) == LIFE
            assert not [name for name in record if name.startswith("_")]
            await check_products(lab, uuid, root)
            await check_tokens(lab, uuid)
        await stop_with_nothing_left(daemon)


@pytest.mark.parametrize("status", ["STAGING_INPUTS", "QUEUED", "RUNNING", "ARCHIVING", "FINISHED"])
async def test_a_daemon_killed_in_the_middle_of_a_job_ends_it_the_same_way(
    tmp_path: Path, root: Path, docker_images: str, status: str
) -> None:
    async with DaemonProcess(tmp_path, lab_settings(root)) as daemon:
        token = daemon.token("alice")
        await daemon.start()
        async with Client.opened(daemon, token) as client:
            lab = Lab(daemon, client, Terminal(daemon, token))
            await lab.prepared(image_name(docker_images, SHELL), root)
            await lab.terminal.run("run", "-m", as_text("job.json"), "pipelinejobs-agave-proxy")
            await daemon.event(lambda event: event["event"] == "batch_job_moved" and event["status"] == status)
            await daemon.kill()
            await daemon.start()
            uuid = await lab.only_job()
            record = await lab.until_indexed(uuid)
            assert record["state"] == "FINISHED"
            assert in_order(record) == LIFE
            await check_products(lab, uuid, root)
        await stop_with_nothing_left(daemon)
