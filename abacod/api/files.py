"""Files of the data catalog over HTTP: what the Indexer has recorded of the products of jobs (spec/pipelinejobs 6.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypedDict

from aiohttp import web
from pydantic import BaseModel, Field

from abacod.api.calls import Call
from abacod.api.fields import Integer, Text, validated
from abacod.api.reply import Moment, Replies, moment
from abacod.errors import InvalidField
from abacod.models.catalog import StoredRecord
from abacod.models.files import FileConditions
from abacod.services.pipelinejobs.file_records import FileRecords, KnownFile

_DEFAULT_LIMIT: Final = 100
_MOST: Final = 1_000
_FIELDS: Final = frozenset({"uuid", "name", "storage_system", "file_id", "type", "level", "note"})
_PARENTS: Final = ("job", "measurement", "sample", "experiment", "experiment_design", "child_of")


class FileQuery(BaseModel):
    """Which files to list; one of `job`, `measurement`, `sample`, `experiment`, `experiment_design`, `child_of` at most."""

    job: Text | None = Field(None, description="The UUID of the job that made them.")
    measurement: Text | None = Field(None, description="The id or UUID of the measurement that they belong to.")
    sample: Text | None = Field(None, description="The id or UUID of the sample that they belong to.")
    experiment: Text | None = Field(None, description="The id or UUID of the experiment that they belong to.")
    experiment_design: Text | None = Field(None, description="The id or UUID of the design that they belong to.")
    child_of: Text | None = Field(
        None, description="The UUID of what they are linked to by `child_of`, without steps between."
    )
    type: Text | None = Field(None, description="Their type, as `BAM`.")
    level: Text | None = Field(None, description="Their processing level, as `1`.")
    system: Text | None = Field(None, description="The id of their storage system.")
    path: Text | None = Field(None, description="How their paths begin.")
    after: Text | None = Field(
        None, description="The UUID of the file to go on after, the last one of the page before."
    )
    limit: Integer = Field(_DEFAULT_LIMIT, ge=1, le=_MOST, description=f"Most files in the answer, up to {_MOST}.")


class FixityShown(TypedDict):
    """What a file's content is known by."""

    checksum: Annotated[Any, Field(description="SHA-256 in hexadecimal digits.")]
    size: Annotated[Any, Field(description="In bytes.")]
    created: Annotated[Any, Field(description="When it had last been changed as it was first seen.")]
    modified: Annotated[Any, Field(description="When it had last been changed.")]
    version: Annotated[Any, Field(description="Goes up by one when any of this changes.")]


class FileShown(TypedDict):
    """A file of the data catalog."""

    uuid: str
    name: Annotated[str, Field(description="Its absolute path on its storage system.")]
    storage_system: Annotated[Any, Field(description="The id of its storage system.")]
    file_id: Annotated[Any, Field(description="Its readable id.")]
    type: Annotated[Any, Field(description="What it is, as `BAM`, by its name.")]
    level: Annotated[Any, Field(description="Its processing level.")]
    note: Annotated[Any, Field(description="What the request to index it said about it.")]
    attributes: Annotated[Mapping[str, Any], Field(description="Further fields, of records that were loaded.")]
    child_of: Annotated[list[str], Field(description="UUIDs of what it belongs to: the jobs that made it.")]
    generated_by: Annotated[list[str], Field(description="UUIDs of the jobs and processes that made it.")]
    derived_from: Annotated[list[str], Field(description="UUIDs of files and references whose content is in it.")]
    derived_using: Annotated[list[str], Field(description="UUIDs of files and references that were needed for it.")]
    measurements: Annotated[
        list[str], Field(description="UUIDs of the measurements that it, or such a job, belongs to.")
    ]
    fixity: Annotated[FixityShown | None, Field(description="None if no checksum was made.")]
    created: Annotated[Moment, Field(description="When the record was made.")]
    modified: Annotated[Moment, Field(description="When the record was last changed.")]


class FilesApi:
    """Handlers for /v3/files."""

    def __init__(self, file_records: FileRecords, replies: Replies) -> None:
        self._file_records = file_records
        self._replies = replies

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /v3/files: List files of the data catalog."""
        query = _query(call)
        found = await self._file_records.listed(
            call.caller.tenant, _conditions(query), after=query.after, limit=query.limit
        )
        return await self._replies.long([_shown(file) for file in found], "Files retrieved successfully.")

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /v3/files/{file}: Show a file of the data catalog by its UUID, readable id or percent-encoded URI."""
        file = await self._file_records.get(call.caller.tenant, call.parameters["file"])
        return self._replies.as_is(_shown(file), "File retrieved successfully.")


def _query(call: Call) -> FileQuery:
    given = {name: value for name, value in call.query if name != "x-nonce"}
    unknown = next((name for name in given if name not in FileQuery.model_fields), None)
    if unknown is not None:
        # Passed over, it would look as if all files had it.
        raise InvalidField(f"There is no parameter {unknown[:100]!a}; there are {', '.join(FileQuery.model_fields)}.")
    return validated(FileQuery, given, "file list")


def _conditions(query: FileQuery) -> FileConditions:
    given = [value for name in _PARENTS if (value := getattr(query, name)) is not None]
    if len(given) > 1:
        raise InvalidField(f"Only one of {', '.join(_PARENTS)} can be asked for at a time.")
    return FileConditions(
        below=given[0] if given and query.child_of is None else None,
        child_of=query.child_of,
        type=query.type,
        level=query.level,
        system=query.system,
        path=query.path,
    )


def _shown(file: KnownFile) -> FileShown:
    record = file.record
    document = record.document
    further = {name: value for name, value in document.items() if name not in _FIELDS and not name.startswith("_")}
    return {
        "uuid": record.uuid,
        "name": str(document.get("name")),
        "storage_system": document.get("storage_system"),
        "file_id": document.get("file_id"),
        "type": document.get("type"),
        "level": document.get("level"),
        "note": document.get("note"),
        "attributes": further,
        "child_of": list(record.links.get("child_of", ())),
        "generated_by": list(record.links.get("generated_by", ())),
        "derived_from": list(record.links.get("derived_from", ())),
        "derived_using": list(record.links.get("derived_using", ())),
        "measurements": list(file.measurements),
        "fixity": None if file.fixity is None else _shown_fixity(file.fixity),
        "created": moment(record.created),
        "modified": moment(record.modified),
    }


def _shown_fixity(fixity: StoredRecord) -> FixityShown:
    document = fixity.document
    return {
        "checksum": document.get("checksum"),
        "size": document.get("size"),
        "created": document.get("created"),
        "modified": document.get("modified"),
        "version": document.get("version"),
    }
