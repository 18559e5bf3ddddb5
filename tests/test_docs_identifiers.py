"""The UUIDs in the how-tos are those that their readers get, who type them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from reactors.pipelinejobs.identifiers import Identifiers, Kind

REPOSITORY: Final = Path(__file__).resolve().parent.parent
EXAMPLES: Final = REPOSITORY / "examples"
IDENTIFIERS: Final = Identifiers()

_PIPELINE: Final = re.compile(r"\b106[0-9a-f]{5}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_JOB: Final = re.compile(r"\b107[0-9a-f]{5}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


def read(name: str) -> Any:
    return json.loads((EXAMPLES / name).read_text())


def job_of(pipeline: str, sample: str, data: dict[str, Any]) -> str:
    return IDENTIFIERS.job(pipeline, [IDENTIFIERS.typed(Kind.SAMPLE, sample)], data)


def of_run_a_pipeline() -> tuple[str, str]:
    pipeline = IDENTIFIERS.pipeline(read("word-count-pipeline/pipeline.json"))
    message = read("word-count-pipeline/job.json")
    return pipeline, job_of(pipeline, message["parameters"]["sample_id"], message["job_definition"])


def of_write_a_reactor() -> tuple[str, str]:
    pipeline = IDENTIFIERS.pipeline(read("reactor-and-app/app/pipeline.json"))
    return pipeline, job_of(pipeline, "sample.tacc.20001", {"key1": "value 1"})


@pytest.mark.parametrize(
    ("page", "wanted"), [("run-a-pipeline.md", of_run_a_pipeline()), ("write-a-reactor.md", of_write_a_reactor())]
)
def test_a_how_to_shows_the_uuids_of_its_example(page: str, wanted: tuple[str, str]) -> None:
    text = (REPOSITORY / "docs" / "how-to" / page).read_text()
    pipeline, job = wanted
    assert set(_PIPELINE.findall(text)) <= {pipeline}
    assert set(_JOB.findall(text)) == {job}
