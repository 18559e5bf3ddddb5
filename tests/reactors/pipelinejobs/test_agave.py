from __future__ import annotations

from typing import Final

import pytest

from reactors.pipelinejobs.agave import EVENTS, event_of

STATUSES: Final = {
    "run": "RUNNING",
    "finish": "FINISHED",
    "fail": "FAILED STOPPED DELETED ARCHIVING_FAILED KILLED CANCELLED",
    "resource": "CREATED PENDING PROCESSING_INPUTS STAGING_INPUTS STAGED STAGING_JOB SUBMITTING QUEUED PAUSED BLOCKED "
    "ARCHIVING ARCHIVING_FINISHED CLEANING_UP PERMISSION_GRANT PERMISSION_REVOKE",
    "update": "HEARTBEAT UPDATED SOMETHING_NEW RUNNING_NOW",
}


@pytest.mark.parametrize(
    ("event", "status"), [(event, each) for event, listed in STATUSES.items() for each in listed.split()]
)
def test_the_event_of_a_status(event: str, status: str) -> None:
    assert event_of(status) == event
    assert event_of(status.lower()) == event
    assert (status in EVENTS) is (event != "update")


@pytest.mark.parametrize("status", ["", "${STATUS}", "\ud800", "ß"])
def test_anything_else_is_an_update(status: str) -> None:
    assert event_of(status) == "update"


def test_no_status_is_forgotten() -> None:
    assert set(EVENTS) == {each for event, listed in STATUSES.items() if event != "update" for each in listed.split()}
