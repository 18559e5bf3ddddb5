"""The requests about jobs that the daemon answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Mapping, NoReturn, Sequence

from reactors.runtime.actors import Actors, Retries
from reactors.runtime.daemon import path_of
from reactors.runtime.errors import DaemonError, ReactorError
from reactors.runtime.pipelinejobs.configuration import Configuration
from reactors.runtime.pipelinejobs.errors import JobInvalid, JobUnknown, MachineError, ManagedPipelineJobError

_BAD_REQUEST, _NOT_FOUND, _CONFLICT = 400, 404, 409
_CRITICAL = " CRITICAL "
_JOBS = path_of("v3", "jobs")


@dataclass(frozen=True)
class Answer:
    """A job as the daemon knows it. `token` and `callback` are empty where they are not told."""

    job: Mapping[str, Any]
    token: str = ""
    callback: str = ""
    created: bool = False


class JobsService:
    """Jobs, kept by the daemon.

    Every method raises ManagedPipelineJobError: MachineError for an event that is refused, JobUnknown for a UUID that is
    no job's, JobInvalid for a request that cannot be.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._daemon = configuration.daemon
        self._nonce = configuration.manager_nonce
        self._indexer = configuration.indexer
        self._indexer_nonce = configuration.indexer_nonce
        self._actors = Actors(configuration.daemon)

    def preview(self, request: Mapping[str, Any]) -> Answer:
        """The job that a request would make."""
        return _answer(self._ask("POST", f"{_JOBS}/preview", request, refused=JobInvalid))

    def create(self, request: Mapping[str, Any]) -> Answer:
        """The job of a request, made if it is not there."""
        return _answer(self._ask("POST", _JOBS, request, refused=JobInvalid))

    def get(self, uuid: str) -> Mapping[str, Any]:
        """A job's record."""
        return dict(self._ask("GET", _path(uuid)))

    def history(self, uuid: str) -> Sequence[Mapping[str, Any]]:
        """What happened to a job."""
        return list(self._ask("GET", _path(uuid, "history")))

    def event(self, uuid: str, name: str, data: Mapping[str, Any] | None, token: str | None) -> Answer:
        """Bring an event to a job."""
        body = {"name": name, "token": token, **({"data": dict(data)} if data else {})}
        return _answer(self._ask("POST", _path(uuid, "events"), body))

    def reset(self, uuid: str, data: Mapping[str, Any] | None, token: str | None, no_clear_path: bool) -> Answer:
        """Empty the archive path, and make the job CREATED again."""
        body = {"token": token, "no_clear_path": no_clear_path, **({"data": dict(data)} if data else {})}
        return _answer(self._ask("POST", _path(uuid, "reset"), body))

    def cancel(self, uuid: str, token: str | None) -> None:
        """Delete a job to which nothing has happened yet."""
        self._ask("POST", _path(uuid, "cancel"), {"token": token})

    def delete(self, uuid: str, token: str | None) -> None:
        """Delete a job."""
        self._ask("DELETE", _path(uuid), query={"token": token or ""})

    def launch(self, definition: Mapping[str, Any]) -> str:
        """Submit a batch job, and return its id."""
        try:
            found = self._daemon.call("POST", "/jobs/v2", body=dict(definition))
        except (DaemonError, ValueError) as error:
            raise ManagedPipelineJobError(f"Encountered API error: {error}") from error
        if not isinstance(found, Mapping) or not found.get("id"):
            raise ManagedPipelineJobError(f"Failed to launch {definition.get('appId')}")
        return str(found["id"])

    def index(self, message: Mapping[str, Any]) -> list[str]:
        """Have the Indexer handle a message, wait for it, and return the paths that it answers."""
        actor, nonce = self._indexer, self._indexer_nonce
        try:
            execution = self._actors.send(actor, dict(message), {}, Retries(), nonce)
            ended = self._actors.wait(actor, execution, nonce)
            if ended.get("exit_code") == 0:
                return _paths(self._actors.result(actor, execution, nonce))
            log = self._actors.log(actor, execution, nonce)
        except ManagedPipelineJobError:
            raise
        except (ReactorError, ValueError) as error:
            raise ManagedPipelineJobError(str(error)) from error
        why = [line.partition(_CRITICAL)[2] for line in log.splitlines() if _CRITICAL in line]
        raise ManagedPipelineJobError(why[-1] if why else f"execution {execution} ended in {ended.status}")

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        refused: type[ManagedPipelineJobError] = MachineError,
    ) -> Any:
        try:
            found = self._daemon.call(method, path, body=body, query=query, nonce=self._nonce)
        except DaemonError as error:
            _raise(error, refused)
        except ValueError as error:
            raise JobInvalid(str(error)) from error
        if found is None and method == "GET":
            raise ManagedPipelineJobError(f"{method} {path}: the answer has no job")
        return found


def _raise(error: DaemonError, refused: type[ManagedPipelineJobError]) -> NoReturn:
    if error.status in (_BAD_REQUEST, _CONFLICT):
        raise refused(error.message) from error
    if error.status == _NOT_FOUND:
        # Of what a request names, the pipeline or a record of the catalog is not there.
        raise (JobInvalid if refused is JobInvalid else JobUnknown)(error.message) from error
    raise ManagedPipelineJobError(error.message) from error


def _path(uuid: str, *more: str) -> str:
    try:
        return path_of("v3", "jobs", uuid, *more)
    except ValueError:
        raise JobUnknown(f"{uuid!r} is no UUID of a job") from None


def _answer(found: Any) -> Answer:
    try:
        return Answer(dict(found["job"]), found.get("token", ""), found.get("callback", ""), bool(found.get("created")))
    except (TypeError, KeyError, AttributeError, ValueError):
        raise ManagedPipelineJobError("the daemon's answer has no job") from None


def _paths(result: bytes) -> list[str]:
    try:
        found = json.loads(result) if result else []
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise ManagedPipelineJobError("the Indexer's result is no list of paths")
    return [str(path) for path in found]
