"""Actors: what a user registers, and what the server knows about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal, Self

from abacod.ids import ActorId, TenantId, Username, dbid
from abacod.models.schedule import next_ex_text
from abacod.models.states import ActorStatus

NATIVE: Final = "native:"
"""What the image of an actor begins with that the daemon itself runs, without a container."""

APP_PREFIX: Final = "app:"
"""How `builtin` of the actor behind an app begins; the app's id follows."""

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

    `token` is None where the user left it to the server. `max_cpus` is in billionths of a CPU, `log_ex` in seconds,
    `mem_limit` in engine syntax (`512m`).
    """

    image: str
    name: str | None = None
    description: str = ""
    default_environment: Mapping[str, str] = field(default_factory=dict)
    hints: tuple[str, ...] = ()
    link: str = ""
    webhook: str = ""
    stateless: bool = True
    token: bool | None = None
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
    """A registered actor. `cron_start` and `cron_next` are the first and the next run of its schedule, if it has one."""

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
    cron_start: datetime | None = None
    cron_next: datetime | None = None
    builtin: str | None = None
    """What the server has registered it for, None for an actor of a user."""

    @property
    def is_behind_app(self) -> bool:
        """Whether it runs an app's batch jobs, and nothing else."""
        return self.builtin is not None and self.builtin.startswith(APP_PREFIX)

    @property
    def dbid(self) -> str:
        """The id that containers and events see."""
        return dbid(self.tenant, self.id)

    @property
    def cron_next_ex(self) -> str | None:
        """The next run as the API shows it."""
        return next_ex_text(self.cron_next) if self.cron_next else None

    @property
    def is_native(self) -> bool:
        """Whether the daemon itself runs its messages, without a container."""
        return self.definition.image.startswith(NATIVE)

    @property
    def has_sync_hint(self) -> bool:
        """Whether one worker is kept ready for low latency (seeds: Official "sync" Hint)."""
        return "sync" in self.definition.hints

    @property
    def has_warm_hint(self) -> bool:
        """Whether its messages run one after the other in a container that stays."""
        return "warm" in self.definition.hints

    @property
    def has_resident_hint(self) -> bool:
        """Whether its messages are handed to one process that stays, one after the other."""
        return "resident" in self.definition.hints

    @property
    def keeps_worker(self) -> bool:
        """Whether one worker stays for a while though nothing waits."""
        return self.has_sync_hint or self.has_resident_hint

    def with_status(self, status: ActorStatus, message: str) -> Self:
        """The same actor in another status."""
        return replace(self, status=status, status_message=message)


_MEMORY: Final = re.compile(r"(\d+)\s*([bkmg]?)b?", re.IGNORECASE)
_UNITS: Final = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def parse_memory(text: str) -> int | None:
    """Bytes of an engine memory size (`512m`, `3g`, `1073741824`); None for `-1`, which is no limit.

    Raises:
        ValueError: it is not a size; the message says what one looks like.
    """
    if text.strip() == "-1":
        return None
    match = _MEMORY.fullmatch(text.strip())
    if match is None or not int(match[1]):
        raise ValueError(f"{text!r} is not a memory size; write for example 512m, 3g or -1 for no limit")
    return int(match[1]) * _UNITS[match[2].lower()]
