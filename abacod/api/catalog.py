"""The data catalog over HTTP: load, list, show (spec/pipelinejobs 1.8, 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypedDict

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from abacod.api.body import read_bytes
from abacod.api.calls import Call, Content
from abacod.api.fields import Integer, Text, validated
from abacod.api.reply import Moment, Replies
from abacod.clock import isoformat
from abacod.errors import RecordNotFound
from abacod.models.catalog import LINK_NAMES, Outcome, RecordKind, StoredRecord
from abacod.services.catalog.service import Catalog

# Records in an answer where the query gives no `limit`, and at most.
_LIMIT: Final = 100
_MOST: Final = 1000
# A credential, and nothing to choose by.
_NONCE: Final = "x-nonce"

RECORDS: Final = Content(
    ("application/json", "application/x-ndjson"),
    "Records: a JSON array, an object with `records`, one object, or one object per line.",
)


class CatalogQuery(BaseModel):
    """What records are asked for."""

    model_config = ConfigDict(extra="forbid")

    limit: Integer = Field(_LIMIT, ge=1, le=_MOST, description=f"Most records in the answer, from 1 to {_MOST}.")
    after: Text | None = Field(None, description="The last record that has been seen; those after it are shown.")
    child_of: Text | None = Field(None, description="A record or job, whose children alone are shown.")
    identifier: Text | None = Field(None, description="The one record that this is the id, UUID, URI or path of.")


class Tally(TypedDict):
    """How many records had each outcome."""

    created: int
    updated: int
    unchanged: int


class RecordListed(TypedDict):
    """A record of the data catalog."""

    uuid: str
    kind: Annotated[str, Field(description="Such as `sample`.")]
    record: Annotated[dict[str, Any], Field(description="Its fields, with its UUID and its links.")]
    owner: Annotated[str, Field(description="Who made it.")]
    revision: Annotated[int, Field(description="How often it has changed.")]
    create_time: Moment
    last_update_time: Moment


class RecordShown(RecordListed):
    """A record of the data catalog, and what is below it."""

    children: Annotated[dict[str, int], Field(description="How many children it has, by their kind.")]


class CatalogApi:
    """Handlers for the data catalog."""

    def __init__(self, catalog: Catalog, replies: Replies, *, max_text_bytes: int) -> None:
        self._catalog = catalog
        self._replies = replies
        self._max_text_bytes = max_text_bytes

    async def load(self, call: Call) -> web.StreamResponse:
        """POST /v3/catalog: Write records into the data catalog, all or none."""
        loaded = await self._catalog.load(call.caller, await read_bytes(call.request, self._max_text_bytes))
        result = {str(kind): _tally(counts) for kind, counts in loaded.items()}
        return self._replies.as_is(result, "Records loaded successfully.")

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /v3/catalog/{kind}: List the records of a kind, oldest first."""
        kind = call.parameters["kind"]
        if kind not in list(RecordKind):
            raise RecordNotFound(f"The data catalog has no such kind of records; there are {', '.join(RecordKind)}.")
        given = {name: value for name, value in call.query if name != _NONCE}
        wanted = validated(CatalogQuery, given, "list")
        found = await self._catalog.listed(
            call.caller.tenant,
            RecordKind(kind),
            limit=wanted.limit,
            after=wanted.after,
            child_of=wanted.child_of,
            identifier=wanted.identifier,
        )
        return await self._replies.long([_listed(record) for record in found], "Records retrieved successfully.")

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /v3/catalog/records/{record}: Show a record, given by its UUID, id, or path."""
        shown = await self._catalog.show(call.caller.tenant, call.parameters["record"])
        result: RecordShown = {**_listed(shown.record), "children": dict(shown.children)}
        return await self._replies.long(result, "Record retrieved successfully.")


def _listed(stored: StoredRecord) -> RecordListed:
    linked = {name: list(stored.links[name]) for name in LINK_NAMES if name in stored.links}
    return {
        "uuid": stored.uuid,
        "kind": str(stored.kind),
        "record": {**stored.document, **linked, "uuid": stored.uuid},
        "owner": stored.owner,
        "revision": stored.revision,
        "create_time": isoformat(stored.created),
        "last_update_time": isoformat(stored.modified),
    }


def _tally(counts: Mapping[Outcome, int]) -> Tally:
    return {
        "created": counts[Outcome.CREATED],
        "updated": counts[Outcome.UPDATED],
        "unchanged": counts[Outcome.UNCHANGED],
    }
