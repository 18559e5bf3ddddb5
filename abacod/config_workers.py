"""The settings of workers: their numbers, their queues, and the containers that they keep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, field_validator

from abacod.config_section import Positive, Seconds, Section

_USUAL_QUEUES: Final = ("default", "special")


class QueueSettings(Section):
    """One named queue."""

    max_workers: Positive | None = Field(
        None,
        description="Workers of all actors of this queue together, in workers; without it only the machine's limit holds.",
    )


class WorkerSettings(Section):
    """Workers and the autoscaler."""

    autoscaling: bool = Field(
        True, description="Whether worker pools of stateless actors grow and shrink by themselves."
    )
    autoscaler_seconds: Annotated[float, Field(gt=0)] = Field(
        5, description="Time between two looks of the autoscaler, in seconds."
    )
    max_per_host: Positive = Field(75, description="Workers of all actors together, in workers.")
    max_per_actor: Positive = Field(6, description="Workers of an actor that sets no `max_workers`, in workers.")
    sync_idle_seconds: Seconds = Field(
        600, description="Idle time for which an actor with the hint `sync` or `resident` keeps a worker, in seconds."
    )
    ttl_seconds: int = Field(
        -1, ge=-1, description="Age at which a worker ends as soon as it has nothing to do, in seconds; -1 for never."
    )
    busybox: Path = Field(
        Path("/bin/busybox"),
        description="Statically linked busybox, which containers that are held ready, reused or resident are started with. Where there "
        "is none, each message runs in a container started for it.",
    )
    ready_memory_mb: int = Field(
        256,
        ge=0,
        description="Memory for containers that are held ready for a next message, or hold a network, in MB; each counts 8. "
        "Containers for the next message of a queue are made only while half of it is free. 0 holds none.",
    )
    ready_seconds: Seconds = Field(
        60,
        description="How long a container is held ready for a message that was expected and does not come, in seconds; for "
        "actors with the hint `sync` as long as the worker is kept.",
    )
    hold_networks: bool = Field(
        True,
        description="Whether a worker whose messages follow close upon each other holds a network ready, which the containers of its "
        "executions join one after the other instead of making one each. Not with `engine.network` `host`, `none` or "
        "`container:…`, nor for privileged actors. It goes after `ready_seconds` without a message.",
    )
    reuse_executions: Positive = Field(
        1000, description="Messages that run in one container of an actor with the hint `warm`, in messages."
    )
    reuse_seconds: Annotated[float, Field(gt=0)] = Field(
        3600, description="Age at which a container of an actor with the hint `warm` is replaced, in seconds."
    )
    queues: dict[str, QueueSettings] = Field(
        {},
        validate_default=True,
        description="Queues that an actor's `queue` may name beside `default` and `special`, which are always there: a table "
        "`[workers.queues.NAME]` each with `max_workers`, the limit of all workers of its actors together; or a list of names.",
    )

    @field_validator("queues", mode="before")
    @classmethod
    def _named_and_usual(cls, value: Any) -> Any:
        """A list names queues without limits of their own."""
        if isinstance(value, list | tuple):
            value = dict.fromkeys(value, QueueSettings())
        return {name: QueueSettings() for name in _USUAL_QUEUES} | value if isinstance(value, dict) else value

    def queue_limit(self, queue: str) -> int:
        """How many workers all actors of the queue may have together, in workers."""
        settings = self.queues.get(queue)
        limit = settings.max_workers if settings else None
        return self.max_per_host if limit is None else min(limit, self.max_per_host)
