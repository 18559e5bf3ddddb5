"""The data catalog over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from abacod.config_pipelines import PipelineSettings
from abacod.services.tokens import SigningKey
from reactors.pipelinejobs.identifiers import Identifiers, Kind
from tests.abacod.api.serving import MAX_TEXT, Client, Serving, serving

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = (REPOSITORY / "examples" / "word-count-pipeline" / "catalog.json").read_bytes()
NAMES = Identifiers()
JSON = {"Content-Type": "application/json"}
BOOK = NAMES.typed(Kind.SAMPLE, "sample.tacc.book-1")


@pytest.fixture
async def served(tmp_path: Path, signing_key: SigningKey) -> AsyncIterator[Serving]:
    """A daemon with the built-in reactors."""
    async with serving(tmp_path, signing_key, pipelines=PipelineSettings()) as running:
        await running.recovered()
        yield running


async def load(client: Client, data: bytes, expect: int = 200) -> Any:
    return (await client.post("/v3/catalog", data=data, headers=JSON, expect=expect)).result


async def listed(client: Client, query: str) -> list[Any]:
    return [each["record"] for each in (await client.get(f"/v3/catalog/{query}", expect=200)).result]


async def test_an_array_is_loaded_and_counted_by_kind(root: Client) -> None:
    created = {"created": 1, "updated": 0, "unchanged": 0}
    assert await load(root, EXAMPLE) == {
        "experiment_design": created,
        "experiment": created,
        "sample": {**created, "created": 2},
        "measurement": {**created, "created": 4},
        "file": created,
    }
    again = await load(root, EXAMPLE)
    assert again["sample"] == {"created": 0, "updated": 0, "unchanged": 2}


async def test_lines_and_an_object_with_records_are_loaded_as_well(root: Client) -> None:
    records = json.loads(EXAMPLE)
    await load(root, b"\n".join(json.dumps(record).encode() for record in records))
    again = await load(root, json.dumps({"records": records}).encode())
    assert {outcome for tally in again.values() for outcome, count in tally.items() if count} == {"unchanged"}


async def test_only_administrators_load(alice: Client, root: Client) -> None:
    await load(alice, EXAMPLE, expect=403)
    assert await listed(root, "sample") == []


async def test_what_is_wrong_is_told_and_nothing_is_written(root: Client) -> None:
    wrong = json.dumps([*json.loads(EXAMPLE), {"sample_id": "x"}, 5]).encode()
    answer = await root.post("/v3/catalog", data=wrong, headers=JSON, expect=400)
    assert answer.message.startswith("request body, record 7: The sample lacks the field child_of.")
    assert answer.result["problems"][1].startswith("request body, record 8: a record is a JSON object")
    assert await listed(root, "sample") == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"[" * 1_000_000, "nested"),
        (b"\xff", "is not valid UTF-8"),
        (b'[{"process_id": "\\ud800", "name": "x"}]', "half of a surrogate pair"),
        (b'[{"process_id": "a\\u0000b", "name": "x"}]', "control character"),
        (b'{"process_id": 5, "name": "x"}', "process_id"),
        (b'"text"', "a record is a JSON object"),
    ],
)
async def test_hostile_bodies_are_refused(root: Client, body: bytes, says: str) -> None:
    assert says in (await root.post("/v3/catalog", data=body, headers=JSON, expect=400)).message


async def test_ten_megabytes_are_loaded_and_shown_and_more_is_refused(root: Client) -> None:
    text = "é" * 5_000_000
    await load(root, json.dumps({"process_id": "p", "name": text}, ensure_ascii=False).encode())
    shown = (await root.get("/v3/catalog/records/p", expect=200)).result
    assert shown["record"]["name"] == text
    await load(root, b" " * (MAX_TEXT + 1), expect=413)


async def test_a_record_is_shown_with_links_and_children(root: Client, alice: Client) -> None:
    await load(root, EXAMPLE)
    for name in (BOOK, "sample.tacc.book-1"):
        shown = (await alice.get(f"/v3/catalog/records/{name}", expect=200)).result
        assert shown["record"] == {
            "sample_id": "sample.tacc.book-1",
            "author": "Jane Austen",
            "child_of": [NAMES.typed(Kind.EXPERIMENT, "experiment.tacc.wordcount")],
            "uuid": BOOK,
        }
        assert (shown["kind"], shown["revision"], shown["owner"]) == ("sample", 0, "root")
        assert shown["children"] == {"measurement": 2}
    path = "%2Fuploads%2Fbooks%2Fbook-1-scan-1.txt"
    assert (await alice.get(f"/v3/catalog/records/{path}", expect=200)).result["kind"] == "file"


async def test_private_fields_are_never_shown(root: Client) -> None:
    await load(root, b'{"process_id": "p", "name": "x", "_salt": "secret", "_admin": {"owner": "secret"}}')
    assert "secret" not in str((await root.get("/v3/catalog/records/p", expect=200)).result)


async def test_lists_go_on_page_by_page(root: Client, alice: Client) -> None:
    await load(root, EXAMPLE)
    ids, after = [], ""
    while page := (await alice.get(f"/v3/catalog/measurement?limit=3{after}", expect=200)).result:
        ids += [each["record"]["measurement_id"] for each in page]
        after = f"&after={page[-1]['uuid']}"
    assert ids == [f"measurement.tacc.book-{book}-scan-{scan}" for book in (1, 2) for scan in (1, 2)]


async def test_lists_are_filtered(root: Client, alice: Client) -> None:
    await load(root, EXAMPLE)
    assert len(await listed(alice, "measurement?child_of=sample.tacc.book-2")) == 2
    assert len(await listed(alice, f"measurement?child_of={BOOK}")) == 2
    assert [each["uuid"] for each in await listed(alice, "sample?identifier=sample.tacc.book-1")] == [BOOK]
    assert await listed(alice, "sample?identifier=sample.tacc.book-3") == []
    assert await listed(alice, f"measurement?identifier={BOOK}") == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("widget", 404),
        ("sample?child_of=sample.tacc.gone", 404),
        ("sample?after=10395836-b9b5-5676-99e5-e6504f9078d4", 404),
        ("sample?limit=0", 400),
        ("sample?limit=1001", 400),
        ("sample?limit=x", 400),
        ("sample?childof=sample.tacc.book-1", 400),
        ("sample?after=%00", 404),
        ("records/%00", 404),
        ("records/sample.tacc.gone", 404),
        ("records/..%2F..%2Fetc", 404),
    ],
)
async def test_what_is_not_there_or_makes_no_sense_is_told(root: Client, query: str, status: int) -> None:
    await root.get(f"/v3/catalog/{query}", expect=status)


async def test_another_tenant_sees_nothing(root: Client, zoe: Client) -> None:
    await load(root, EXAMPLE)
    assert await listed(zoe, "sample") == []
    await zoe.get(f"/v3/catalog/records/{BOOK}", expect=404)


async def test_reading_asks_for_read_on_the_indexer(served: Serving, root: Client, alice: Client) -> None:
    await load(root, EXAMPLE)
    await served.nobody.get("/v3/catalog/sample", expect=401)
    nonce = (await root.post("/v3/actors/pipelinejobs-indexer/nonces", json={"level": "READ"}, expect=201)).result["id"]
    assert len(await listed(served.nobody, f"sample?x-nonce={nonce}")) == 2
    await served.nobody.get(f"/v3/catalog/records/{BOOK}?x-nonce={nonce}", expect=200)
    other = (await alice.register())["id"]
    foreign = (await alice.post(f"/v3/actors/{other}/nonces", json={"level": "UPDATE"}, expect=201)).result["id"]
    await served.nobody.get(f"/v3/catalog/sample?x-nonce={foreign}", expect=401)
    await root.post(
        "/v3/actors/pipelinejobs-indexer/permissions", json={"user": "ABACO_WORLD", "level": "NONE"}, expect=200
    )
    await alice.get("/v3/catalog/sample", expect=403)
    await root.get("/v3/catalog/sample", expect=200)
