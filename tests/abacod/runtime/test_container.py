from __future__ import annotations

from datetime import UTC, datetime

import pytest

from abacod.errors import ImageMissing, RunNotStarted, RunRejected, StartFailed
from abacod.runtime.container import Seen, not_created, not_started
from abacod.runtime.engine import EngineRefused

STATE = {
    "Status": "exited",
    "Running": False,
    "ExitCode": 3,
    "StartedAt": "2026-11-22T15:42:21.055987426Z",
    "FinishedAt": "2026-11-22T16:42:22.057690679+01:00",
    "Health": "not shown",
}
NEVER = "0001-01-01T00:00:00Z"


def test_times_are_cut_to_milliseconds_in_utc() -> None:
    seen = Seen("id", STATE)

    assert seen.started_at == datetime(2026, 11, 22, 15, 42, 21, 55_000, UTC)
    assert seen.final_state["StartedAt"] == "2026-11-22T15:42:21.055Z"
    assert seen.final_state["FinishedAt"] == "2026-11-22T15:42:22.057Z"
    assert "Health" not in seen.final_state


def test_the_engines_year_one_is_never() -> None:
    seen = Seen("id", {"Status": "created", "Running": False, "StartedAt": NEVER, "FinishedAt": NEVER})

    assert seen.never_started
    assert seen.finished_at is None
    assert seen.final_state["StartedAt"] == "0001-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "No such image: nope:latest", ImageMissing),
        (404, "network nosuch not found", RunRejected),
        (400, "bind source path does not exist: /nope", RunRejected),
        (409, "name is in use", RunRejected),
        (500, "no space left on device", StartFailed),
    ],
)
def test_why_a_container_was_not_created(status: int, message: str, kind: type[RunNotStarted]) -> None:
    error = not_created(EngineRefused(status, message), "nope")

    assert type(error) is kind


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, 'exec: "/nope": stat /nope: no such file or directory', RunRejected),
        (404, "network nosuch not found", RunRejected),
        (500, "unable to find user nosuch: no matching entries in passwd file", RunRejected),
        (500, "error during container init: environment variable value can't contain null", RunRejected),
        (500, "adding interface to bridge failed", StartFailed),
        (404, "No such container: abacod-x", StartFailed),
        (409, "container is marked for removal and cannot be started", StartFailed),
    ],
)
def test_why_a_container_was_not_started(status: int, message: str, kind: type[RunNotStarted]) -> None:
    error = not_started(EngineRefused(status, message))

    assert type(error) is kind
    assert message in error.message
