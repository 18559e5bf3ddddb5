"""What a built-in reactor may ask of the daemon, and what it gets of a message.

Handlers are plain functions that run in a thread of their own; a port's method returns when the daemon has done what it
says, on disk. Once the time of an execution is over every port refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from reactors.pipelinejobs.records import Job, Pipeline


class Refused(Exception):
    """The daemon did not do it; the text says why."""


class TimeOver(Exception):
    """The execution's time is over, and it has been settled."""


class Exit(Exception):
    """Ends a handler: `code` 0 is success."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exit code {code}")


@dataclass(frozen=True, slots=True)
class Invocation:
    """One message, as its handler sees it.

    `message` is the text as it was sent; `parameters` are those of the query, without the nonce. `by_nonce` says that the
    sender had no token of `username`. `may_update` says that the user has UPDATE on the reactor. `actor_url` and
    `execution_url` are what records of jobs show.
    """

    actor_id: str
    execution_id: str
    actor_url: str
    execution_url: str
    username: str
    nickname: str
    message: str
    parameters: Mapping[str, str]
    write: Callable[[str], None]
    """Takes a line of the log, without its end."""
    answer: Callable[[bytes], None]
    """Takes a result of the execution."""
    by_nonce: bool = False
    may_update: bool = False

    def debug(self, text: str) -> None:
        """A line for who looks for the cause of something."""
        self._line("DEBUG", text)

    def info(self, text: str) -> None:
        """A line about what was done."""
        self._line("INFO", text)

    def warning(self, text: str) -> None:
        """A line about what was not done, and did not have to be."""
        self._line("WARNING", text)

    def success(self, text: str) -> Exit:
        """What to raise when the message was handled."""
        self._line("INFO", text)
        return Exit(0)

    def failure(self, text: str, why: object = None) -> Exit:
        """What to raise when it could not be handled: `text : why` in the log, and exit code 1 (spec/pipelinejobs 2)."""
        self._line("CRITICAL", text if why is None else f"{text} : {why}")
        return Exit(1)

    def _line(self, level: str, text: str) -> None:
        for line in text.splitlines() or [""]:
            self.write(f"{self.actor_id} {level} {line}")


@dataclass(frozen=True, slots=True)
class Written:
    """A pipeline after a change; `token` allows the next one. None: somebody else had created it already."""

    uuid: str
    token: str | None


class Pipelines(Protocol):
    """Pipelines of the execution's tenant. Every method raises `Refused` when the daemon does not do it."""

    def create(self, document: Mapping[str, Any]) -> Written:
        """Register a pipeline; the very same document again changes nothing."""
        ...

    def update(self, uuid: str, changes: Mapping[str, Any], token: str) -> Written:
        """Merge `changes` over the document."""
        ...

    def replace(self, document: Mapping[str, Any], token: str, uuid: str | None = None) -> Written:
        """Put the document in place of that of the pipeline whose UUID it has, which must be `uuid` if that is given."""
        ...

    def retire(self, uuid: str, token: str, *, force: bool = False) -> None:
        """Take the pipeline out of service; with `force` and an administrative token, delete it if no job refers to it."""
        ...

    def restore(self, uuid: str, token: str) -> None:
        """Put the pipeline back into service."""
        ...

    def get(self, uuid: str) -> Pipeline:
        """The pipeline, retired or not."""
        ...

    def of_app(self, app_id: str) -> Pipeline:
        """The pipeline with this readable id."""
        ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to the built-in reactor of this name."""

    reactor: str
    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Handled:
    """An event that has been brought to a job, which was in the state `before`.

    `late` is one that came too late to mean anything, and was passed over. `unsent` says why a job that was finished could not
    be sent to the Indexer.
    """

    job: Job
    before: str
    late: bool = False
    unsent: str = ""


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a job is made of (spec/pipelinejobs 8.1).

    `data` decides the archive path, together with `setup_data` merged over it the UUID. `linkage` are the given ids by their
    keys, such as `sample_id`. Without `archive_path` the path is generated; `instanced` extends it.
    """

    pipeline_uuid: str
    data: Mapping[str, Any]
    linkage: Mapping[str, Sequence[str]]
    setup_data: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[str] = ()
    archive_system: str | None = None
    archive_path: str | None = None
    archive_patterns: Sequence[Mapping[str, Any]] = ()
    product_patterns: Sequence[Mapping[str, Any]] = ()
    instanced: bool = False
    session: str = ""
    agent: str = ""
    task: str = ""
    make_directory: bool = True


