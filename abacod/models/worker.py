"""Workers: what the API shows of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from abacod.ids import ActorId, TenantId, WorkerId
from abacod.models.states import WorkerStatus


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker at one moment (spec/actors-api 1.8)."""

    id: WorkerId
    actor_id: ActorId
    tenant: TenantId
    image: str
    status: WorkerStatus
    create_time: datetime
    last_execution_time: datetime | None
    last_health_check_time: datetime | None
