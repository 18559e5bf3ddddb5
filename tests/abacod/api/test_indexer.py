"""The Indexer on a whole daemon: messages go in, records of files come out (spec/pipelinejobs 6, 11.5)."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from abacod.config_pipelines import PipelineSettings
from abacod.models.catalog import RecordKind
from abacod.services.storage.systems import FileState, Systems
from abacod.services.tokens import SigningKey
from abacod.store import updates
from reactors.pipelinejobs.identifiers import DEFAULT_SYSTEM
from tests.abacod.api.serving import Client, Serving, serving
from tests.jobbing import IDS, MEASUREMENTS, SAMPLE, Jobbing, put_record

INDEXER: Final = "/actors/v2/pipelinejobs-indexer"
MEASUREMENT, MEASURED = next(iter(MEASUREMENTS.items()))


@dataclass
class Archive:
    """A job that is finished, and its archive, from which nothing was indexed so far."""

    jobbing: Jobbing
    uuid: str
    token: str
    path: str
    root: Path

    @property
    def directory(self) -> Path:
        return self.root / self.path.lstrip("/")

    def write(self, *names: str) -> None:
        """Make files, each with its own name in it."""
        for name in names:
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)

    async def send(
        self, message: Any = None, query: str = "", sender: Client | None = None, **fields: Any
    ) -> tuple[int, str, list[str]]:
        """A message to the Indexer and its end: exit code, log, paths in the results."""
        body = {"uuid": self.uuid, "name": "index", "token": self.token, **fields} if message is None else message
        options = {"data": body} if isinstance(body, bytes) else {"json": body}
        client, served = self.jobbing.user, self.jobbing.served
        sent = await (sender or client).post(f"{INDEXER}/messages{query}", **options, expect=200)
        path = f"/v3{INDEXER.replace('/v2', '')}/executions/{sent.result['executionId']}"
        ended = await served.until_status(sender or client, path, "COMPLETE", "ERROR")
        log = (await (sender or client).get(f"{path}/logs", expect=200)).result["logs"]
        paths: list[str] = []
        while result := (await (sender or client).fetch("GET", f"{path}/results")).body:
            paths += json.loads(result)
        return ended["exit_code"], log, [each.removeprefix(f"{self.path}/") for each in paths]

    async def history(self) -> list[str]:
        return [entry["name"] for entry in (await self.shown())["history"]]

    async def shown(self) -> dict[str, Any]:
        return await self.jobbing.shown(self.uuid)

    async def until(self, *events: str) -> None:
        """Wait until these are the last events of the job."""

        async def reached() -> bool:
            return (await self.history())[-len(events) :] == [*events]

        await self.jobbing.served.until(reached)

    async def files(self, query: str = "") -> dict[str, dict[str, Any]]:
        """The files of the job in the catalog, by their names in the archive."""
        found = (await self.jobbing.user.get(f"/v3/files?{query or f'job={self.uuid}'}", expect=200)).result
        return {file["name"].removeprefix(f"{self.path}/"): file for file in found}


@pytest.fixture
async def served(tmp_path: Path, signing_key: SigningKey) -> AsyncIterator[Serving]:
    async with serving(tmp_path, signing_key, pipelines=PipelineSettings()) as running:
        yield running


@pytest.fixture
async def archive(served: Serving, alice: Client) -> Archive:
    """Of a job that is finished and was indexed while there was nothing in it."""
    return await finished(await Jobbing.on(served, alice))


async def finished(jobbing: Jobbing, **fields: Any) -> Archive:
    made = await jobbing.job(**fields)
    job, token = made["job"], made["token"]
    archive = Archive(
        jobbing, job["uuid"], token, job["archive_path"], jobbing.served.settings.system_roots[DEFAULT_SYSTEM]
    )
    for event in ("run", "finish"):
        await jobbing.event(archive.uuid, event, token)
    await archive.until("finish", "index", "indexed")
    return archive


async def test_a_job_that_finishes_is_indexed_by_itself(served: Serving, alice: Client) -> None:
    jobbing = await Jobbing.on(served, alice)
    made = await jobbing.job(archive_patterns=[{"patterns": ["bam$"], "level": "2"}])
    archive = Archive(
        jobbing,
        made["job"]["uuid"],
        made["token"],
        made["job"]["archive_path"],
        served.settings.system_roots[DEFAULT_SYSTEM],
    )
    archive.write("a.bam", "deep/er/c.bam", "b.txt")
    await jobbing.event(archive.uuid, "run", archive.token)
    await jobbing.event(archive.uuid, "finish", archive.token)
    await archive.until("create", "run", "finish", "index", "indexed")
    assert {name: file["level"] for name, file in (await archive.files()).items()} == {
        "a.bam": "2",
        "deep/er/c.bam": "2",
    }


async def test_filters_choose_files_and_the_level_is_given(archive: Archive) -> None:
    # Scenarios 14 and 7.
    archive.write("a.bam", "b.txt")
    code, log, paths = await archive.send(filters=[".bam%24"], level="2")
    assert (code, paths) == (0, ["a.bam"])
    assert f"INFO Indexed 1 files to PipelineJob {archive.uuid}. (" in log
    await archive.until("index", "indexed", "index", "indexed")
    job = await archive.shown()
    assert (job["state"], job["last_event"]) == ("FINISHED", "indexed")
    ((name, file),) = (await archive.files()).items()
    assert (name, file["level"], file["type"], file["storage_system"]) == ("a.bam", "2", "BAM", DEFAULT_SYSTEM)
    assert (file["child_of"], file["generated_by"], file["measurements"]) == (
        [archive.uuid],
        [archive.uuid],
        [MEASURED],
    )
    assert file["file_id"].startswith("file.tacc.")
    assert file["fixity"]["checksum"] == sha256(b"a.bam").hexdigest()
    assert (file["fixity"]["size"], file["fixity"]["version"]) == (5, 1)


async def test_without_filters_and_patterns_all_files_are_indexed(archive: Archive) -> None:
    # Scenario 15.
    archive.write("a.bam", "b.txt")
    assert (await archive.send())[2] == ["a.bam", "b.txt"]
    files = await archive.files()
    assert {name: (file["level"], file["type"]) for name, file in files.items()} == {
        "a.bam": ("1", "BAM"),
        "b.txt": ("1", "PLAIN"),
    }
    for query in (f"measurement={MEASUREMENT}", f"sample={SAMPLE}", "experiment=experiment.tacc.10001"):
        assert await archive.files(query) == files


async def test_the_documented_filters_are_decoded(archive: Archive) -> None:
    # Scenario 16.
    wanted = ["sample-uw_biofab-141715.fq", "sample.uw_biofab.141715.txt"]
    archive.write(*wanted, "sample_uw_biofab_141715.txt")
    filters = ["sample%5C.uw_biofab%5C.141715", "sample-uw_biofab-141715"]
    assert (await archive.send(filters=filters, level="2"))[2] == wanted
    assert {file["level"] for file in (await archive.files()).values()} == {"2"}


async def test_the_documented_request_in_the_query_is_understood(archive: Archive) -> None:
    archive.write("sample.uw_biofab.141715", "other")
    query = f"?uuid={archive.uuid}&level=2&token={archive.token}&name=index"
    body = b'{"filters": ["sample.uw_biofab.141715", "sample-uw_biofab-141715"]}'
    assert (await archive.send(body, query))[2] == ["sample.uw_biofab.141715"]
    repeated = f"?uuid={archive.uuid}&token={archive.token}&filters=oth&filters=%5Enothing"
    assert (await archive.send(b"{}", repeated))[2] == ["other"]


async def test_a_source_that_is_not_there_ends_the_indexing_unless_it_is_permissive(archive: Archive) -> None:
    # Scenario 17.
    archive.write("wc-sample.txt")
    product = {"patterns": ["wc-sample.txt$"], "derived_using": [], "derived_from": ["./absent.txt"]}
    code, log, _ = await archive.send(filters=[product])
    assert code == 1
    assert "CRITICAL Failed to accomplish indexing : Unknown sources: './absent.txt'" in log
    job = await archive.shown()
    assert (job["state"], job["last_event"]) == ("INDEXING", "update")
    assert job["history"][-1]["data"] == {"error": "Unknown sources: './absent.txt'"}
    assert (await archive.send(filters=[product], permissive=True))[0] == 0
    await archive.until("update", "index", "indexed")
    assert list(await archive.files()) == ["wc-sample.txt"]


async def test_sources_become_links(archive: Archive) -> None:
    archive.write("wc-sample.txt", "sample.txt")
    upload = archive.root / "uploads/tacc/example/345.txt"
    upload.parent.mkdir(parents=True)
    upload.write_text("345")

    def put_genome(tx: Any) -> str:
        return put_record(tx, RecordKind.REFERENCE, "hg19", name="hg19", uri="https://example.org/hg19")

    reference = await archive.jobbing.served.database.write(put_genome)
    product = {
        "patterns": ["^wc-"],
        "derived_from": ["./sample.txt", "/uploads/tacc/example/345.txt"],
        "derived_using": ["hg19"],
        "fixity": True,
    }
    assert (await archive.send(filters=[product]))[0] == 0
    files = await archive.files()
    assert sorted(files) == ["sample.txt", "wc-sample.txt"]
    made, source = files["wc-sample.txt"], files["sample.txt"]
    assert made["derived_from"] == sorted([source["uuid"], "105fb204-530b-5915-9fd6-caf88ca9ad8a"])
    assert made["derived_using"] == [reference]
    assert made["fixity"]["size"] == len("wc-sample.txt")
    assert source["fixity"] is None


async def test_indexing_again_changes_levels_and_versions_only(archive: Archive) -> None:
    archive.write("a.bam", "b.txt")
    await archive.send()
    before = await archive.jobbing.served.database.read(updates.last)
    first = await archive.files()
    await archive.send()
    assert await archive.files() == first
    assert not [each for each in await changed_since(archive, before) if each != archive.uuid]
    archive.write("b.txt")
    (archive.directory / "b.txt").write_text("longer than before")
    await archive.send(level="3")
    again = await archive.files()
    assert again["a.bam"]["fixity"]["version"] == 1
    assert again["b.txt"]["fixity"]["version"] == 2
    assert {file["level"] for file in again.values()} == {"3"}


async def changed_since(archive: Archive, number: int) -> set[str]:
    tenant = archive.jobbing.tenant
    return await archive.jobbing.served.database.read(lambda tx: updates.since(tx, tenant, number))


async def test_what_lies_elsewhere_or_is_no_file_is_passed_over(archive: Archive, tmp_path: Path) -> None:
    archive.write("plain.txt", "with\nline feed", "ünï😀")
    (tmp_path / "secret").write_text("secret")
    (archive.directory / "out").symlink_to(tmp_path / "secret")
    (archive.directory / "host").symlink_to("/etc/passwd")
    (archive.directory / "up").symlink_to("..")
    (archive.directory / "copy").symlink_to("plain.txt")
    os.mkfifo(archive.directory / "fifo")
    (archive.directory / os.fsdecode(b"bad\xff")).touch()
    (archive.directory / "plain.txt ").touch()
    code, log, paths = await archive.send()
    assert (code, paths) == (0, ["copy", "plain.txt", "with\nline feed", "ünï😀"])
    assert "WARNING Passed over 6 names in the archive" in log
    files = await archive.files()
    assert sorted(files) == paths
    assert files["copy"]["fixity"]["checksum"] == files["plain.txt"]["fixity"]["checksum"]


async def test_an_archive_that_is_not_there_leaves_the_job_as_it_is(archive: Archive) -> None:
    archive.directory.rmdir()
    before = await archive.history()
    code, log, _ = await archive.send()
    assert code == 1
    assert "CRITICAL Failed to accomplish indexing : There is no" in log
    assert await archive.history() == before


async def test_a_job_that_has_not_finished_is_not_indexed(archive: Archive) -> None:
    made = await archive.jobbing.job(measurement_id=list(MEASUREMENTS)[1])
    code, log, _ = await archive.send({"uuid": made["job"]["uuid"], "name": "index", "token": made["token"]})
    assert code == 1
    assert "Failed to accomplish indexing : Can't trigger event index from state CREATED!" in log


async def test_a_job_that_there_is_not_is_an_error(archive: Archive) -> None:
    uuid = IDS.job("none", (), {})
    code, log, _ = await archive.send({"uuid": uuid, "name": "index", "token": archive.token})
    assert code == 1
    assert f"Failed to accomplish indexing : {uuid} is not a valid job ID" in log


@pytest.mark.parametrize("name", ["index", "indexed"])
async def test_who_may_leave_out_the_token(archive: Archive, root: Client, bob: Client, name: str) -> None:
    bare = {"uuid": archive.uuid, "name": name}
    before = await archive.history()
    code, log, _ = await archive.send(bare, sender=bob)
    assert code == 1
    assert "token: send the update token of the job" in log
    assert (await archive.send({**bare, "token": "0" * 16}, sender=bob))[0] == 1
    nonce = await root.post(
        "/v3/actors/pipelinejobs-indexer/nonces", json={"level": "UPDATE", "max_uses": -1}, expect=201
    )
    code, log, _ = await nonce_sent(archive, bare, nonce.result, root)
    assert code == 1
    assert await archive.history() == before
    assert (await nonce_sent(archive, {**bare, "token": archive.token}, nonce.result, root))[0] == 0
    await archive.until("indexed")
    await root.share("pipelinejobs-indexer", "bob", "UPDATE")
    before = await archive.history()
    assert (await archive.send(bare, sender=bob))[0] == 0
    await archive.until(*before, *(["index", "indexed"] if name == "index" else ["indexed"]))


async def nonce_sent(archive: Archive, message: Any, nonce: dict[str, str], reader: Client) -> tuple[int, str, None]:
    served = archive.jobbing.served
    sent = await served.nobody.post(
        f"/v3/actors/{nonce['actor_id']}/messages?x-nonce={nonce['id']}", json=message, expect=200
    )
    path = f"/v3/actors/pipelinejobs-indexer/executions/{sent.result['executionId']}"
    ended = await served.until_status(reader, path, "COMPLETE", "ERROR")
    return ended["exit_code"], (await reader.get(f"{path}/logs", expect=200)).result["logs"], None


async def test_an_execution_that_runs_again_ends_the_same(
    tmp_path: Path, signing_key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, goes_on, checksum = [f"{number:03}" for number in range(250)], threading.Event(), Systems.checksum

    def halting(self: Systems, system: str, path: str) -> tuple[FileState, str]:
        if path.endswith("/150"):
            goes_on.wait()
        return checksum(self, system, path)

    async with serving(tmp_path, signing_key, pipelines=PipelineSettings()) as served:
        archive = await finished(await Jobbing.on(served, await served.user("alice")))
        archive.write(*names)
        monkeypatch.setattr(Systems, "checksum", halting)
        message = {"uuid": archive.uuid, "name": "index", "token": archive.token}
        await archive.jobbing.user.post(f"{INDEXER}/messages", json=message, expect=200)

        async def has_begun() -> bool:
            return bool(await archive.files())

        await served.until(has_begun)
        before = await archive.files()
        assert len(before) < len(names)
    goes_on.set()
    async with serving(tmp_path, signing_key, pipelines=PipelineSettings()) as served:
        alice = Client(served.session, served.url, archive.jobbing.user.token)
        archive.jobbing = replace(archive.jobbing, served=served, user=alice)
        await archive.until("create", "run", "finish", "index", "indexed", "index", "indexed")
        files = await archive.files(f"job={archive.uuid}&limit=1000")
        assert sorted(files) == names
        assert {name: files[name] for name in before} == before
        assert {file["fixity"]["version"] for file in files.values()} == {1}


async def test_the_event_loop_serves_others_meanwhile(archive: Archive) -> None:
    for number in range(5):
        (archive.directory / f"{number:02}.dat").write_bytes(b"x" * 10_000_000)
    archive.write(*(f"{number}/{name}.txt" for number in range(5) for name in range(100)))
    served, longest = archive.jobbing.served, 0.0
    client = archive.jobbing.user
    message = {"uuid": archive.uuid, "name": "index", "token": archive.token}
    sent = await client.post(f"{INDEXER}/messages", json=message, expect=200)
    path = f"/v3/actors/pipelinejobs-indexer/executions/{sent.result['executionId']}"
    while (await client.get(path, expect=200)).result["status"] not in ("COMPLETE", "ERROR"):
        began = time.monotonic()
        await served.nobody.get("/healthz", expect=200)
        longest = max(longest, time.monotonic() - began)
    assert len(await archive.files(f"job={archive.uuid}&limit=1000")) == 505
    assert longest < 1
