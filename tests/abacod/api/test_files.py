"""Files of the data catalog over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

from abacod.config_pipelines import PipelineSettings
from abacod.ids import Username
from abacod.models.catalog import Record, RecordKind
from abacod.services.tokens import SigningKey
from abacod.store import records
from reactors.pipelinejobs.identifiers import DEFAULT_SYSTEM, Identifiers, Kind
from reactors.ports import FileRecord, Fixity
from tests.abacod.api.serving import CREATED, DEV, Client, Serving, serving

NAMES: Final = Identifiers()
JOB: Final = NAMES.typed(Kind.PIPELINEJOB, "job")
ALICE: Final = Username("alice")
PATHS: Final = [f"/products/v2/p/{name}" for name in ("a.bam", "b.txt", "c d%2f.txt")]


@pytest.fixture
async def served(tmp_path: Path, signing_key: SigningKey) -> AsyncIterator[Serving]:
    """A daemon that knows some files."""
    async with serving(tmp_path, signing_key, pipelines=PipelineSettings()) as running:
        links = {"child_of": (JOB,), "generated_by": (JOB,)}
        files = [
            FileRecord(path, DEFAULT_SYSTEM, "BAM" if path.endswith("bam") else "PLAIN", "1", links)
            for path in PATHS[1:]
        ]
        first = FileRecord(PATHS[0], DEFAULT_SYSTEM, "BAM", "2", links, Fixity("ab" * 32, 3, 1_550_000_000), "a note")
        await running.daemon.core.system.file_records.write(DEV, ALICE, [first, *files])
        yield running


async def listed(client: Client, query: str = "") -> list[str]:
    return [file["name"] for file in (await client.get(f"/v3/files{query}", expect=200)).result]


async def test_a_file_is_shown_with_links_and_checksum(alice: Client) -> None:
    shown: dict[str, Any] = (await alice.get(f"/v3/files/{NAMES.file(PATHS[0])}", expect=200)).result
    assert shown.pop("created") == shown.pop("modified")
    moment = "2019-02-12T19:33:20.000Z"
    fixity = {"checksum": "ab" * 32, "size": 3, "created": moment, "modified": moment, "version": 1}
    assert shown == {
        "uuid": NAMES.file(PATHS[0]),
        "name": PATHS[0],
        "storage_system": DEFAULT_SYSTEM,
        "file_id": NAMES.file_id(PATHS[0]),
        "type": "BAM",
        "level": "2",
        "note": "a note",
        "attributes": {},
        "child_of": [JOB],
        "generated_by": [JOB],
        "derived_from": [],
        "derived_using": [],
        "measurements": [],
        "fixity": fixity,
    }


async def test_a_file_is_found_by_its_id_and_its_uri(alice: Client) -> None:
    for path in PATHS:
        uri = f"agave://{DEFAULT_SYSTEM}{path}"
        for name in (NAMES.file(path), NAMES.file_id(path), uri, path):
            assert (await alice.get(f"/v3/files/{quote(name, safe='')}", expect=200)).result["name"] == path
    for name in ("nothing", JOB, "agave%3A%2F%2Fnowhere%2F..%2Fa", "%00", quote("/products/v2/p")):
        await alice.get(f"/v3/files/{quote(name, safe='%')}", expect=404)


async def test_files_are_listed_by_what_is_asked_for(alice: Client) -> None:
    assert await listed(alice) == PATHS
    assert sorted(await listed(alice, f"?child_of={JOB}")) == PATHS
    assert await listed(alice, f"?child_of={JOB}&level=2") == PATHS[:1]
    assert await listed(alice, "?type=PLAIN") == PATHS[1:]
    assert await listed(alice, "?path=/products/v2/p/c") == PATHS[2:]
    assert await listed(alice, "?system=nowhere") == []


async def test_lists_come_in_pages(alice: Client) -> None:
    assert await listed(alice, "?limit=2") == PATHS[:2]
    assert await listed(alice, f"?limit=2&after={NAMES.file(PATHS[1])}") == PATHS[2:]
    await alice.get(f"/v3/files?after={JOB}", expect=404)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "up to 1000"),
        ("limit=many", "whole number"),
        ("jobs=1", "no parameter 'jobs'; there are job"),
        (f"job={JOB}&sample=a", "Only one of"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(alice: Client, query: str, said: str) -> None:
    assert said in str((await alice.get(f"/v3/files?{query}", expect=400)).message)


async def test_what_no_job_or_record_has_is_not_found(alice: Client) -> None:
    for parent in ("job", "measurement", "sample", "experiment", "experiment_design"):
        await alice.get(f"/v3/files?{parent}=nothing", expect=404)


async def test_a_nonce_of_the_indexer_shows_them(served: Serving, root: Client) -> None:
    nonce = (await root.post("/v3/actors/pipelinejobs-indexer/nonces", json={"level": "READ"}, expect=201)).result["id"]
    assert await listed(served.nobody, f"?x-nonce={nonce}") == PATHS
    await served.nobody.get("/v3/files", expect=401)


async def test_another_tenant_has_its_own(zoe: Client) -> None:
    assert await listed(zoe) == []


async def test_nothing_private_of_a_loaded_record_is_shown(served: Serving, alice: Client) -> None:
    document = {"name": "/uploads/a", "level": ["odd"], "_admin": {"owner": "bob"}, "lab": {"x": 1}}
    record = Record(NAMES.file("/uploads/a"), RecordKind.FILE, document)
    await served.database.write(lambda tx: records.upsert(tx, DEV, record, by=ALICE, now=CREATED))
    shown = (await alice.get(f"/v3/files/{record.uuid}", expect=200)).result
    assert (shown["attributes"], shown["level"], shown["type"]) == ({"lab": {"x": 1}}, ["odd"], None)
    assert "bob" not in str(shown)
