"""One request on its way through the API: who calls, what the address names, and how the answer is spelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from enum import Enum
from typing import Any, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, Field

from abacod.errors import ActorNotFound, AliasNotFound, NotAuthenticated, NotFound
from abacod.models.actor import Actor
from abacod.models.alias import Alias
from abacod.models.builtin import INDEXER, JOBS_MANAGER, PIPELINES_MANAGER
from abacod.models.permission import Demand, Subject
from abacod.models.user import Caller, Level
from abacod.services.access import Named

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one URL prefix speaks (spec/decisions: URL prefixes): its field names, and the paths its links have."""

    prefix: str
    camel_case: bool
    links: str
    profiles: str


DIALECTS: Final = (
    Dialect("/v3/actors", camel_case=False, links="/v3/actors", profiles="/v3/oauth2/profiles"),
    Dialect("/actors/v2", camel_case=True, links="/actors/v2", profiles="/profiles/v2"),
    Dialect("/actors", camel_case=False, links="/v3/actors", profiles="/v3/oauth2/profiles"),
)
"""The more precise prefix comes first."""

PLAIN: Final = replace(DIALECTS[0], prefix="")
"""For addresses outside the actors API."""

_NOTHING_NAMED: Final = Named()
_LOOK: Final = 0.25
"""Seconds between two looks whether a client that is waited for has hung up."""


class Need(Enum):
    """What a route asks of its caller; levels without another word are on the actor that the path names."""

    NOTHING = None
    USER = Demand()
    READ = Demand(actor=Level.READ)
    EXECUTE = Demand(actor=Level.EXECUTE)
    UPDATE = Demand(actor=Level.UPDATE)
    ADMIN = Demand(admin="Abaco Admin role required.")
    ADMIN_AND_UPDATE = Demand(
        admin="Not authorized -- only admins are authorized to update workers.", actor=Level.UPDATE
    )
    ALIAS_READ = Demand(alias=Level.READ)
    ALIAS_UPDATE = Demand(alias=Level.UPDATE)
    ALIAS_AND_ACTOR_UPDATE = Demand(alias=Level.UPDATE, actor=Level.UPDATE)
    CONFIG_READ = Demand(config=Level.READ)
    CONFIG_UPDATE = Demand(config=Level.UPDATE)
    # What the built-in reactors keep is read and changed by whoever may read or use them.
    PIPELINES_READ = Demand(actor=Level.READ, builtin=PIPELINES_MANAGER)
    JOBS_READ = Demand(actor=Level.READ, builtin=JOBS_MANAGER)
    JOBS_EXECUTE = Demand(actor=Level.EXECUTE, builtin=JOBS_MANAGER)
    FILES_READ = Demand(actor=Level.READ, builtin=INDEXER)


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose caller has been authenticated and may do what the route asks.

    `parameters` are the parts of the path; `query` the query's pairs in order; `named` what the path names.
    """

    request: web.BaseRequest
    dialect: Dialect
    parameters: Mapping[str, str]
    query: tuple[tuple[str, str], ...]
    known_caller: Caller | None = None
    named: Named = _NOTHING_NAMED

    @property
    def caller(self) -> Caller:
        """Who calls; only for routes that need somebody."""
        if self.known_caller is None:
            raise NotAuthenticated
        return self.known_caller

    @property
    def actor(self) -> Actor:
        """The actor that the path names; only for routes that need a level on it."""
        if self.named.actor is None:
            raise ActorNotFound
        return self.named.actor

    @property
    def alias(self) -> Alias:
        """The alias that the path names; only for routes that need a level on it."""
        if self.named.alias is None:
            raise AliasNotFound
        return self.named.alias

    async def while_held(self, work: Awaitable[T]) -> T:
        """Do what only this client waits for; when it has hung up, that and the rest of the handler are cancelled.

        All else that a handler does goes on to its end: nobody looks at the connection meanwhile.
        """
        loop, handler = asyncio.get_running_loop(), asyncio.current_task()
        timer: asyncio.TimerHandle | None = None

        def look() -> None:
            nonlocal timer
            timer = loop.call_later(_LOOK, look)
            if self.request.transport is None and handler is not None:
                handler.cancel()

        timer = loop.call_later(_LOOK, look)
        try:
            return await work
        finally:
            timer.cancel()

    @property
    def subject(self) -> Subject:
        """What has the permissions or nonces that are meant; only for routes that need a level on something."""
        if self.named.subject is None:
            raise NotFound
        return self.named.subject


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Content:
    """A body of its own kind: its media types, in a sentence what it holds, and the type of that if it has one."""

    kinds: tuple[str, ...]
    says: str
    holds: Any = Any


FOLLOWS_DIALECT: Final = "x-follows-dialect"
"""Marks, in the `json_schema_extra` of a TypedDict's field, objects whose names follow the dialect as those around them do."""

NESTED: Final = Field(json_schema_extra={FOLLOWS_DIALECT: True})
"""What such a field is annotated with."""

ANY_JSON: Final = Content(("application/json",), "Any JSON value.")
OCTETS: Final = Content(("application/octet-stream",), "Bytes, as they are.")


@dataclass(frozen=True, slots=True)
class Route:
    """One method at one path; `{name}` in the path is a parameter.

    What the OpenAPI document says of the route stands here, next to what the handler works with; nothing of it is used
    while a request is served. The handler's docstring is the summary: `GET /{actor}: Show an actor.`

    `gives`: the type of the answer's `result` (a TypedDict, a list of such, None), or the `Content` of an answer without
    the envelope. `takes`: the model of the fields that a request has (in the query for GET and DELETE), or a `Content`.
    Both may be a tuple of alternatives; fields of a model that is one may be in the query, too. `status`: of a success;
    `also`: another one, with the same result.
    `fails`: error statuses beyond those that every such route has. `as_is`: names in the result follow no dialect.
    """

    method: str
    path: str
    handler: Handler
    need: Need
    _: KW_ONLY
    gives: Any
    takes: type[BaseModel] | Content | tuple[type[BaseModel] | Content, ...] | None = None
    status: int = 200
    also: int | None = None
    fails: tuple[int, ...] = ()
    as_is: bool = False
