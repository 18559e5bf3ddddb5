"""`abacod catalog load`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from abacod.cli import main as cli
from abacod.config import Settings, StoreSettings
from abacod.ids import TenantId
from abacod.models.catalog import RecordKind
from abacod.store import records
from abacod.store.database import beside_daemon
from reactors.pipelinejobs.identifiers import Identifiers, Kind

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = REPOSITORY / "examples" / "word-count-pipeline" / "catalog.json"
DEV = TenantId("dev")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("ABACOD_")]:
        monkeypatch.delenv(name)
    yield
    # Commands send the log to a standard error that is gone when they end.
    structlog.reset_defaults()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a database."""
    path = Settings(data_dir=tmp_path / "data").database_path
    path.parent.mkdir()
    with beside_daemon(path, StoreSettings()):
        pass
    return path.parent


def run(data: Path, *files: str | Path, stdin: bytes | None = None) -> Any:
    arguments = ["catalog", "load", *map(str, files), "--data-dir", str(data)]
    return CliRunner().invoke(cli.app, arguments, input=stdin)


def count(data: Path, kind: RecordKind) -> int:
    with beside_daemon(Settings(data_dir=data).database_path, StoreSettings()) as connection:
        return len(records.listed(connection, DEV, kind, after=None, limit=1000, child_of=None))


def test_the_example_is_loaded_and_loading_it_again_changes_nothing(data: Path) -> None:
    first = run(data, EXAMPLE)
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines() == [
        "KIND               CREATED  UPDATED  UNCHANGED",
        "experiment_design  1        0        0",
        "experiment         1        0        0",
        "sample             2        0        0",
        "measurement        4        0        0",
        "file               1        0        0",
        "Loaded 9 records: 9 created, 0 updated, 0 unchanged.",
    ]
    assert run(data, EXAMPLE).stdout.splitlines()[-1] == "Loaded 9 records: 0 created, 0 updated, 9 unchanged."


def test_parents_may_stand_in_another_file_or_on_standard_input(data: Path, tmp_path: Path) -> None:
    listed = json.loads(EXAMPLE.read_text())
    children = tmp_path / "children.jsonl"
    children.write_text("".join(f"{json.dumps(record)}\n" for record in listed[2:]))
    outcome = run(data, children, "-", stdin=json.dumps(listed[:2]).encode())
    assert outcome.stdout.splitlines()[-1] == "Loaded 9 records: 9 created, 0 updated, 0 unchanged."


def test_one_wrong_record_in_one_of_the_files_keeps_all_out(data: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"process_id": "p", "name": "fine"}\n\n{"process_id": "q"}\n{"process_id": "r"}\n')
    outcome = run(data, EXAMPLE, wrong)
    assert outcome.exit_code == 1
    assert f"abacod: {wrong}, line 3: The process lacks the field name. There are 1 more problems." in outcome.stderr
    assert f"{wrong}, line 4: The process lacks the field name." in outcome.stderr
    assert count(data, RecordKind.SAMPLE) == 0


def test_a_file_that_cannot_be_read_is_named(data: Path, tmp_path: Path) -> None:
    outcome = run(data, EXAMPLE, tmp_path / "missing.json")
    assert outcome.exit_code == 1
    assert "missing.json" in outcome.stderr
    assert count(data, RecordKind.SAMPLE) == 0


def test_a_mistyped_data_directory_is_told(tmp_path: Path) -> None:
    outcome = run(tmp_path / "nothing", EXAMPLE)
    assert outcome.exit_code == 1
    assert "There is no database" in outcome.stderr


def test_the_uuids_follow_the_settings(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "abacod.toml"
    config.write_text('[pipelines]\ndns_domain = "example.org"\n')
    run(data, EXAMPLE, "--config", str(config))
    with beside_daemon(Settings(data_dir=data).database_path, StoreSettings()) as connection:
        record = records.by_identifier(connection, DEV, RecordKind.SAMPLE, "sample.tacc.book-1")
    assert record is not None
    assert record.uuid == Identifiers("example.org").typed(Kind.SAMPLE, "sample.tacc.book-1")
    assert record.owner == "abacod"


def test_the_guide_shows_the_example_as_it_is() -> None:
    guide = (REPOSITORY / "docs" / "how-to" / "load-a-catalog.md").read_text()
    shown = guide.partition("```json\n")[2].partition("```")[0]
    assert shown == EXAMPLE.read_text()
