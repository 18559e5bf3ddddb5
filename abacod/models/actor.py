"""Actors: what a user registers, and what the server knows about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal, Self

from abacod.ids import ActorId, TenantId, Username, dbid
from abacod.models.states import ActorStatus

READY_MESSAGE: Final = " "
"""What `status_message` holds once an actor is ready (spec/actors-api 1.8)."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of the host in a container."""

    host_path: str
    container_path: str
    mode: Literal["ro", "rw"]


@dataclass(frozen=True, slots=True)
class ActorDefinition:
    """The properties a user gives (spec/actors-api 2.1), with their documented defaults.

    `max_cpus` is in billionths of a CPU, `log_ex` in seconds, `mem_limit` in engine syntax (`512m`).
    """

    image: str
    name: str | None = None
    description: str = ""
    default_environment: Mapping[str, str] = field(default_factory=dict)
    hints: tuple[str, ...] = ()
    link: str = ""
    webhook: str = ""
    stateless: bool = True
    token: bool = False
    privileged: bool = False
    use_container_uid: bool = False
    run_as_executor: bool = False
    max_workers: int | None = None
    max_cpus: int | None = None
    mem_limit: str | None = None
    queue: str = "default"
    log_ex: int | None = None
    cron_schedule: str | None = None
    cron_on: bool = False
    type: str = "none"


@dataclass(frozen=True, slots=True)
class Actor:
    """A registered actor."""

    id: ActorId
    tenant: TenantId
    owner: Username
    definition: ActorDefinition
    status: ActorStatus
    status_message: str
    create_time: datetime
    last_update_time: datetime
    revision: int = 1
    state: Any = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    uid: int | None = None
    gid: int | None = None
    tasdir: str | None = None
    cron_next_ex: str | None = None

    @property
    def dbid(self) -> str:
        """The id that containers and events see."""
        return dbid(self.tenant, self.id)

    @property
    def has_sync_hint(self) -> bool:
        """Whether one worker is kept ready for low latency (seeds: Official "sync" Hint)."""
        return "sync" in self.definition.hints

    def with_status(self, status: ActorStatus, message: str) -> Self:
        """The same actor in another status."""
        return replace(self, status=status, status_message=message)
