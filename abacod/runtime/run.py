"""What a runtime is: it runs one container for one execution and reports how that went.

The rule every runtime keeps: a container that ran and failed is an `Outcome`, whatever its exit code; a platform that
failed to run it raises, and there is no outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, Protocol

from abacod.ids import ActorId, ExecutionId, TenantId, Username, WorkerId
from abacod.models.actor import Mount

MAX_RESULT_BYTES: Final = 131_072
"""The largest result (seeds: Sending binary from execution)."""


_NOBODY: Final = Username("")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as a built-in reactor gets it: `text` as it was sent, None for a binary one; the query in `parameters`."""

    text: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    username: Username = _NOBODY
    by_nonce: bool = False


class Keep(Enum):
    """What a runtime that can do so holds ready for the worker of a run; one that cannot runs each message by itself."""

    NOTHING = "nothing"
    NEXT = "next"
    """The container of the next message, which waits already."""
    ALWAYS = "always"
    """The container of the next message, whenever it comes."""
    REUSED = "reused"
    """This run's container itself: the next message runs in it too."""
    RESIDENT = "resident"
    """The process of this run: the next message is handed to it too."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Everything a runtime needs to run one message.

    `memory_bytes` and `nano_cpus` are limits, None for none; `user` is `uid:gid`, None for the image's own user;
    `binary_message` is a file to show at `/_abaco_binary_data`; `time_limit` is in seconds, None for none.
    `entrypoint`, `command` and `working_dir` are None for the image's own; with an entrypoint there is no command but this one.
    """

    execution_id: ExecutionId
    actor_id: ActorId
    worker_id: WorkerId
    tenant: TenantId
    image: str
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...] = ()
    user: str | None = None
    memory_bytes: int | None = None
    nano_cpus: int | None = None
    privileged: bool = False
    time_limit: float | None = None
    binary_message: Path | None = None
    keep: Keep = Keep.NOTHING
    lasting_environment: Mapping[str, str] = field(default_factory=dict)
    """What of the environment is the same for all messages: a process that stays is started with it."""
    delivery: Delivery = Delivery()
    """What a built-in reactor gets in place of a container's environment."""
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    working_dir: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a container ended.

    `final_state` is the engine's state object with the keys of spec/actors-api 4.2; `cpu` is in nanoseconds, `io` in bytes
    received and sent.
    """

    exit_code: int
    final_state: Mapping[str, Any]
    started_at: datetime
    finished_at: datetime
    cpu: int
    io: int


class RunSink(Protocol):
    """Where a run reports while it goes on."""

    async def starting(self) -> None:
        """The container exists and is started next; returns once that is on disk.

        Raises:
            IllegalTransition: the execution has been cancelled meanwhile; the runtime removes the container and lets this pass.
        """
        ...

    async def log(self, data: bytes) -> None:
        """More output of the container, in order; which of its two outputs came first is known only as far as the engine tells."""
        ...

    async def log_restarts(self) -> None:
        """What was reported of the log so far comes again from its beginning (after a lost connection)."""
        ...

    async def results(self, data: Sequence[bytes]) -> None:
        """More results of the container, each up to `MAX_RESULT_BYTES`, in order; returns once they are on disk.

        No more of them are read until then, so that a container which sends faster than the disk writes has to wait.
        """
        ...

    def answer(self, data: bytes) -> None:
        """The result that comes with the end of the run, up to `MAX_RESULT_BYTES`: it goes to the disk together with that."""
        ...


class FoundState(Enum):
    """What became of a container found on the engine."""

    NEVER_STARTED = "never started"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A container of this daemon found on the engine."""

    execution_id: ExecutionId
    state: FoundState


class Runtime(Protocol):
    """Runs containers. Every method raises `EngineUnavailable` when the engine does not answer, unless it says otherwise."""

    async def ping(self) -> None:
        """Ask the engine whether it answers."""
        ...

    async def prepare(self, image: str, *, fresh: bool) -> None:
        """Make sure `image` is on this machine; `fresh` asks the registry for a newer one first, as the settings allow.

        Raises:
            ImageMissing: neither the registry nor this machine has the image; the message says what was tried.
        """
        ...

    async def run(self, spec: RunSpec, sink: RunSink) -> Outcome:
        """Create the container, tell the sink, start it, and follow it to its end.

        Once the container is started the call outlasts an engine that goes away: it waits for it and goes on. The ended
        container stays until `discard`. When cancelled, the container is left as it is. All results that the container sent
        are with the sink before the outcome; what is larger than `MAX_RESULT_BYTES` is dropped.

        Raises:
            RunNotStarted: the container was not started; nothing of it is left.
            EngineUnavailable: the engine went away before the start; nothing ran.
            RunLost: the container vanished.
            StorageUnavailable: there is no room for the results socket; nothing ran.
        """
        ...

    async def resume(self, execution_id: ExecutionId, sink: RunSink, *, time_limit: float | None) -> Outcome:
        """Follow a container that was started earlier to its end, its log from the beginning; it can send results again.

        `time_limit` counts from the container's start. Raises `RunLost` and `StorageUnavailable` as `run`.
        """
        ...

    async def halt(self, execution_id: ExecutionId) -> None:
        """Stop the container: SIGTERM, then SIGKILL after the grace of the settings. No container is no error."""
        ...

    async def discard(self, execution_id: ExecutionId) -> None:
        """Remove the container and everything made for it. No container is no error."""
        ...

    async def found(self) -> list[FoundRun]:
        """All containers that this daemon's data directory ever made and that are still on the engine."""
        ...

    async def gateway(self) -> str | None:
        """The address under which containers on the network of the settings find their machine, None if there is none.

        Whether the daemon's machine has that address is another question: a rootless engine has a network of its own.
        """
        ...

    def worker_ended(self, worker_id: WorkerId) -> None:
        """Nothing is to be held ready for this worker any more; never fails, and what it starts it does not wait for."""
        ...

    async def sweep(self) -> None:
        """Remove what was made on this machine for containers that are not there any more."""
        ...

    async def close(self) -> None:
        """Let go of the engine; containers stay as they are."""
        ...