@dataclass(frozen=True, slots=True)
class SetUp:
    """A job that is there. `created` says that it was not there before. `callback` is where its events may be posted.

    `generation` counts how often it was made ready again after a reset.
    """

    job: Job
    token: str
    callback: str
    created: bool
    generation: int = 0


class Jobs(Protocol):
    """Jobs of the execution's tenant. Every method raises `Refused` when the daemon does not do it."""

    def handle(self, uuid: str, event: str, token: str | None, data: Mapping[str, Any] | None) -> Handled:
        """Bring an event to a job. When a `finish` really ends it, the Indexer is asked to index it.

        A second time for the same execution and event changes nothing. `token` None is for the Indexer's own events.
        """
        ...

    def get(self, uuid: str) -> Job:
        """The job."""
        ...

    def set_up(self, request: JobRequest) -> SetUp:
        """The job that the request describes, made in CREATED if there is none."""
        ...

    def cancel(self, uuid: str, token: str) -> None:
        """Delete a job to which nothing has happened yet."""
        ...


class Messenger(Protocol):
    """Sends messages."""

    def send(self, outgoing: Outgoing) -> str:
        """Send a message to a built-in reactor as the execution's user; returns the id of the execution that it makes.

        An execution that runs again does not send again what it has sent.
        """
        ...


@dataclass(frozen=True, slots=True)
class FileSeen:
    """A file as it lies on a storage system: size in bytes, times in seconds since 1970."""

    path: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Listing:
    """What is under a directory: `paths` are its files, sorted absolute paths on the system.

    `passed_over` are the names, safe to be shown, of what is neither a file nor a directory, leads out of the system or
    has a name that is no text.
    """

    paths: Sequence[str]
    passed_over: Sequence[str] = ()


class Files(Protocol):
    """Files on storage systems, none of them outside the system's root. Every method raises `Refused`."""

    def listing(self, system: str, path: str) -> Listing:
        """All files under a directory. Symbolic links that lead out are passed over."""
        ...

    def checksum(self, system: str, path: str) -> tuple[FileSeen, str]:
        """The file and its SHA-256 in hexadecimal digits."""
        ...

    def exists(self, system: str, path: str) -> bool:
        """Whether there is such a file."""
        ...


@dataclass(frozen=True, slots=True)
class Fixity:
    """What a file's content is known by: SHA-256 in hexadecimal digits, size in bytes, seconds since 1970."""

    checksum: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What the Indexer knows of a file. `links` are UUIDs by the name of the link; `fixity` is None where it is not wanted."""

    path: str
    system: str
    type: str
    level: str
    links: Mapping[str, Sequence[str]]
    fixity: Fixity | None = None
    note: str | None = None


class Catalog(Protocol):
    """The data catalog of the execution's tenant. Every method raises `Refused`."""

    def write_files(self, records: Iterable[FileRecord]) -> int:
        """Write the records of files, adding to the links of those that are there; returns how many were written.

        They are taken and written in portions, so there may be any number of them. What has been written stays, whatever
        comes afterwards; a second time changes nothing.
        """
        ...

    def resolve(self, identifiers: Sequence[str], kinds: Sequence[str]) -> Mapping[str, str]:
        """The UUIDs of records of these kinds by what names them: a UUID, a readable id or a URI. Those unknown are left out."""
        ...


@dataclass(frozen=True, slots=True)
class Launched:
    """A batch job that an engine has accepted. `link` is its URL."""

    id: str
    link: str


class AppUnknown(Refused):
    """There is no such app."""


class LaunchRefused(Refused):
    """The engine did not accept the job."""


class Launcher(Protocol):
    """Runs apps."""

    def find(self, app_id: str) -> Mapping[str, Any]:
        """The description of an app. Raises AppUnknown, or Refused if it could not be looked up."""
        ...

    def submit(self, definition: Mapping[str, Any], *, key: str) -> Launched:
        """Launch a job; a second time with the same `key` it is the one of the first. Raises LaunchRefused, or Refused."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All that a handler may ask."""

    pipelines: Pipelines
    files: Files
    catalog: Catalog
    jobs: Jobs
    messenger: Messenger
    launcher: Launcher


Handler = Callable[[Invocation, Ports], None]
"""Handles a message; ends by raising `Exit`, or by returning, which is success. Any other exception is a failure."""
