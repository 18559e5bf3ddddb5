"""Records of files: what is written of them, and by what they are found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from abacod.clock import SystemClock
from abacod.config import StoreSettings
from abacod.errors import RecordNotFound
from abacod.ids import TenantId
from abacod.models.catalog import Record, RecordKind, StoredRecord
from abacod.models.files import FileConditions
from abacod.services.pipelinejobs.file_records import FileRecords, KnownFile
from abacod.store import links, records, updates
from abacod.store.database import Database
from reactors.pipelinejobs.identifiers import DEFAULT_SYSTEM, Identifiers, Kind, retyped
from reactors.ports import FileRecord, Fixity
from tests.factories import OWNER, START, TENANT

NAMES: Final = Identifiers()
JOB: Final = NAMES.typed(Kind.PIPELINEJOB, "job")
OTHER_JOB: Final = NAMES.typed(Kind.PIPELINEJOB, "other job")
SAMPLE: Final = "sample.lab.1"
MEASUREMENT: Final = "measurement.lab.1"
MEASURED: Final = NAMES.typed(Kind.MEASUREMENT, MEASUREMENT)
FIXITY: Final = Fixity("ab" * 32, 3, 1_550_000_000.5)
BAM: Final = FileRecord(
    path="/products/v2/a.bam",
    system=DEFAULT_SYSTEM,
    type="BAM",
    level="1",
    links={"child_of": (JOB,), "generated_by": (JOB,)},
    fixity=FIXITY,
)
TXT: Final = replace(BAM, path="/products/v2/b.txt", type="PLAIN", level="2", fixity=None)
FAR: Final = replace(TXT, system="far", links={"child_of": (OTHER_JOB,)})


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database with a job's measurement and sample in it."""
    opened = Database(tmp_path / "db", StoreSettings(synchronous="OFF"))
    await opened.open()

    def fill(tx: Any) -> None:
        sample = NAMES.typed(Kind.SAMPLE, SAMPLE)
        for record in (
            Record(sample, RecordKind.SAMPLE, {"sample_id": SAMPLE}),
            Record(MEASURED, RecordKind.MEASUREMENT, {"measurement_id": MEASUREMENT}, {"child_of": (sample,)}),
        ):
            records.upsert(tx, TENANT, record, by=OWNER, now=START)
        for job in (JOB, OTHER_JOB):
            tx.execute(
                "INSERT INTO jobs (tenant, uuid, pipeline_uuid, state, last_event, document, owner, salt, created_ms, updated_ms)"
                " VALUES (?, ?, '', '', '', '{}', '', '', 0, 0)",
                (TENANT, job),
            )
        links.add(tx, TENANT, JOB, "child_of", (MEASURED,))

    await opened.write(fill)
    yield opened
    await opened.close()


@pytest.fixture
def file_records(database: Database) -> FileRecords:
    return FileRecords(database, NAMES, SystemClock())


async def stored(database: Database, uuid: str) -> StoredRecord:
    return await database.read(lambda tx: records.get(tx, TENANT, uuid))


async def listed(file_records: FileRecords, **wanted: Any) -> list[str]:
    found = await file_records.listed(TENANT, FileConditions(**wanted), after=None, limit=10)
    return [f"{file.record.document['storage_system']}{file.record.document['name']}" for file in found]


async def test_a_file_has_a_record_and_one_of_its_checksum(file_records: FileRecords, database: Database) -> None:
    await file_records.write(TENANT, OWNER, [BAM])
    record = await stored(database, NAMES.file(BAM.path))
    assert record.document == {
        "name": BAM.path,
        "storage_system": DEFAULT_SYSTEM,
        "type": "BAM",
        "level": "1",
        "file_id": NAMES.file_id(BAM.path),
    }
    assert record.links == {"child_of": (JOB,), "generated_by": (JOB,)}
    fixity = await stored(database, NAMES.fixity(BAM.path))
    moment = "2019-02-12T19:33:20.500Z"
    assert fixity.document == {
        "name": BAM.path,
        "storage_system": DEFAULT_SYSTEM,
        "type": "BAM",
        "checksum": FIXITY.checksum,
        "size": 3,
        "created": moment,
        "modified": moment,
        "version": 1,
    }


async def test_a_second_time_changes_nothing(file_records: FileRecords, database: Database) -> None:
    await file_records.write(TENANT, OWNER, [BAM, TXT])
    before = await database.read(updates.last)
    await file_records.write(TENANT, OWNER, [TXT, BAM])
    assert await database.read(updates.last) == before


async def test_another_content_is_another_version(file_records: FileRecords, database: Database) -> None:
    for size in (3, 4, 4, 5):
        await file_records.write(TENANT, OWNER, [replace(BAM, fixity=replace(FIXITY, size=size, modified=size))])
    document = (await stored(database, NAMES.fixity(BAM.path))).document
    assert (document["version"], document["size"]) == (3, 5)
    assert (document["created"], document["modified"]) == ("1970-01-01T00:00:03.000Z", "1970-01-01T00:00:05.000Z")


