"""The error tree: everything abacod itself can refuse or fail at.

A user's container that exits with an error is a result, not an error, and never appears here. Each class carries the
HTTP `status` it is answered with, the status under `compat = "abaco"` where that differs, and a stable `code` for logs.
The class docstring is the default message.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, ClassVar


class AbacoError(Exception):
    """The request could not be served."""

    status: ClassVar[int] = 500
    abaco_status: ClassVar[int | None] = None
    """The status the reference service used, where it differs (spec/decisions: one switch for the quirks)."""

    def __init__(self, message: str | None = None, *, hint: str | None = None, result: Any = None) -> None:
        """Make an error.

        `message` is shown to the user and defaults to the class docstring; `hint` is a remedy for the operator and goes
        to the log; `result` is JSON that the HTTP envelope carries beside the message.
        """
        self.message = message or inspect.cleandoc(type(self).__doc__ or "")
        self.hint = hint
        self.result = result
        super().__init__(self.message)

    @property
    def code(self) -> str:
        """A stable name for logs and metrics: the class name."""
        return type(self).__name__


# --- what the caller asked for is wrong ---------------------------------------------------------------------------------


class BadRequest(AbacoError):
    """The request is not valid."""

    status = 400


class InvalidField(BadRequest):
    """A field of the request has a value that is not allowed."""


class AliasTaken(InvalidField):
    """An alias with this name already exists."""


class ConfigTaken(InvalidField):
    """A config with this name already exists."""


class InvalidMessage(BadRequest):
    """message POST body could not be serialized. Pass JSON data or use the message attribute."""


class SearchTooSlow(BadRequest):
    """The search took too long and was broken off. Narrow it with a condition on id, actor_id, status or a time."""


class TooLarge(BadRequest):
    """The request is larger than this server accepts."""

    status = 413


class MailboxBusy(BadRequest):
    """Cannot issue synchronous execution when actor message queue > 0."""


class InvalidRecord(InvalidField):
    """A record of the data catalog is not valid."""


class PipelineTaken(InvalidField):
    """A pipeline with this UUID or id already exists."""


class PipelineInUse(BadRequest):
    """A pipeline cannot be deleted; only an administrator can, if nothing refers to it."""


class EventRefused(BadRequest):
    """The event may not come to a job in this state."""


class PathRefused(BadRequest):
    """The path is on no storage system of this server, or leads out of it."""


class BatchJobRefused(BadRequest):
    """The app cannot be run so."""


class NotAuthenticated(AbacoError):
    """No token found. Send a JWT in the header X-Tapis-Token, or in Authorization: Bearer."""

    status = 401


class InvalidNonce(AbacoError):
    """Nonce does not exist."""

    status = 401
    abaco_status = 400


class NonceUsedUp(InvalidNonce):
    """No remaining uses left for this nonce."""


class NotPermitted(AbacoError):
    """Not authorized -- you do not have access to this actor."""

    status = 403
    abaco_status = 400


class TokenRefused(NotPermitted):
    """The token is not that of this document, nor an administrative token of this minute."""


class NotFound(AbacoError):
    """There is nothing at this address."""

    status = 404


class PipelineNotFound(NotFound):
    """No such pipeline."""


class JobNotFound(NotFound):
    """There is no job with this UUID."""


class RecordNotFound(NotFound):
    """The data catalog has no such record."""


class AppNotFound(NotFound):
    """There is no such app."""


class BatchJobNotFound(NotFound):
    """There is no such batch job."""


class FileMissing(NotFound):
    """There is no such file on the storage system."""


class NoSuchRoute(NotFound):
    """Invalid request: the API endpoint does not exist or the provided HTTP method is not allowed."""


class MethodNotAllowed(AbacoError):
    """Invalid request: the API endpoint does not exist or the provided HTTP method is not allowed."""

    status = 405

    def __init__(self, message: str | None = None, *, allowed: Iterable[str] = ()) -> None:
        """Make the error; `allowed` are the methods that there are."""
        super().__init__(message)
        self.allowed = frozenset(allowed)


class ActorNotFound(NotFound):
    """No actor found with this identifier."""


class AliasNotFound(NotFound):
    """No alias found with this name."""


class NonceNotFound(NotFound):
    """Nonce not found."""

    abaco_status = 400


class ConfigNotFound(NotFound):
    """No config found with this name."""


class ExecutionNotFound(NotFound):
    """No execution found with this id."""

    abaco_status = 400


class WorkerNotFound(NotFound):
    """Worker not found."""


class UserNotFound(NotFound):
    """No user found with this name."""


class Conflict(AbacoError):
    """The request does not fit the present state."""

    status = 409


class UserTaken(Conflict):
    """A user with this name exists already."""


class AppInUse(Conflict):
    """Batch jobs of the app have not ended; stop them, or wait for them."""


class ActorShuttingDown(Conflict):
    """The actor is being deleted and takes no more messages."""


class IllegalTransition(Conflict):
    """The execution has moved on in the meantime."""

    status = 400


class BuiltinActor(BadRequest):
    """This actor or alias is built in: it can be neither changed nor deleted."""


class NotRunning(BadRequest):
    """Cannot force quit an execution that has ended."""


# --- the platform cannot serve now ---------------------------------------------------------------------------------------


class Unavailable(AbacoError):
    """The service cannot do this at the moment; try again later."""

    status = 503


class EngineUnavailable(Unavailable):
    """The container engine does not answer."""


class StorageUnavailable(Unavailable):
    """The database cannot be read or written at the moment."""


class BatchEngineFailed(Unavailable):
    """The engine that runs batch jobs does not answer, or failed."""


class SealBroken(AbacoError):
    """This secret cannot be read any more: the server's sealing key is not the one it was sealed with. Tell its operator."""


class Stopping(Unavailable):
    """The service is being stopped; what has been accepted is kept, and goes on once it is there again."""


class SynchronousTimeout(AbacoError):
    """Timeout error waiting on Abaco service response. The server may be busy or overloaded."""

    status = 504


# --- a run that did not happen -------------------------------------------------------------------------------------------


class RunNotStarted(AbacoError):
    """The container could not be started."""

    retryable: ClassVar[bool] = True
    """Whether the same run may succeed when tried again."""


class StartFailed(RunNotStarted):
    """The engine failed to start the container."""


class RunRejected(RunNotStarted):
    """The engine refuses to run this container."""

    retryable = False


class ImageMissing(RunRejected):
    """The image was not found."""


class RunLost(AbacoError):
    """The container vanished before its end could be seen."""


# --- set-up --------------------------------------------------------------------------------------------------------------


class ConfigError(AbacoError):
    """The configuration is not valid."""


class DataDirInUse(ConfigError):
    """Another abacod uses this data directory."""
