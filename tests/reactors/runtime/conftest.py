"""Reactors in an environment of the test's own, and a daemon for them that answers what the test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reactors.runtime import ManagedPipelineJob, Reactor
from reactors.runtime.daemon import Daemon
from tests.reactors.runtime.jobs import CREATED, PIPELINE, RECORD, Make
from tests.reactors.runtime.stub import Reply, Stub, running_stub

ACTOR, EXECUTION, TOKEN = "actor123", "execution456", "token-of-the-owner"


@pytest.fixture
def daemon() -> Iterator[Stub]:
    with running_stub() as stub:
        yield stub


@pytest.fixture
def environment(daemon: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """That of an execution; the working directory is empty."""
    monkeypatch.chdir(tmp_path)
    return {
        "_abaco_actor_id": ACTOR,
        "_abaco_execution_id": EXECUTION,
        "_abaco_api_server": daemon.url,
        "_abaco_access_token": TOKEN,
        "_abaco_username": "ada",
        "MSG": '{"a": true}',
    }


@pytest.fixture
def reactor(environment: dict[str, str]) -> Callable[..., Reactor]:
    """Makes a reactor in the environment with the given variables over it."""
    return lambda **variables: Reactor(environment={**environment, **variables})


@pytest.fixture
def make(daemon: Stub, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a job of a daemon that previews and creates any."""
    for name in ("_abaco_actor_id", "_abaco_execution_id"):
        monkeypatch.delenv(name, raising=False)
    daemon.on("POST", "/v3/jobs/preview", Reply({"job": RECORD, "exists": False}))
    daemon.on("POST", "/v3/jobs", CREATED)

    def made(pipelines: Mapping[str, Any] | None = None, **given: Any) -> ManagedPipelineJob:
        stanza = {"pipeline_uuid": PIPELINE, **(pipelines or {})}
        return ManagedPipelineJob({"authn": "x"}, stanza, daemon=Daemon(daemon.url, TOKEN), **given)

    return made