async def test_links_accumulate_and_the_level_is_the_last_one(file_records: FileRecords, database: Database) -> None:
    await file_records.write(TENANT, OWNER, [replace(BAM, note="first")])
    source = NAMES.file("/uploads/a")
    again = replace(BAM, level="2", links={"child_of": (OTHER_JOB,), "derived_from": (source,)}, fixity=None)
    await file_records.write(TENANT, OWNER, [again])
    record = await stored(database, NAMES.file(BAM.path))
    assert (record.document["level"], record.document["note"]) == ("2", "first")
    assert record.links == {
        "child_of": tuple(sorted((JOB, OTHER_JOB))),
        "derived_from": (source,),
        "generated_by": (JOB,),
    }


async def test_a_loaded_record_keeps_its_own_fields(file_records: FileRecords, database: Database) -> None:
    uuid = NAMES.file(BAM.path)
    given = Record(uuid, RecordKind.FILE, {"name": BAM.path, "lab": {"a": 1}})
    await database.write(lambda tx: records.upsert(tx, TENANT, given, by=OWNER, now=START))
    await file_records.write(TENANT, OWNER, [BAM])
    document = (await stored(database, uuid)).document
    assert (document["lab"], document["type"]) == ({"a": 1}, "BAM")


@pytest.mark.parametrize("seconds", [1e300, -1e300, 4e11, float("inf"), float("nan")])
async def test_a_time_that_no_calendar_has_is_none(
    file_records: FileRecords, database: Database, seconds: float
) -> None:
    await file_records.write(TENANT, OWNER, [replace(BAM, fixity=replace(FIXITY, modified=seconds))])
    assert (await stored(database, NAMES.fixity(BAM.path))).document["modified"] is None


async def test_files_are_found_by_what_they_belong_to(file_records: FileRecords) -> None:
    await file_records.write(TENANT, OWNER, [BAM, TXT, FAR])
    own = [f"{DEFAULT_SYSTEM}{BAM.path}", f"{DEFAULT_SYSTEM}{TXT.path}"]
    for below in (JOB, MEASUREMENT, MEASURED, SAMPLE):
        assert sorted(await listed(file_records, below=below)) == own
    assert sorted(await listed(file_records, child_of=JOB)) == own
    assert await listed(file_records, child_of=MEASURED) == []
    assert await listed(file_records, below=OTHER_JOB) == [f"far{FAR.path}"]
    assert await listed(file_records, below=JOB, type="BAM") == own[:1]
    assert await listed(file_records, child_of=JOB, level="2") == own[1:]
    assert await listed(file_records, path="/products/v2/b") == [own[1], f"far{FAR.path}"]
    assert await listed(file_records, path="/products/v2/%") == []
    assert await listed(file_records, system="far") == [f"far{FAR.path}"]
    assert len(await listed(file_records)) == 3
    with pytest.raises(RecordNotFound, match="nowhere"):
        await listed(file_records, below="sample.nowhere")


async def test_pages_follow_one_another(file_records: FileRecords) -> None:
    await file_records.write(TENANT, OWNER, [replace(BAM, path=f"/products/v2/{number:02}") for number in range(7)])
    for wanted in (FileConditions(), FileConditions(below=JOB), FileConditions(child_of=JOB)):
        seen: list[str] = []
        while page := await file_records.listed(TENANT, wanted, after=seen[-1] if seen else None, limit=3):
            seen += [file.record.uuid for file in page]
        every = [NAMES.file(f"/products/v2/{number:02}") for number in range(7)]
        assert seen == (every if wanted == FileConditions() else sorted(every))
    with pytest.raises(RecordNotFound):
        await file_records.listed(TENANT, FileConditions(), after=MEASUREMENT, limit=3)


async def test_a_file_is_shown_with_its_checksum_and_measurements(file_records: FileRecords) -> None:
    await file_records.write(TENANT, OWNER, [BAM, TXT, FAR])
    names = (NAMES.file(BAM.path), NAMES.file_id(BAM.path), f"agave://{DEFAULT_SYSTEM}{BAM.path}", BAM.path)
    for name in names:
        file = await file_records.get(TENANT, name)
        assert file.record.uuid == names[0]
        assert file.fixity is not None
        assert file.fixity.uuid == retyped(names[0], Kind.FIXITY)
        assert file.measurements == (MEASURED,)
    far = await file_records.get(TENANT, f"agave://far{FAR.path}")
    assert far == KnownFile(far.record, None, ())
    for name in ("/products/v2/c", JOB, MEASURED, "\ud800", ""):
        with pytest.raises(RecordNotFound):
            await file_records.get(TENANT, name)
    with pytest.raises(RecordNotFound):
        await file_records.get(TenantId("lab"), names[0])


async def test_names_are_resolved_to_records_of_the_kinds_that_are_meant(file_records: FileRecords) -> None:
    await file_records.write(TENANT, OWNER, [BAM])
    uri = f"agave://{DEFAULT_SYSTEM}{BAM.path}"
    names = [uri, BAM.path, MEASUREMENT, "nothing", JOB]
    assert await file_records.resolve(TENANT, names, (Kind.FILE, Kind.PIPELINEJOB)) == {
        uri: NAMES.file(BAM.path),
        BAM.path: NAMES.file(BAM.path),
        JOB: JOB,
    }
