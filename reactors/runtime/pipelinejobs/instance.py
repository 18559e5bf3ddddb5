"""A job that is there, known by its UUID (spec/pipelinejobs 8.3)."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from reactors.runtime.daemon import Daemon
from reactors.runtime.pipelinejobs.configuration import configured
from reactors.runtime.pipelinejobs.errors import JobInvalid, ManagedPipelineJobError
from reactors.runtime.pipelinejobs.known import JobRecord, KnownJob
from reactors.runtime.pipelinejobs.service import JobsService


class ManagedPipelineJobInstance(KnownJob):
    """An existing job; `mongodb` and `agave` mean nothing any more. It cannot be cancelled.

    Raises:
        JobUnknown: a ValueError: there is no such job.
        ManagedPipelineJobError: the daemon does not answer, or refuses the reactor.
    """

    def __init__(
        self,
        mongodb: Any = None,
        uuid: str = "",
        agave: Any = None,
        token: str | None = None,
        pipelines: Mapping[str, Any] | None = None,
        daemon: Daemon | None = None,
    ) -> None:
        configuration = configured(pipelines, daemon)
        super().__init__(configuration, JobsService(configuration).get(uuid), token or "")

    def handle(self, event_document: Mapping[str, Any], token: str | None = None) -> JobRecord:
        """Bring the event `{"uuid", "name", "data", "token"}` to the job; `uuid`, `data` and `token` may be left out.

        Raises:
            JobInvalid: a ValueError: it has no name, or another job's UUID.
            MachineError: the job takes no such event in its state.
        """
        name = event_document.get("name")
        if not name or event_document.get("uuid", self.uuid) != self.uuid:
            raise JobInvalid(f"an event needs a name, and the uuid {self.uuid} if it has one")
        self._send(str(name), event_document.get("data"), event_document.get("token") or token)
        return JobRecord(self)

    def index(
        self,
        token: str | None = None,
        transition: bool = False,
        level: str = "1",
        fixity: bool = False,
        filters: Sequence[Any] | None = None,
        permissive: bool = False,
    ) -> list[str] | JobRecord:
        """Have the Indexer index the archive path, wait for it, and return the paths, with `transition` the record.

        `filters` are patterns or index requests; without any, those of the job hold, else all files. `fixity` has sizes
        and checksums of files that plain patterns match recorded. With `permissive` a failure is an empty list.

        Raises:
            ManagedPipelineJobError: it did not work.
        """
        message: dict[str, Any] = {"uuid": self.uuid, "name": "index", "level": level}
        if token or self.token:
            message["token"] = token or self.token
        if filters or fixity:
            message["filters"] = _with_fixity(filters or [""], level) if fixity else list(filters or ())
        try:
            paths = self._service.index(message)
        except ManagedPipelineJobError:
            if not permissive:
                raise
            paths = []
        self._take(self._service.get(self.uuid))
        return self.indexed(token) if transition else paths

    def indexed(self, token: str | None = None) -> JobRecord:
        """Indexing has ended."""
        self._send("indexed", None, token)
        return JobRecord(self)


def _with_fixity(filters: Sequence[Any], level: str) -> list[Any]:
    plain = [each for each in filters if isinstance(each, str)]
    request = [{"patterns": [each for each in plain if each], "level": level, "fixity": True}] if plain else []
    return [*request, *(each for each in filters if not isinstance(each, str))]
