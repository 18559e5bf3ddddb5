"""Executions: the record of one message run through one container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from abacod.ids import ActorId, ExecutionId, TenantId, Username, WorkerId
from abacod.models.states import ExecutionStatus


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution (spec/actors-api 4.2). `runtime` in whole seconds, `cpu` in nanoseconds, `io` in bytes."""

    id: ExecutionId
    actor_id: ActorId
    tenant: TenantId
    executor: Username
    status: ExecutionStatus
    message_received_time: datetime
    revision: int
    executor_uid: int | None = None
    executor_gid: int | None = None
    worker_id: WorkerId | None = None
    start_time: datetime | None = None
    finish_time: datetime | None = None
    runtime: int = 0
    cpu: int = 0
    io: int = 0
    exit_code: int | None = None
    final_state: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ExecutionSummary:
    """What a list shows of an execution."""

    id: ExecutionId
    status: ExecutionStatus
    message_received_time: datetime
    start_time: datetime | None
    finish_time: datetime | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all executions an actor ever had: a count, whole seconds, nanoseconds and bytes."""

    executions: int = 0
    runtime: int = 0
    cpu: int = 0
    io: int = 0
