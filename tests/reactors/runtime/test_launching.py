"""Batch jobs of pipeline jobs, and the names of things (spec/pipelinejobs 7.2, 8.1)."""

from __future__ import annotations

import re

import pytest

from reactors.runtime import MachineError, ManagedPipelineJobError
from tests.reactors.runtime.conftest import TOKEN
from tests.reactors.runtime.jobs import (
    CALLBACK,
    DOCUMENT_TOKEN,
    EVENTS,
    JOB,
    MEASUREMENT,
    PATH,
    PIPELINE,
    RECORD,
    Make,
    record,
    told,
)
from tests.reactors.runtime.stub import Reply, Stub

# --- batch jobs -----------------------------------------------------------------------------------------------------


def test_a_batch_job_archives_to_the_job_and_notifies_it(make: Make, daemon: Stub) -> None:
    job = make()
    daemon.on("POST", "/jobs/v2", Reply({"id": "1-007"}, 201))
    daemon.on("POST", EVENTS, told(state="RUNNING"))
    mine = {"event": "*", "persistent": True, "url": "https://me.example"}
    definition = {"appId": "a-1.0", "archive": False, "notifications": [mine]}
    assert job.launch(definition) == "1-007"
    assert definition == {"appId": "a-1.0", "archive": False, "notifications": [mine]}
    submitted = next(seen for seen in daemon.seen if seen.path == "/jobs/v2")
    assert submitted.token == TOKEN
    assert submitted.body == {
        "appId": "a-1.0",
        "archive": True,
        "archiveSystem": "data-sd2e-community",
        "archivePath": PATH,
        "notifications": [mine, *job.agave_notifications()],
    }
    assert daemon.seen[-1].body["name"] == "run"
    assert daemon.seen[-1].body["data"] == {"job_link": f"{daemon.url}/jobs/v2/1-007"}
    assert job.state == "RUNNING"


def test_the_notifications_bring_statuses_to_the_callback(make: Make) -> None:
    assert make().setup().agave_notifications() == [
        {"event": "RUNNING", "persistent": True, "url": CALLBACK + "&status=${JOB_STATUS}"},
        {"event": "FINISHED", "persistent": False, "url": CALLBACK + "&status=FINISHED"},
        {"event": "FAILED", "persistent": False, "url": CALLBACK + "&status=${JOB_STATUS}"},
    ]


@pytest.mark.parametrize("reply", [Reply(status=400, message="No such app."), Reply({}, 201), Reply(None, 201)])
def test_a_submission_that_is_refused_fails_the_job(make: Make, daemon: Stub, reply: Reply) -> None:
    daemon.on("POST", "/jobs/v2", reply)
    daemon.on("POST", EVENTS, told(state="FAILED"))
    job = make()
    with pytest.raises(
        ManagedPipelineJobError, match=rf"PipelineJob {JOB} failed because .*(No such app|Failed to launch)"
    ):
        job.launch({"appId": "a-1.0"})
    assert daemon.seen[-1].body["name"] == "fail"
    assert job.state == "FAILED"


def test_a_job_that_has_run_is_not_launched_again(make: Make, daemon: Stub) -> None:
    daemon.on("POST", "/v3/jobs", Reply({"job": record(state="FINISHED"), "token": DOCUMENT_TOKEN}))
    with pytest.raises(MachineError, match=f"PipelineJob {JOB} is FINISHED"):
        make().launch({"appId": "a-1.0"})
    assert daemon.seen[-1].path == "/v3/jobs"


def test_a_batch_job_may_be_faster_than_its_launcher(make: Make, daemon: Stub) -> None:
    daemon.on("POST", "/jobs/v2", Reply({"id": "1-007"}, 201))
    daemon.on("POST", EVENTS, Reply(status=400, message="Can't trigger event run from state FINISHED!"))
    daemon.on("GET", f"/v3/jobs/{JOB}", Reply(record(state="FINISHED")))
    job = make()
    assert job.launch({"appId": "a-1.0"}) == "1-007"
    assert (job.state, job.token) == ("FINISHED", DOCUMENT_TOKEN)


def test_the_callback_of_a_job_that_was_taken_over_is_made_of_the_settings(make: Make, daemon: Stub) -> None:
    daemon.on("GET", f"/v3/jobs/{JOB}", Reply(RECORD))
    job = make({"job_manager_id": "mgr", "job_manager_nonce": "DEV_n", "api_server": "https://lab.example"})
    with pytest.raises(ManagedPipelineJobError, match="setup"):
        job.build_webhook()
    url = job.attach(DOCUMENT_TOKEN).build_webhook()
    assert url == f"https://lab.example/actors/v2/mgr/messages?x-nonce=DEV_n&token={DOCUMENT_TOKEN}&uuid={JOB}"


# --- names and text -------------------------------------------------------------------------------------------------


def test_names_become_urls_and_urls_stay(make: Make) -> None:
    job = make({"api_server": "https://lab.example"})
    assert job.canonicalize_app("a-1.0") == "https://lab.example/apps/v2/a-1.0"
    assert job.canonicalize_system("data") == "https://lab.example/systems/v2/data"
    assert job.canonicalize_job("1-007") == "https://lab.example/jobs/v2/1-007"
    assert job.canonicalize_execution("a", "e") == "https://lab.example/actors/v2/a/executions/e"
    for canonical in (job.canonicalize_actor, job.canonicalize_app, job.canonicalize_job):
        assert canonical("https://else.example/x") == "https://else.example/x"
    assert job.canonicalize_execution("a", "https://else.example/x") == "https://else.example/x"


@pytest.mark.parametrize(
    ("session", "pattern"),
    [
        (None, r"casual-bass-\d{8}T\d{6}Z"),
        ("fond-bug-", r"fond-bug-\d{8}T\d{6}Z"),
        ("abc", r"[a-z]+-[a-z]+-\d{8}T\d{6}Z"),
        ("", r"[a-z]+-[a-z]+-\d{8}T\d{6}Z"),
    ],
)
def test_instanced_directories(make: Make, session: str | None, pattern: str) -> None:
    assert re.fullmatch(pattern, make().instanced_directory(session))


def test_the_text_of_a_job(make: Make) -> None:
    assert str(make()).splitlines() == [
        f"uuid         : {JOB}",
        f"pipeline_uuid: {PIPELINE}",
        'data         : {"a":"\\u00e4","b":1}',
        f"child_of     : ['{MEASUREMENT}']",
        f"generated_by : ['{PIPELINE}']",
        "acted_on     : []",
        "acted_using  : []",
        f"archive_uri  : agave://data-sd2e-community{PATH}",
    ]
