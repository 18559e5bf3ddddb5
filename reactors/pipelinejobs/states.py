"""The life of a job: its states, its events, and where each leads (spec/pipelinejobs 3)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class JobState(StrEnum):
    """Where a job stands."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    FINISHED = "FINISHED"
    INDEXING = "INDEXING"
    VALIDATING = "VALIDATING"
    VALIDATED = "VALIDATED"
    REJECTED = "REJECTED"
    FINALIZED = "FINALIZED"
    RETIRED = "RETIRED"
    RESET = "RESET"


class JobEvent(StrEnum):
    """What happens to a job."""

    CREATE = "create"
    RUN = "run"
    UPDATE = "update"
    RESOURCE = "resource"
    FAIL = "fail"
    FINISH = "finish"
    INDEX = "index"
    INDEXED = "indexed"
    VALIDATE = "validate"
    VALIDATED = "validated"
    REJECT = "reject"
    FINALIZE = "finalize"
    RETIRE = "retire"
    RESET = "reset"
    READY = "ready"


ADMINISTRATIVE: Final = frozenset({JobEvent.RESET, JobEvent.READY})
"""Events that need an administrative token."""


class IllegalEvent(ValueError):
    """The event leads nowhere from the state that the job is in."""


_S = JobState
TRANSITIONS: Final[Mapping[JobEvent, Mapping[JobState, JobState]]] = {
    JobEvent.CREATE: {_S.CREATED: _S.CREATED},
    JobEvent.RUN: {_S.CREATED: _S.RUNNING, _S.RUNNING: _S.RUNNING},
    JobEvent.UPDATE: {state: state for state in (_S.CREATED, _S.RUNNING, _S.INDEXING, _S.VALIDATING)},
    JobEvent.RESOURCE: {_S.CREATED: _S.CREATED, _S.RUNNING: _S.RUNNING},
    JobEvent.FAIL: dict.fromkeys((_S.CREATED, _S.RUNNING, _S.INDEXING, _S.VALIDATING), _S.FAILED),
    JobEvent.FINISH: {_S.RUNNING: _S.FINISHED, _S.FINISHED: _S.FINISHED},
    JobEvent.INDEX: {_S.FINISHED: _S.INDEXING, _S.INDEXING: _S.INDEXING},
    JobEvent.INDEXED: {_S.FINISHED: _S.FINISHED, _S.INDEXING: _S.FINISHED},
    JobEvent.VALIDATE: {_S.FINISHED: _S.VALIDATING, _S.VALIDATED: _S.VALIDATING},
    JobEvent.VALIDATED: {_S.VALIDATING: _S.VALIDATED, _S.VALIDATED: _S.VALIDATED},
    JobEvent.REJECT: {_S.VALIDATING: _S.REJECTED},
    JobEvent.FINALIZE: {_S.VALIDATED: _S.FINALIZED},
    JobEvent.RETIRE: dict.fromkeys(
        (_S.FAILED, _S.FINISHED, _S.VALIDATING, _S.VALIDATED, _S.REJECTED, _S.FINALIZED), _S.RETIRED
    ),
    JobEvent.RESET: dict.fromkeys(JobState, _S.RESET),
    JobEvent.READY: {_S.RESET: _S.CREATED},
}
"""For each event, where it leads from each state in which it may come; all else is refused (spec/pipelinejobs 3.2)."""


def event_named(name: str) -> JobEvent:
    """The event of this name, in whatever case it is written.

    Raises:
        IllegalEvent: there is none.
    """
    try:
        return JobEvent(name.lower())
    except ValueError as error:
        raise IllegalEvent(f"{name} is not an event of a job; there are {', '.join(JobEvent)}") from error


def after(state: JobState, event: JobEvent) -> JobState:
    """The state that the event leads to.

    Raises:
        IllegalEvent: the event may not come in this state.
    """
    target = TRANSITIONS[event].get(state)
    if target is None:
        raise IllegalEvent(f"Can't trigger event {event} from state {state}!")
    return target
