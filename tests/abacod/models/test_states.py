from __future__ import annotations

from abacod.models.states import EXECUTION_TRANSITIONS, ExecutionStatus, WorkerStatus


def test_executions_that_ended_stay_as_they_are() -> None:
    assert set(EXECUTION_TRANSITIONS) == set(ExecutionStatus)
    assert {status for status in ExecutionStatus if status.ended} == {ExecutionStatus.COMPLETE, ExecutionStatus.ERROR}


def test_every_execution_can_come_to_an_end() -> None:
    for status in ExecutionStatus:
        assert status.ended or ExecutionStatus.ERROR in EXECUTION_TRANSITIONS[status]
        assert ExecutionStatus.ERROR not in EXECUTION_TRANSITIONS[ExecutionStatus.COMPLETE]


def test_workers_that_take_messages() -> None:
    assert [status for status in WorkerStatus if status.viable] == [
        WorkerStatus.REQUESTED,
        WorkerStatus.PULLING_IMAGE,
        WorkerStatus.READY,
        WorkerStatus.BUSY,
    ]
