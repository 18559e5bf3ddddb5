"""Indexer: links the products of a job to the data catalog (seeds: PipelineJobs Indexer; spec/pipelinejobs 2.3, 6)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reactors.builtin.messages import decoded
from reactors.builtin.sources import Sources
from reactors.pipelinejobs.filetypes import file_type
from reactors.pipelinejobs.identifiers import Kind, is_typed, normal_path
from reactors.pipelinejobs.indexing import DEFAULT_LEVEL, FileToIndex, IndexRequest, index_requests, select, warnings
from reactors.pipelinejobs.records import Job
from reactors.pipelinejobs.states import JobEvent
from reactors.ports import FileRecord, Fixity, Invocation, Outgoing, Ports, Refused

NAME: Final = "pipelinejobs-indexer"

_FAILED: Final = "Failed to accomplish indexing"
_NOT_MARKED: Final = "Failed to handle indexed event"
_NOT_WITHOUT: Final = (
    "token: send the update token of the job; only users who have UPDATE on the Indexer, and send a Bearer token, may leave it "
    "out."
)
_NOT_UNDERSTOOD: Final = "Failed to interpret indexing request"
_TRUE: Final = (True, "true", "True", "1")
# Largest result of an execution, in bytes: what a container can send as one, too.
_LARGEST_ANSWER: Final = 131_072
# Characters of an error that go into a job's history, and names that a line of the log shows.
_LONGEST_ERROR: Final = 1_000
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a message asks for: to index a job, or to mark it as indexed.

    `token` is None if there is none. `requests` is None if the job's own patterns decide. `permissive` means that unknown
    sources are passed over.
    """

    uuid: str
    event: JobEvent
    token: str | None
    level: str
    requests: Sequence[IndexRequest] | None
    permissive: bool


def handle(call: Invocation, ports: Ports) -> None:
    """Index the archive of a job, or mark the job as indexed."""
    try:
        asked = _asked(call)
    except ValueError as error:
        raise call.failure(_NOT_UNDERSTOOD, error) from error
    work, fails = (_mark_indexed, _NOT_MARKED) if asked.event is JobEvent.INDEXED else (_index, _FAILED)
    if asked.token is None and (call.by_nonce or not call.may_update):
        raise call.failure(fails, _NOT_WITHOUT)
    work(call, ports, asked)


def _index(call: Invocation, ports: Ports, asked: _Asked) -> None:
    began = time.monotonic()
    try:
        job = ports.jobs.get(asked.uuid)
        # Before the event: an archive that cannot be listed leaves the job as it is.
        paths = _listed(call, ports, job)
        ports.jobs.handle(asked.uuid, JobEvent.INDEX, asked.token, {"level": asked.level})
    except Refused as error:
        raise call.failure(_FAILED, error) from error
    try:
        indexed = _index_files(call, ports, asked, job, paths)
    except (Refused, ValueError) as error:
        _note(call, ports, asked, error)
        raise call.failure(_FAILED, error) from error
    for answer in _answers(indexed):
        call.answer(answer)
    took = int((time.monotonic() - began) * 1_000_000)
    call.info(f"Indexed {len(indexed)} files to PipelineJob {asked.uuid}. ({took} usec)")
    message = {"uuid": asked.uuid, "name": JobEvent.INDEXED}
    try:
        ports.messenger.send(Outgoing(NAME, message if asked.token is None else {**message, "token": asked.token}))
    except Refused as error:
        raise call.failure("Failed to send indexed event", error) from error


def _mark_indexed(call: Invocation, ports: Ports, asked: _Asked) -> None:
    try:
        ports.jobs.handle(asked.uuid, JobEvent.INDEXED, asked.token, None)
    except Refused as error:
        raise call.failure(_NOT_MARKED, error) from error
    raise call.success(f"Processed indexed event for {asked.uuid}")


# --- what is asked ----------------------------------------------------------------------------------------------------


def _asked(call: Invocation) -> _Asked:
    """What the message asks for. Each value is that of the body, or else of the query.

    Raises:
        ValueError: it cannot be understood.
    """
    body = decoded(call.message)
    given = {**_from_query(call.parameters), **(body if isinstance(body, dict) else {})}
    event = given.get("name", given.get("event", JobEvent.INDEX))
    if event not in (JobEvent.INDEX, JobEvent.INDEXED):
        raise ValueError("name: it is neither index nor indexed.")
    level = given.get("level", given.get("processing_level", DEFAULT_LEVEL))
    # The level is checked even where there are no filters to go with it.
    requests = index_requests(_list(given.get("filters")), level)
    return _Asked(
        uuid=_uuid(given.get("uuid")),
        event=JobEvent(event),
        token=_token(given.get("token")),
        level=level,
        requests=requests if given.get("filters") else None,
        permissive=given.get("permissive") in _TRUE,
    )


