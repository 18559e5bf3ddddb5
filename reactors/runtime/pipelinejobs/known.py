"""A job as this program knows it, and the answers that its methods give."""

from __future__ import annotations

import json
from typing import Any, Callable, Iterator, Mapping

from reactors.runtime.pipelinejobs.configuration import Configuration
from reactors.runtime.pipelinejobs.errors import ManagedPipelineJobError
from reactors.runtime.pipelinejobs.service import Answer, JobsService

LINKS = ("child_of", "generated_by", "acted_on", "acted_using")


class KnownJob:
    """The last known record of a job, as attributes; `job` is all of it."""

    def __init__(self, configuration: Configuration, record: Mapping[str, Any], token: str = "") -> None:
        self.config = configuration
        self.stores: Mapping[str, Any] = {}
        self.token = token
        self._service = JobsService(configuration)
        self._take(record)

    def _take(self, record: Mapping[str, Any]) -> None:
        self.job: dict[str, Any] = dict(record)
        self.uuid: str = str(record.get("uuid") or "")
        self.pipeline_uuid: str = str(record.get("pipeline_uuid") or "")
        self.state: str = str(record.get("state") or "")
        self.last_event: str = str(record.get("last_event") or "")
        self.data: dict[str, Any] = dict(record.get("data") or {})
        self.archive_system: str = str(record.get("archive_system") or "")
        self.archive_path: str = str(record.get("archive_path") or "")
        self.archive_patterns: list[Any] = list(record.get("archive_patterns") or ())
        self.product_patterns: list[Any] = list(record.get("product_patterns") or ())
        self.session: str = str(record.get("session") or "")
        self.agent: str = str(record.get("agent") or "")
        self.task: str = str(record.get("task") or "")
        self.child_of, self.generated_by, self.acted_on, self.acted_using = (
            list(record.get(link) or ()) for link in LINKS
        )

    def _send(self, name: str, data: Mapping[str, Any] | None, token: str | None) -> Answer:
        answer = self._service.event(self.uuid, name.lower(), data, self._allowing(token))
        self._took(answer)
        return answer

    def _allowing(self, token: str | None) -> str:
        """The token given, else the job's own."""
        if not (token or self.token):
            raise ManagedPipelineJobError(f"there is no token for job {self.uuid} here; give it with token=")
        return token or self.token

    def _took(self, answer: Answer) -> None:
        self._take(answer.job)
        # An administrative token that was used is not the job's own; the answer has that.
        self.token = answer.token or self.token

    def archive_uri(self) -> str:
        """Where the products are: `agave://SYSTEM/PATH`."""
        return f"agave://{self.archive_system}{self.archive_path}"

    def serialize_data(self) -> str:
        """The data as it decides the UUID: JSON with sorted keys and no spaces."""
        return json.dumps(self.data, sort_keys=True, separators=(",", ":"))

    def __str__(self) -> str:
        """The job on some lines, one for each of what makes it."""
        shown = {"uuid": self.uuid, "pipeline_uuid": self.pipeline_uuid, "data": self.serialize_data()}
        shown.update({link: str(getattr(self, link)) for link in LINKS})
        shown["archive_uri"] = self.archive_uri()
        width = max(map(len, shown))
        return "\n".join(f"{name:{width}}: {value}" for name, value in shown.items())


class JobRecord(Mapping[str, Any]):
    """A job's record after an event, read-only, with `token` and `_update_token`, and with the events that may follow.

    `update` is the event, and changes nothing here: `job.run().update({"step": 2})["state"]`.
    """

    def __init__(self, job: Any) -> None:
        self._job = job
        self._content = {**job.job, "token": job.token, "_update_token": job.token}

    def __getitem__(self, key: str) -> Any:
        return self._content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._content.get('uuid')} {self._content.get('state')}>"

    def __getattr__(self, name: str) -> Callable[..., JobRecord]:
        if name not in EVENT_METHODS:
            raise AttributeError(f"there is no {name} here; the fields of the record are read with brackets")
        method: Callable[..., JobRecord] = getattr(self._job, name)
        return method

    def update(self, data: Mapping[str, Any] | None = None, token: str | None = None) -> JobRecord:
        """The event `update`."""
        record: JobRecord = self._job.update(data, token)
        return record


EVENT_METHODS = frozenset(
    ("run", "resource", "fail", "finish", "index", "indexed", "handle", "reset", "ready", "cancel", "delete")
)
