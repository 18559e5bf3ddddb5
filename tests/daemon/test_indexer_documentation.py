"""The examples of the chapter "PipelineJobs Indexer" of the user documentation, as a reader types them, on one real daemon.

Only the server's name, ids and tokens differ from what is printed there. The address is quoted, for the shell's sake.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from abacod.services.accounts import hash_password
from tests.daemon.documentation import HOST, PASSWORD, Reader
from tests.daemon.process import DaemonProcess

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]

RECORDS: Final = [
    {"experiment_id": "experiment.uw_biofab.1"},
    {"sample_id": "sample.uw_biofab.141715", "child_of": ["experiment.uw_biofab.1"]},
    {
        "measurement_id": "measurement.uw_biofab.1",
        "measurement_type": "RNA_SEQ",
        "child_of": ["sample.uw_biofab.141715"],
    },
]
PIPELINE: Final = {"name": "Tacobot 9000", "components": [{"id": "eqMyqq4xB1Lqa", "image": "tacc/tacobot"}]}
WANTED: Final = ["sample-uw_biofab-141715.fastq.gz", "sample.uw_biofab.141715.bam"]

DOCUMENT: Final = """{
"uuid": "1079f67e-0ef6-52fe-b4e9-d77875573860",
"name": "index",
"filters": [
"sample%5C.uw_biofab%5C.141715",
"sample-uw_biofab-141715"
],
"level": "2",
"token": "0dc73dc3ff39b49a"
}"""

PARAMETERS: Final = """curl -s -H "Authorization: Bearer $TOKEN" -XPOST \\
"https://<tenantUrl>/actors/v2/<actorId>/messages?uuid=1073f4ff-c2b9-5190-bd9a-e6a406d9796a&\\
level=2&token=0dc73dc3ff39b49a&name=index" --data '{"filters": ["sample.uw_biofab.141715", "sample-uw_biofab-141715"]}'"""

MARK: Final = """{
"uuid": "1079f67e-0ef6-52fe-b4e9-d77875573860",
"name": "indexed",
"token": "0dc73dc3ff39b49a"
}"""


@dataclass
class Job:
    """A job that has finished, with files in its archive."""

    reader: Reader
    uuid: str

    async def send(self, document: str) -> None:
        """Send a printed document to the Indexer."""
        await self.run(
            f"""curl -s -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -XPOST \\
{HOST}/actors/v2/pipelinejobs-indexer/messages --data '{document}'"""
        )

    async def run(self, typed: str) -> None:
        """Send a message with a printed command, and wait for its execution."""
        sent = await self.reader.result(typed)
        await self.reader.daemon.ended({sent["executionId"]})

    async def shown(self) -> dict[str, Any]:
        """The job's record."""
        return dict(await self.reader.result(f'curl -s -H "Authorization: Bearer $TOKEN" {HOST}/v3/jobs/{self.uuid}'))

    async def indexed(self, times: int) -> dict[str, str]:
        """Wait until it has been indexed so often; the levels of its files by their names."""
        while [entry["name"] for entry in (await self.shown())["history"]].count("indexed") < times:
            pass
        listing = f'curl -s -H "Authorization: Bearer $TOKEN" "{HOST}/v3/files?job={self.uuid}"'
        return {Path(file["name"]).name: file["level"] for file in await self.reader.result(listing)}


async def posted(reader: Reader, path: str, body: Any) -> Any:
    typed = (
        f"""curl -s -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{json.dumps(body)}' """
    )
    return await reader.result(typed + HOST + path)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def job(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Job]:
    folder = tmp_path_factory.mktemp("indexer")
    async with DaemonProcess(folder) as daemon:
        daemon.add_user("jstubbs", hash_password(PASSWORD), "abaco_admin")
        token = daemon.token("jstubbs")
        await daemon.start()
        reader = Reader(daemon, token, folder)
        await posted(reader, "/v3/catalog", RECORDS)
        sent = await posted(reader, "/v3/actors/pipelines-manager/messages", PIPELINE)
        await daemon.ended({sent["execution_id"]})
        (pipeline,) = await reader.result(f'curl -s -H "Authorization: Bearer $TOKEN" {HOST}/v3/pipelines')
        request = {"pipeline_uuid": pipeline["uuid"], "sample_id": "sample.uw_biofab.141715"}
        made = await posted(reader, "/v3/jobs", request)
        shown, uuid = made["job"], made["job"]["uuid"]
        for event in ("run", "finish"):
            await posted(reader, f"/v3/jobs/{uuid}/events", {"name": event, "token": made["token"]})
        job = Job(reader, uuid)
        assert await job.indexed(1) == {}
        for name in (*WANTED, "log.txt"):
            (daemon.data_dir / "systems" / shown["archive_system"] / shown["archive_path"].lstrip("/") / name).touch()
        reader.words = {
            "1079f67e-0ef6-52fe-b4e9-d77875573860": uuid,
            "1073f4ff-c2b9-5190-bd9a-e6a406d9796a": uuid,
            "0dc73dc3ff39b49a": made["token"],
            "https://<tenantUrl>": daemon.url,
            "<actorId>": "pipelinejobs-indexer",
        }
        yield job
        await daemon.stop()


async def test_index_request_as_json(job: Job) -> None:
    await job.send(DOCUMENT)
    assert await job.indexed(2) == dict.fromkeys(WANTED, "2")


async def test_index_request_as_url_parameters(job: Job) -> None:
    await job.run(PARAMETERS)
    assert await job.indexed(3) == dict.fromkeys(WANTED, "2")


async def test_mark_as_indexed(job: Job) -> None:
    await job.send(MARK)
    shown = await job.shown()
    assert (shown["state"], shown["last_event"]) == ("FINISHED", "indexed")
    assert [entry["name"] for entry in shown["history"]].count("indexed") == 4
