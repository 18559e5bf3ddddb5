"""Messages: what was sent to an actor, and what waits in its mailbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self

from abacod.ids import ExecutionId
from abacod.models.execution import Execution
from abacod.models.states import ExecutionStatus

ContentType = Literal["str", "application/json", "application/octet-stream"]

MAX_ENVIRONMENT_STRING_BYTES: Final = 131_072
"""The kernel's limit (MAX_ARG_STRLEN) for `NAME=value` and its closing NUL, in bytes (spec/actors-api 3.5)."""

MAX_TEXT_BYTES: Final = MAX_ENVIRONMENT_STRING_BYTES - len("MSG=") - 1
"""Longest text that still fits into `MSG=…` with its closing NUL, in bytes."""

BINARY_OMITTED: Final = "binary - omitted"
"""What a reply shows in place of a binary message (spec/actors-api 1.8)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it was received.

    `body` is the text for the container's `MSG`, None for a binary message, whose bytes lie in a file named after its
    execution. `shown` is what the reply repeats. `environment` are the query parameters.
    """

    content_type: ContentType
    body: str | None
    shown: Any
    environment: Mapping[str, str] = field(default_factory=dict)
    by_nonce: bool = False
    """Whether its sender had a nonce, and no token of the user that the execution runs as."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A message in a mailbox. `seq` orders all messages of the daemon; `attempts` counts failed starts."""

    seq: int
    execution: Execution
    """As it was when the message was fetched; it may have been cancelled since."""
    content_type: ContentType
    body: str | None
    environment: Mapping[str, str]
    attempts: int = 0
    by_nonce: bool = False
    behind: int = 0
    """The `seq` of the message before it, of those that waited in the mailbox when it was sent; 0 for none, or not known."""

    @property
    def execution_id(self) -> ExecutionId:
        """The id of its execution."""
        return self.execution.id

    @property
    def begun(self) -> bool:
        """Whether its execution is marked as running already, for the worker that it was sent to."""
        return self.execution.status is ExecutionStatus.RUNNING

    @property
    def waiting(self) -> Self:
        """The same message, which waits again."""
        if not self.begun:
            return self
        execution = replace(self.execution, status=ExecutionStatus.SUBMITTED, worker_id=None, start_time=None)
        return replace(self, execution=execution)
