"""The example of a reactor that has an app compute a pipeline job, run as its image runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

from tests.reactors.runtime.jobs import CREATED, DOCUMENT_TOKEN, EVENTS, JOB, PATH, PIPELINE, RECORD, told
from tests.reactors.runtime.stub import Reply, Stub

REPOSITORY: Final = Path(__file__).resolve().parents[3]
EXAMPLE: Final = REPOSITORY / "examples" / "reactor-and-app"
# As in the documentation (seeds: Reactor+App with PipelineJobs Integration).
MESSAGE: Final = '{"data":{"key1":"value 1"}, "sample_id": "sample.tacc.20001"}'


@pytest.fixture
def run(daemon: Stub, environment: dict[str, str], tmp_path: Path) -> Any:
    """Runs the program in a directory that has what its Dockerfile copies; returns exit code and log."""
    for name in re.findall(r"reactor/(\w+\.(?:py|yml|jsonschema))", (EXAMPLE / "reactor" / "Dockerfile").read_text()):
        shutil.copy(EXAMPLE / "reactor" / name, tmp_path)
    secrets = json.loads((EXAMPLE / "reactor" / "secrets.json.sample").read_text())
    values = {"NONCE": "DEV_nonce", "UUID": PIPELINE}
    variables = {name: values[name.rpartition("_")[2]] for name in secrets}
    daemon.on("POST", "/v3/jobs/preview", Reply({"job": RECORD, "exists": False}))
    daemon.on("POST", "/v3/jobs", CREATED)
    daemon.on("POST", "/jobs/v2", Reply({"id": "1-007"}, 201))
    daemon.on("POST", EVENTS, told(state="RUNNING"))

    def ran(**more: str) -> tuple[int, str]:
        given = {**environment, **variables, "MSG": MESSAGE, "PYTHONPATH": str(REPOSITORY), **more}
        command = [sys.executable, str(tmp_path / "reactor.py")]
        ended = subprocess.run(
            command, check=False, env={"PATH": os.environ["PATH"], **given}, capture_output=True, text=True
        )
        assert ended.stdout == ""
        return ended.returncode, ended.stderr

    return ran


def test_a_message_becomes_a_job_that_the_app_computes(daemon: Stub, run: Any) -> None:
    code, log = run()
    assert code == 0, log
    assert log.endswith(f"INFO PipelineJob {JOB} is computed by batch job 1-007\n")
    assert f"agave://data-sd2e-community{PATH}" in log
    assert DOCUMENT_TOKEN not in log
    preview, create, submit, event = daemon.seen
    assert preview.body["pipeline_uuid"] == PIPELINE
    assert create.body["data"] == {"key1": "value 1"}
    assert create.body["sample_id"] == "sample.tacc.20001"
    assert event.body["name"] == "run"
    app = json.loads((EXAMPLE / "app" / "app.json").read_text())
    assert submit.body["appId"] == app["id"]
    assert set(submit.body["parameters"]) == {each["id"] for each in app["parameters"]}
    assert submit.body["archivePath"] == PATH
    assert len(submit.body["notifications"]) == 3


@pytest.mark.parametrize("message", ["{}", '{"data": {}, "sample_id": "sample.tacc.1"}', "hello"])
def test_a_wrong_message_is_a_failure(daemon: Stub, run: Any, message: str) -> None:
    code, log = run(MSG=message)
    assert code == 1
    assert log.endswith("CRITICAL Failed to validate message to schema\n")
    assert daemon.seen == []


def test_a_refusal_is_told(daemon: Stub, run: Any) -> None:
    daemon.on("POST", "/v3/jobs/preview", Reply(status=400, message="sample.tacc.20001 is unknown"))
    code, log = run()
    assert code == 1
    assert log.endswith("CRITICAL Failed to launch the job : sample.tacc.20001 is unknown\n")


def test_in_local_mode_nothing_is_launched(daemon: Stub, run: Any) -> None:
    assert run(LOCALONLY="1")[0] == 0
    assert [seen.path for seen in daemon.seen] == ["/v3/jobs/preview"]


def test_the_pipeline_is_one_and_is_that_of_the_app() -> None:
    pipeline = json.loads((EXAMPLE / "app" / "pipeline.json").read_text())
    schema = json.loads((REPOSITORY / "schemas" / "pipeline_manager_create.json").read_text())
    beside = {path.name: json.loads(path.read_text()) for path in (REPOSITORY / "schemas").glob("*.json")}
    store = {document["$id"]: document for document in beside.values()}
    resolver = jsonschema.RefResolver(schema["$id"], schema, store=store)
    jsonschema.Draft7Validator(schema, resolver=resolver).validate(pipeline)
    assert pipeline["id"] == json.loads((EXAMPLE / "app" / "app.json").read_text())["id"]
