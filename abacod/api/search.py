"""Searches over HTTP: what a request asks for, and the form of the answer (seeds: Database Search)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, TypedDict

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from abacod.api.body import snake_case
from abacod.api.calls import NESTED, Call
from abacod.api.reply import Replies, spelled
from abacod.config import SearchSettings
from abacod.errors import BadRequest, NoSuchRoute
from abacod.models.actor import Actor
from abacod.models.permission import Demand
from abacod.models.search import Limits, Query, read_query
from abacod.models.user import Level
from abacod.services.access import Access

# Records in an answer where the query gives no `limit` (spec/decisions: search).
_DEFAULT_LIMIT: Final = {"documented": 10, "abaco": 100}
# A credential, and no field to search (seeds: Searching).
_NONCE: Final = "x-nonce"


class SearchParameters(BaseModel):
    """The parameters of a search; any other is a condition on a field, as `status.in=["READY","BUSY"]`."""

    model_config = ConfigDict(extra="allow")

    limit: int | None = Field(None, ge=0, description="Most records in the answer, a whole number.")
    skip: int | None = Field(
        None, ge=0, description="Records left out at the beginning, a whole number; also `offset`."
    )
    search: str | None = Field(None, description="Words, of which a record must have one; the best come first.")
    exactsearch: str | None = Field(None, description="A text that must occur in a record.")


class Counts(TypedDict):
    """How many records there are."""

    count_returned: int
    record_limit: int
    records_skipped: int
    total_count: Annotated[int, Field(description="Of all that fit, before `skip` and `limit`.")]


class Found(TypedDict):
    """The records that fit a search; each kind adds them as `search`."""

    _metadata: Annotated[Counts, NESTED]


class SearchForm:
    """Reads what a request searches for, and puts the answer together."""

    def __init__(self, replies: Replies, settings: SearchSettings) -> None:
        self._replies = replies
        self._limits = Limits(
            default=_DEFAULT_LIMIT[replies.compat], most=settings.max_limit, conditions=settings.max_parameters
        )

    def is_asked(self, call: Call, *, beside: str | None = None) -> bool:
        """Whether a list is to be searched: any parameter says so but a nonce, and the one named `beside`."""
        return any(name not in (_NONCE, beside) for name, _ in call.query)

    def query(self, call: Call, *, beside: str | None = None) -> Query:
        """What is searched for.

        Raises:
            InvalidField: a parameter makes no sense.
        """
        pairs = [(_field(name), value) for name, value in call.query if name not in (_NONCE, beside)]
        return read_query(pairs, self._limits)

    def answer(self, call: Call, query: Query, shown: list[Any], total: int, message: str) -> web.Response:
        """The envelope around the records found."""
        return self._replies.as_is(_found(call, query, shown, total), message)

    async def long_answer(self, call: Call, query: Query, shown: list[Any], total: int, message: str) -> web.Response:
        """As `answer`, for records with texts of any length."""
        return await self._replies.long(_found(call, query, shown, total), message)


def _found(call: Call, query: Query, shown: list[Any], total: int) -> dict[str, Any]:
    counts: Counts = {
        "count_returned": len(shown),
        "record_limit": query.limit,
        "records_skipped": query.skip,
        "total_count": total,
    }
    return {"_metadata": spelled(counts, call.dialect), "search": spelled(shown, call.dialect)}


class SearchApi:
    """Handlers for searches over all that a caller may read. `databases` are the four searches by name; each gets the message
    of the answer. `executions_of` searches the executions of one actor.
    """

    def __init__(
        self,
        databases: Mapping[str, Callable[[Call, str], Awaitable[web.StreamResponse]]],
        executions_of: Callable[[Call, str, Actor | None], Awaitable[web.StreamResponse]],
        access: Access,
    ) -> None:
        self._databases = databases
        self._executions_of = executions_of
        self._access = access

    async def search(self, call: Call) -> web.StreamResponse:
        """GET /search/{database}: Search actors, workers, executions or logs."""
        database = call.parameters["database"]
        if database not in self._databases:
            raise BadRequest(f"Invalid search: there is no database {database!r}. Give {_listed(self._databases)}.")
        return await self._databases[database](call, "Search completed successfully.")

    async def search_executions(self, call: Call) -> web.StreamResponse:
        """GET /search/{database}/{actor}/executions: Search the executions of an actor, as the documentation prints it."""
        if call.parameters["database"] != "actors":
            raise NoSuchRoute
        # Not by the route's own need: with that a nonce would do, and for searches none does.
        named = await self._access.named(call.caller, Demand(actor=Level.READ), call.parameters)
        return await self._executions_of(call, "Executions search completed successfully.", named.actor)


def _field(name: str) -> str:
    """Both spellings of a record's own fields are one; what is within them stays."""
    first, dot, rest = name.partition(".")
    return snake_case(first) + dot + rest


def _listed(names: Mapping[str, object]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"
