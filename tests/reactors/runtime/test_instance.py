"""Jobs that are there, and having them indexed (spec/pipelinejobs 8.3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from reactors.runtime import JobRecord, MachineError, ManagedPipelineJobError, ManagedPipelineJobInstance
from reactors.runtime.daemon import Daemon
from tests.reactors.runtime.conftest import TOKEN
from tests.reactors.runtime.jobs import DOCUMENT_TOKEN, EVENTS, JOB, PATH, record, told
from tests.reactors.runtime.stub import Reply, Stub

Make = Callable[..., ManagedPipelineJobInstance]
INDEXER = "/v3/actors/pipelinejobs-indexer"
PATHS = ["/products/a", "/products/b"]


@pytest.fixture
def make(daemon: Stub) -> Make:
    daemon.on("GET", f"/v3/jobs/{JOB}", Reply(record(state="FINISHED", last_event="finish")))
    return lambda **given: ManagedPipelineJobInstance(None, JOB, daemon=Daemon(daemon.url, TOKEN), **given)


def indexer_answers(daemon: Stub, result: bytes, exit_code: int = 0, log: str = "", actor: str = INDEXER) -> None:
    daemon.on("POST", f"{actor}/messages", Reply({"execution_id": "e1"}, 201))
    running, ended = Reply({"status": "RUNNING"}), Reply({"status": "COMPLETE", "exit_code": exit_code})
    daemon.on("GET", f"{actor}/executions/e1", running, ended)
    daemon.on("GET", f"{actor}/executions/e1/logs", Reply({"logs": log}))
    daemon.on("GET", f"{actor}/executions/e1/results", Reply(raw=result))


def sent(daemon: Stub) -> Any:
    return next(seen.body["message"] for seen in daemon.seen if seen.path.endswith("/messages"))


def test_an_instance_has_what_the_record_has(make: Make) -> None:
    job = make(token=DOCUMENT_TOKEN)
    assert (job.uuid, job.state, job.last_event, job.archive_path) == (JOB, "FINISHED", "finish", PATH)
    assert not hasattr(job, "cancel")


def test_an_unknown_uuid_is_a_value_error(daemon: Stub) -> None:
    for uuid in ("107unknown", "", "../actors"):
        with pytest.raises(ValueError, match=r"There is no|no UUID"):
            ManagedPipelineJobInstance(None, uuid, daemon=Daemon(daemon.url, TOKEN))


def test_events_are_documents(make: Make, daemon: Stub) -> None:
    daemon.on("POST", EVENTS, told(state="VALIDATING"))
    job = make()
    assert (
        job.handle({"uuid": JOB, "name": "validate", "data": {"a": 1}, "token": DOCUMENT_TOKEN})["state"]
        == "VALIDATING"
    )
    assert daemon.seen[-1].body == {"name": "validate", "data": {"a": 1}, "token": DOCUMENT_TOKEN}
    job.handle({"name": "validate"}, token="other")
    assert daemon.seen[-1].body == {"name": "validate", "token": "other"}
    for document in ({}, {"uuid": "107other", "name": "run"}):
        with pytest.raises(ValueError, match="needs a name"):
            job.handle(document)
    daemon.on("POST", EVENTS, Reply(status=400, message="refused"))
    with pytest.raises(MachineError):
        job.handle({"name": "run"})


def test_without_a_token_there_is_no_event(make: Make, daemon: Stub) -> None:
    with pytest.raises(ManagedPipelineJobError, match="token="):
        make().handle({"name": "validate"})
    assert [seen.method for seen in daemon.seen] == ["GET"]


def test_indexing_is_asked_of_the_indexer_and_waited_for(make: Make, daemon: Stub) -> None:
    indexer_answers(daemon, json.dumps(PATHS).encode())
    assert make().index(DOCUMENT_TOKEN, level="2", filters=["a$"]) == PATHS
    assert sent(daemon) == {"uuid": JOB, "name": "index", "level": "2", "token": DOCUMENT_TOKEN, "filters": ["a$"]}


def test_without_filters_nothing_is_said_of_them(make: Make, daemon: Stub) -> None:
    indexer_answers(daemon, b"[]")
    assert make(token=DOCUMENT_TOKEN).index() == []
    assert sent(daemon) == {"uuid": JOB, "name": "index", "level": "1", "token": DOCUMENT_TOKEN}


def test_fixity_is_asked_for_in_index_requests(make: Make, daemon: Stub) -> None:
    indexer_answers(daemon, b"[]")
    whole = {"patterns": ["b"], "level": "3"}
    make().index(fixity=True, filters=["a$", whole])
    assert sent(daemon)["filters"] == [{"patterns": ["a$"], "level": "1", "fixity": True}, whole]


def test_fixity_of_all_files(make: Make, daemon: Stub) -> None:
    indexer_answers(daemon, b"[]")
    make().index(fixity=True)
    assert sent(daemon)["filters"] == [{"patterns": [], "level": "1", "fixity": True}]


def test_the_transition_ends_the_indexing(make: Make, daemon: Stub) -> None:
    indexer_answers(daemon, b"[]")
    daemon.on("POST", EVENTS, told(state="FINISHED", last_event="indexed"))
    answer = make().index(DOCUMENT_TOKEN, transition=True)
    assert isinstance(answer, JobRecord)
    assert answer["last_event"] == "indexed"
    assert daemon.seen[-1].body == {"name": "indexed", "token": DOCUMENT_TOKEN}


def test_another_indexer_with_its_nonce(make: Make, daemon: Stub) -> None:
    make()
    indexer_answers(daemon, b'["/a"]', actor="/v3/actors/mine")
    stanza = {"job_indexer_id": "mine", "job_indexer_nonce": "DEV_i", "job_manager_nonce": "DEV_m"}
    job = ManagedPipelineJobInstance(None, JOB, pipelines=stanza, daemon=Daemon(daemon.url))
    assert job.index(DOCUMENT_TOKEN) == ["/a"]
    nonces = [seen.query["x-nonce"] for seen in daemon.seen[1:]]
    assert nonces == ["DEV_m", "DEV_i", "DEV_i", "DEV_i", "DEV_i", "DEV_m"]


def test_a_failure_says_what_the_indexer_logged(make: Make, daemon: Stub) -> None:
    indexer_answers(daemon, b"", 1, "a INFO x\na CRITICAL Failed to accomplish indexing : bad regex\n")
    with pytest.raises(ManagedPipelineJobError, match=r"^Failed to accomplish indexing : bad regex$"):
        make().index()
    assert make().index(permissive=True) == []


@pytest.mark.parametrize("result", [b"no json", b'{"a": 1}', b"[" * 100_000])
def test_a_result_that_is_no_list_is_an_error(make: Make, daemon: Stub, result: bytes) -> None:
    indexer_answers(daemon, result)
    with pytest.raises(ManagedPipelineJobError, match="no list of paths"):
        make().index()
