"""The statuses of actors, executions and workers, and which may follow which."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ActorStatus(StrEnum):
    """Where an actor stands (spec/actors-api 1.8, 2.2-2.4)."""

    SUBMITTED = "SUBMITTED"
    READY = "READY"
    ERROR = "ERROR"
    SHUTTING_DOWN = "SHUTTING_DOWN"


class ExecutionStatus(StrEnum):
    """Where an execution stands (spec/actors-api 4.1). COMPLETE says the container ended, whatever its exit code."""

    SUBMITTED = "SUBMITTED"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    ERROR = "ERROR"

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        return not EXECUTION_TRANSITIONS[self]


EXECUTION_TRANSITIONS: Final[dict[ExecutionStatus, frozenset[ExecutionStatus]]] = {
    # Back to SUBMITTED: the engine failed to start the container, and the message waits for another try.
    ExecutionStatus.SUBMITTED: frozenset({ExecutionStatus.RUNNING, ExecutionStatus.ERROR}),
    ExecutionStatus.RUNNING: frozenset({ExecutionStatus.COMPLETE, ExecutionStatus.ERROR, ExecutionStatus.SUBMITTED}),
    ExecutionStatus.COMPLETE: frozenset(),
    ExecutionStatus.ERROR: frozenset(),
}


class WorkerStatus(StrEnum):
    """Where a worker stands (spec/actors-api 6.1); the names with spaces are the documented ones."""

    REQUESTED = "REQUESTED"
    PULLING_IMAGE = "PULLING IMAGE"
    READY = "READY"
    BUSY = "BUSY"
    SHUTDOWN_REQUESTED = "SHUTDOWN_REQUESTED"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    ERROR = "ERROR"

    @property
    def starting(self) -> bool:
        """Whether the worker has been asked for and is not at work yet."""
        return self in (WorkerStatus.REQUESTED, WorkerStatus.PULLING_IMAGE)

    @property
    def viable(self) -> bool:
        """Whether the worker takes messages now or will (spec/actors-api 6.3)."""
        return self not in (WorkerStatus.ERROR, WorkerStatus.SHUTTING_DOWN, WorkerStatus.SHUTDOWN_REQUESTED)