def _from_query(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The parameters; `filters` is one pattern, or a JSON list of them, which it is if there are several."""
    given: dict[str, Any] = {name: value for name, value in parameters.items() if value}
    if "filters" in given:
        try:
            listed = json.loads(given["filters"])
        except (ValueError, RecursionError):
            listed = None
        is_list = isinstance(listed, list) and all(isinstance(each, str | dict) for each in listed)
        given["filters"] = listed if is_list else [given["filters"]]
    return given


def _list(filters: Any) -> Any:
    return [] if filters is None else filters


def _uuid(given: Any) -> str:
    uuid = given.removeprefix("uri:urn:") if isinstance(given, str) else ""
    if not is_typed(uuid, Kind.PIPELINEJOB):
        raise ValueError("uuid: it is missing, or is no UUID of a job; those begin with 107.")
    return uuid


def _token(given: Any) -> str | None:
    if given is not None and not isinstance(given, str):
        raise ValueError("token: it must be a text.")
    return given or None


# --- indexing ---------------------------------------------------------------------------------------------------------


def _listed(call: Invocation, ports: Ports, job: Job) -> list[str]:
    """The files of the archive, without those that the catalog could not tell from others."""
    listing = ports.files.listing(job.archive_system, job.archive_path)
    # White space at the end is no part of what makes the UUID of a file.
    alike = [path for path in listing.paths if normal_path(path) != path]
    passed_over = [*listing.passed_over, *map(ascii, alike)]
    if passed_over:
        more = ", …" if len(passed_over) > _SHOWN else ""
        call.warning(
            f"Passed over {len(passed_over)} names in the archive that are no files, lead out of it or cannot be recorded: "
            f"{', '.join(passed_over[:_SHOWN])}{more}"
        )
    left_out = set(alike)
    return [path for path in listing.paths if path not in left_out]


def _index_files(call: Invocation, ports: Ports, asked: _Asked, job: Job, paths: Sequence[str]) -> list[str]:
    """Write the records of all files that are asked for; their sorted paths."""
    requests = asked.requests
    if requests is None:
        requests = index_requests(
            None, asked.level, archive_patterns=job.archive_patterns, product_patterns=job.product_patterns
        )
    for warning in warnings(requests):
        call.warning(warning)
    files = select(paths, requests, asked.level)
    sources = Sources(ports, job, asked.level)
    sources.resolve(files)
    if sources.unknown:
        unknown = f"Unknown sources: {', '.join(map(ascii, sources.unknown))}"
        if not asked.permissive:
            raise ValueError(unknown)
        call.warning(unknown)
    ports.catalog.write_files(_records(call, ports, job, files, sources))
    return [file.path for file in files]


def _records(
    call: Invocation, ports: Ports, job: Job, files: Sequence[FileToIndex], sources: Sources
) -> Iterator[FileRecord]:
    for file in files:
        yield FileRecord(
            path=file.path,
            system=job.archive_system,
            type=file_type(file.path),
            level=file.level,
            links={
                "child_of": (job.uuid,),
                "generated_by": (job.uuid, *sources.uuids(file.generated_by)),
                "derived_from": sources.uuids(file.derived_from),
                "derived_using": sources.uuids(file.derived_using),
            },
            fixity=_fixity(call, ports, job.archive_system, file.path) if file.fixity else None,
            note=file.note,
        )


def _fixity(call: Invocation, ports: Ports, system: str, path: str) -> Fixity | None:
    """What the file's content is known by; a file that cannot be read is indexed without."""
    try:
        seen, checksum = ports.files.checksum(system, path)
    except Refused as error:
        call.warning(f"No checksum of {path!a} : {error}")
        return None
    return Fixity(checksum, seen.size, seen.modified)


def _note(call: Invocation, ports: Ports, asked: _Asked, error: Exception) -> None:
    """Note in the job's history why it is not indexed."""
    try:
        ports.jobs.handle(asked.uuid, JobEvent.UPDATE, asked.token, {"error": str(error)[:_LONGEST_ERROR]})
    except Refused as refused:
        call.warning(f"The job's history does not tell what went wrong : {refused}")


def _answers(paths: Sequence[str]) -> Iterator[bytes]:
    """The paths as JSON lists, as few as hold them all; one at least."""
    pieces: list[str] = []
    size = 0
    for path in paths:
        piece = json.dumps(path, ensure_ascii=False)
        if size + len(piece.encode()) + 2 > _LARGEST_ANSWER:
            yield f"[{', '.join(pieces)}]".encode()
            pieces, size = [], 0
        pieces.append(piece)
        size += len(piece.encode()) + 2
    yield f"[{', '.join(pieces)}]".encode()
