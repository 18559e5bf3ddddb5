from __future__ import annotations

from typing import Final

import pytest

from reactors.pipelinejobs.states import (
    ADMINISTRATIVE,
    TRANSITIONS,
    IllegalEvent,
    JobEvent,
    JobState,
    after,
    event_named,
)

# Drawn from spec/pipelinejobs 3.2 by its columns: where each event leads from a state; what is not here is refused.
FROM: Final = {
    "CREATED": "create:CREATED run:RUNNING update:CREATED resource:CREATED fail:FAILED reset:RESET",
    "RUNNING": "run:RUNNING update:RUNNING resource:RUNNING fail:FAILED finish:FINISHED reset:RESET",
    "FAILED": "retire:RETIRED reset:RESET",
    "FINISHED": "finish:FINISHED index:INDEXING indexed:FINISHED validate:VALIDATING retire:RETIRED reset:RESET",
    "INDEXING": "update:INDEXING fail:FAILED index:INDEXING indexed:FINISHED reset:RESET",
    "VALIDATING": "update:VALIDATING fail:FAILED validated:VALIDATED reject:REJECTED retire:RETIRED reset:RESET",
    "VALIDATED": "validate:VALIDATING validated:VALIDATED finalize:FINALIZED retire:RETIRED reset:RESET",
    "REJECTED": "retire:RETIRED reset:RESET",
    "FINALIZED": "retire:RETIRED reset:RESET",
    "RETIRED": "reset:RESET",
    "RESET": "reset:RESET ready:CREATED",
}


def test_all_states_and_events_are_there() -> None:
    assert FROM.keys() == set(JobState)
    assert len(JobState) == 11
    assert len(JobEvent) == 15
    assert TRANSITIONS.keys() == set(JobEvent)


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("event", JobEvent)
def test_every_event_in_every_state(state: JobState, event: JobEvent) -> None:
    leads = dict(pair.split(":") for pair in FROM[state].split())
    if event in leads:
        assert after(state, event) == leads[event]
    else:
        with pytest.raises(IllegalEvent, match=f"^Can't trigger event {event} from state {state}!$"):
            after(state, event)


def test_names_of_events_are_read_in_any_case() -> None:
    assert event_named("FiNish") is JobEvent.FINISH
    for unknown in ("", "finished", "updated", " run", "RUNNING", "\ud800"):
        with pytest.raises(IllegalEvent, match="is not an event of a job"):
            event_named(unknown)


def test_administrative_events() -> None:
    assert {"reset", "ready"} == ADMINISTRATIVE
