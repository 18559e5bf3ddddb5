"""Jobs that a program defines and tells about (spec/pipelinejobs 8.1, 8.2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reactors.runtime import (
    JobInvalid,
    MachineError,
    ManagedPipelineJob,
    ManagedPipelineJobError,
    Reactor,
    ReactorManagedPipelineJob,
)
from reactors.runtime.daemon import Daemon
from tests.reactors.runtime.conftest import ACTOR, EXECUTION, TOKEN
from tests.reactors.runtime.jobs import (
    ADMIN_TOKEN,
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

# --- defining -------------------------------------------------------------------------------------------------------


def test_what_is_wanted_can_be_read_before_the_job_is_there(make: Make, daemon: Stub) -> None:
    job = make(sample_id="sample.tacc.20001", data={"a": 1}, instanced=True, session="casual-bass")
    assert (job.archive_path, job.archive_system, job.session) == (PATH, "data-sd2e-community", "casual-bass")
    assert (job.child_of, job.generated_by, job.acted_on, job.acted_using) == ([MEASUREMENT], [PIPELINE], [], [])
    assert job.archive_uri() == f"agave://data-sd2e-community{PATH}"
    assert not job.cancelable
    (seen,) = daemon.seen
    assert seen.token == TOKEN
    assert seen.body == {
        "pipeline_uuid": PIPELINE,
        "data": {"a": 1},
        "sample_id": "sample.tacc.20001",
        "instanced": True,
        "session": "casual-bass",
    }


def test_everything_else_that_may_be_wanted(make: Make, daemon: Stub) -> None:
    make(
        pipeline_uuid="106other",
        experiment_id=["a", "b"],
        measurement_id=[],
        inputs=["agave://data/x"],
        archive_path="/products/mine",
        archive_system="data",
        archive_patterns=["a$", {"patterns": ["b"], "level": "2"}, "c"],
        product_patterns=[{"patterns": ["d"], "derived_from": ["./e"]}],
        setup_archive_path=False,
        agent="tacobot9000-0.1.0u1",
        task="7381691026605150696-242ac11b-0001-007",
    )
    body = daemon.seen[0].body
    assert re.fullmatch(r"[a-z]{2,8}-[a-z]{2,8}", body.pop("session"))
    assert body == {
        "pipeline_uuid": "106other",
        "data": {},
        "experiment_id": ["a", "b"],
        "measurement_id": [],
        "inputs": ["agave://data/x"],
        "archive_path": "/products/mine",
        "archive_system": "data",
        "archive_patterns": [{"level": "1", "patterns": ["a$", "c"]}, {"patterns": ["b"], "level": "2"}],
        "product_patterns": [{"patterns": ["d"], "derived_from": ["./e"]}],
        "setup_archive_path": False,
        "agent": "tacobot9000-0.1.0u1",
        "task": "7381691026605150696-242ac11b-0001-007",
    }


@pytest.mark.parametrize(
    ("agent", "task", "shown"),
    [
        ("a1", "e1", ("actors/v2/a1", "actors/v2/a1/executions/e1")),
        ("tacobot9000-0.1.0u1", "e1", ("apps/v2/tacobot9000-0.1.0u1", "apps/v2/tacobot9000-0.1.0u1/executions/e1")),
        ("a1", "73-242-0001-007", ("actors/v2/a1", "jobs/v2/73-242-0001-007")),
    ],
)
def test_who_manages_a_job_has_urls_on_the_server_of_the_stanza(
    make: Make, daemon: Stub, agent: str, task: str, shown: tuple[str, str]
) -> None:
    make({"api_server": "https://lab.example"}, agent=agent, task=task)
    body = daemon.seen[0].body
    assert (body["agent"], body["task"]) == tuple(f"https://lab.example/{path}" for path in shown)


def test_setting_up_makes_the_very_job_that_was_shown(make: Make, daemon: Stub) -> None:
    job = make(data={"a": 1}, instanced=True, session="casual-bass")
    assert job.setup({"b": 2}) is job
    assert daemon.seen[1].body == {
        "pipeline_uuid": PIPELINE,
        "data": {"a": 1},
        "setup_data": {"b": 2},
        "session": "casual-bass",
        "archive_path": PATH,
        "archive_system": "data-sd2e-community",
    }
    assert (job.uuid, job.state, job.token, job.callback) == (JOB, "CREATED", DOCUMENT_TOKEN, CALLBACK)
    assert job.job["history"] == [{"name": "create"}]
    assert job.cancelable


def test_without_a_pipeline_there_is_no_job(make: Make, daemon: Stub) -> None:
    with pytest.raises(ValueError, match='Parameter "pipeline_uuid" is required'):
        make({"pipeline_uuid": None})
    assert daemon.seen == []


def test_what_the_daemon_does_not_know_is_a_value_error_and_one_of_jobs(make: Make, daemon: Stub) -> None:
    text = "Failed to verify pipeline_uuid:106x exists in store pipeline"
    for kind, status in ((ValueError, 400), (ManagedPipelineJobError, 400), (JobInvalid, 404)):
        daemon.on("POST", "/v3/jobs/preview", Reply(status=status, message=text))
        with pytest.raises(kind, match=text):
            make()
    daemon.on("POST", "/v3/jobs/preview", Reply(status=403, message="No."))
    with pytest.raises(ManagedPipelineJobError, match=r"No\.") as refused:
        make()
    assert not isinstance(refused.value, ValueError)


def test_data_that_json_does_not_have_is_refused(make: Make, daemon: Stub) -> None:
    for value in (float("nan"), {1}):
        with pytest.raises(JobInvalid):
            make(data={"x": value})
    assert daemon.seen == []


def test_the_nonce_of_the_manager_opens_the_way_without_a_token(
    make: Make, daemon: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    ManagedPipelineJob(
        None, {"pipeline_uuid": PIPELINE, "job_manager_nonce": "DEV_stanza"}, daemon=Daemon(daemon.url)
    ).setup()
    monkeypatch.setenv("_REACTOR_PIPELINES_JOB_MANAGER_NONCE", "DEV_secret")
    ManagedPipelineJob(None, {"pipeline_uuid": PIPELINE}, daemon=Daemon(daemon.url))
    assert [(seen.token, seen.query) for seen in daemon.seen[1:]] == [
        (None, {"x-nonce": "DEV_stanza"}),
        (None, {"x-nonce": "DEV_stanza"}),
        (None, {"x-nonce": "DEV_secret"}),
    ]


def test_a_token_does_not_go_to_the_server_of_the_stanza(
    make: Make, daemon: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    monkeypatch.setenv("_abaco_access_token", TOKEN)
    ManagedPipelineJob(None, {"pipeline_uuid": PIPELINE, "api_server": daemon.url})
    monkeypatch.setenv("_abaco_api_server", daemon.url)
    job = ManagedPipelineJob(None, {"pipeline_uuid": PIPELINE, "api_server": "https://old.example/"})
    assert [seen.token for seen in daemon.seen[1:]] == [None, TOKEN]
    assert job.canonicalize_actor("a") == "https://old.example/actors/v2/a"


# --- events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run", "update", "resource", "fail", "finish", "index", "indexed"])
def test_each_event_has_a_method(make: Make, daemon: Stub, name: str) -> None:
    job = make().setup()
    daemon.on("POST", EVENTS, told(state="RUNNING", last_event=name))
    answer = getattr(job, name)({"step": 1})
    assert daemon.seen[-1].body == {"name": name, "data": {"step": 1}, "token": DOCUMENT_TOKEN}
    assert answer["state"] == job.state == "RUNNING"
    assert answer["last_event"] == job.last_event == name
    assert answer.get("token") == answer["_update_token"] == job.token == DOCUMENT_TOKEN
    assert not job.cancelable


def test_events_can_be_chained(make: Make, daemon: Stub) -> None:
    job = make().setup()
    daemon.on("POST", EVENTS, told(state="RUNNING"), told(state="RUNNING"), told(state="FINISHED"))
    end = job.run().update({"step": 2}).finish()
    assert [seen.body["name"] for seen in daemon.seen[2:]] == ["run", "update", "finish"]
    assert daemon.seen[3].body["data"] == {"step": 2}
    assert dict(end)["state"] == "FINISHED"
    assert set(end) == {*RECORD, "token", "_update_token"}
    assert JOB in repr(end)
    assert DOCUMENT_TOKEN not in repr(end)
    with pytest.raises(AttributeError, match="brackets"):
        _ = end.state
    with pytest.raises(TypeError):
        end["state"] = "RUNNING"


def test_an_event_sets_the_job_up_first(make: Make, daemon: Stub) -> None:
    daemon.on("POST", EVENTS, told(state="VALIDATING"))
    assert make().handle("Validate", token="other")["state"] == "VALIDATING"
    assert [seen.path for seen in daemon.seen] == ["/v3/jobs/preview", "/v3/jobs", EVENTS]
    assert daemon.seen[-1].body == {"name": "validate", "token": "other"}


def test_refused_events_are_errors_of_the_machine_and_of_jobs(make: Make, daemon: Stub) -> None:
    job = make().setup()
    daemon.on("POST", EVENTS, Reply(status=400, message="Can't trigger event retire from state RESET!"))
    for kind in (MachineError, ManagedPipelineJobError):
        with pytest.raises(kind, match="Can't trigger event retire"):
            job.handle("retire")
    assert (job.state, job.token) == ("CREATED", DOCUMENT_TOKEN)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_other_refusals_are_errors_of_jobs(make: Make, daemon: Stub, status: int) -> None:
    job = make().setup()
    daemon.on("POST", EVENTS, Reply(status=status, message="No."))
    with pytest.raises(ManagedPipelineJobError, match=r"No\.") as refused:
        job.run()
    assert not isinstance(refused.value, MachineError)
    daemon.on("POST", EVENTS, Reply({"no": "job"}))
    with pytest.raises(ManagedPipelineJobError, match="no job"):
        job.run()


def test_reset_and_ready_take_an_administrative_token(make: Make, daemon: Stub) -> None:
    job = make().setup()
    daemon.on("POST", f"/v3/jobs/{JOB}/reset", told(state="CREATED", last_event="ready"))
    daemon.on("POST", EVENTS, told())
    assert job.reset({"why": 1}, no_clear_path=True, token=ADMIN_TOKEN)["last_event"] == "ready"
    assert daemon.seen[-1].body == {"token": ADMIN_TOKEN, "no_clear_path": True, "data": {"why": 1}}
    assert job.handle("reset", token=ADMIN_TOKEN)["state"] == "CREATED"
    job.ready(ADMIN_TOKEN)
    assert daemon.seen[-1].body == {"name": "ready", "token": ADMIN_TOKEN}
    assert job.token == DOCUMENT_TOKEN
    daemon.on("POST", f"/v3/jobs/{JOB}/reset", Reply(status=403, message="No."))
    with pytest.raises(ManagedPipelineJobError):
        job.reset()
    assert job.reset(permissive=True)["state"] == "CREATED"


def test_a_job_is_cancelled_with_its_own_token(make: Make, daemon: Stub) -> None:
    job = make().setup()
    daemon.on("POST", f"/v3/jobs/{JOB}/cancel", Reply(status=400, message="send fail"), Reply())
    with pytest.raises(MachineError, match="fail"):
        job.cancel()
    assert job.cancel()["uuid"] == JOB
    assert daemon.seen[-1].body == {"token": DOCUMENT_TOKEN}
    assert not job.cancelable


def test_a_job_is_deleted_with_an_administrative_token(make: Make, daemon: Stub) -> None:
    job = make().setup()
    daemon.on("DELETE", f"/v3/jobs/{JOB}", Reply())
    job.delete(ADMIN_TOKEN)
    job.setup().handle("purge", token=ADMIN_TOKEN)
    assert [seen.query for seen in daemon.seen if seen.method == "DELETE"] == [{"token": ADMIN_TOKEN}] * 2


def test_a_job_that_is_there_is_taken_over(make: Make, daemon: Stub) -> None:
    daemon.on("GET", f"/v3/jobs/{JOB}", Reply(record(state="RUNNING", archive_path="/old")))
    daemon.on("GET", "/v3/jobs/107other", Reply(record(uuid="107other")))
    job = make()
    assert job.attach(DOCUMENT_TOKEN).archive_path == "/old"
    assert (job.state, job.token) == ("RUNNING", DOCUMENT_TOKEN)
    assert job.load("107other").uuid == "107other"
    for unknown in ("107unknown", "..", "a/b?c"):
        with pytest.raises(ValueError, match=r"107unknown|UUID|There is no"):
            job.load(unknown)
    assert all(".." not in seen.path for seen in daemon.seen)


# --- jobs of reactors -----------------------------------------------------------------------------------------------


def test_a_job_of_a_reactor_is_managed_by_its_execution(
    reactor: Callable[..., Reactor], daemon: Stub, make: Make
) -> None:
    Path("config.yml").write_text(
        f"mongodb: {{authn: ~}}\npipelines: {{pipeline_uuid: {PIPELINE}, job_manager_nonce: ~}}"
    )
    rx = reactor(_abaco_access_token="", _REACTOR_PIPELINES_JOB_MANAGER_NONCE="DEV_secret")
    ReactorManagedPipelineJob(rx, {"a": 1}, sample_id="s", instanced=True)
    (seen,) = daemon.seen
    assert seen.query == {"x-nonce": "DEV_secret"}
    assert seen.body == {
        "pipeline_uuid": PIPELINE,
        "data": {"a": 1},
        "sample_id": "s",
        "instanced": True,
        "session": rx.nickname,
        "agent": ACTOR,
        "task": EXECUTION,
    }
    assert ReactorManagedPipelineJob(rx, session="given", agent="other", archive_patterns=None).token == ""
    assert daemon.seen[1].body["session"] == "given"
    assert daemon.seen[1].body["agent"] == "other"
