"""Nonces over HTTP: list, create, show, delete, of actors and of aliases (spec/actors-api 7.5)."""

from __future__ import annotations

from typing import Annotated, Final, TypedDict

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from abacod.api.body import read_fields
from abacod.api.calls import Call
from abacod.api.fields import Integer, Text, validated
from abacod.api.reply import NEVER, Moment, Replies, moment
from abacod.errors import InvalidField
from abacod.ids import NonceId
from abacod.models.nonce import Nonce
from abacod.services.nonces import Nonces

# What everybody is, beside the roles of ours; clients want at least one role (spec/actors-api 1.8).
_EVERYBODY: Final = "Internal/everyone"
_UNLIMITED: Final = -1


class NewNonce(BaseModel):
    """The fields of a new nonce; an empty request is one, too."""

    model_config = ConfigDict(extra="ignore")

    level: Text = Field("EXECUTE", description="NONE, READ, EXECUTE or, for an actor, UPDATE, a text.")
    max_uses: Integer = Field(_UNLIMITED, description="How often it may be used, a whole number; -1 for any number.")
    description: Text = Field("", description="What it is for, a text.")


class NonceLinks(TypedDict):
    """Where a nonce and what belongs to it are."""

    self: str
    owner: str
    actor: str


class _NonceFields(TypedDict):
    id: Annotated[str, Field(description="What goes into `x-nonce`: a secret.")]
    api_server: str
    owner: Annotated[str, Field(description="Who made it, and as whom requests with it run.")]
    level: Annotated[str, Field(pattern=r"^(NONE|READ|EXECUTE|UPDATE)$")]
    description: str
    max_uses: Annotated[int, Field(description="-1 for any number.")]
    current_uses: int
    remaining_uses: Annotated[int, Field(description="-1 for any number.")]
    create_time: Moment
    last_use_time: Annotated[str, Field(description="`None` until it is used.")]
    roles: Annotated[list[str], Field(description="Roles that requests with it have.")]
    _links: NonceLinks


class NonceShown(_NonceFields):
    """A nonce of an actor (spec/actors-api 1.8)."""

    actor_id: str


class AliasNonceShown(_NonceFields):
    """A nonce of an alias (spec/actors-api 1.8)."""

    actor_id: None
    alias: str


class NoncesApi:
    """Handlers for nonces; of an actor, and of an alias, whose methods are named for that."""

    def __init__(self, nonces: Nonces, replies: Replies, *, max_text_bytes: int) -> None:
        self._nonces = nonces
        self._replies = replies
        self._max_text_bytes = max_text_bytes

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/nonces: List the nonces of an actor."""
        shown = [self._of_actor(nonce, call) for nonce in await self._nonces.listed(call.caller, call.subject)]
        return self._replies.ok(call, shown, "Actor nonces retrieved successfully.")

    async def list_of_alias(self, call: Call) -> web.StreamResponse:
        """GET /aliases/{alias}/nonces: List the nonces of an alias."""
        shown = [self._of_alias(nonce, call) for nonce in await self._nonces.listed(call.caller, call.subject)]
        return self._replies.ok(call, shown, "Alias nonces retrieved successfully.")

    async def create(self, call: Call) -> web.StreamResponse:
        """POST /{actor}/nonces: Make a nonce for an actor."""
        shown = self._of_actor(await self._created(call), call)
        return self._replies.created(call, shown, "Actor nonce created successfully.")

    async def create_for_alias(self, call: Call) -> web.StreamResponse:
        """POST /aliases/{alias}/nonces: Make a nonce for an alias."""
        shown = self._of_alias(await self._created(call), call)
        return self._replies.created(call, shown, "Alias nonce created successfully.")

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/nonces/{nonce}: Show a nonce of an actor."""
        nonce = await self._nonces.get(call.caller, call.subject, _nonce_id(call))
        return self._replies.ok(call, self._of_actor(nonce, call), "Actor nonce retrieved successfully.")

    async def show_of_alias(self, call: Call) -> web.StreamResponse:
        """GET /aliases/{alias}/nonces/{nonce}: Show a nonce of an alias."""
        nonce = await self._nonces.get(call.caller, call.subject, _nonce_id(call))
        return self._replies.ok(call, self._of_alias(nonce, call), "Alias nonce retrieved successfully.")

    async def delete(self, call: Call) -> web.StreamResponse:
        """DELETE /{actor}/nonces/{nonce}: Remove a nonce of an actor."""
        await self._nonces.delete(call.caller, call.subject, _nonce_id(call))
        return self._replies.ok(call, None, "Actor nonce deleted successfully.")

    async def delete_of_alias(self, call: Call) -> web.StreamResponse:
        """DELETE /aliases/{alias}/nonces/{nonce}: Remove a nonce of an alias."""
        await self._nonces.delete(call.caller, call.subject, _nonce_id(call))
        return self._replies.ok(call, None, "Alias nonce deleted successfully.")

    async def _created(self, call: Call) -> Nonce:
        fields = await read_fields(call.request, call.query, self._max_text_bytes)
        given = validated(NewNonce, fields, "nonce")
        if given.max_uses < 1 and given.max_uses != _UNLIMITED:
            raise InvalidField("The max uses parameter must be a positive integer or -1 (to denote unlimited uses).")
        return await self._nonces.create(
            call.caller,
            call.subject,
            level=given.level,
            max_uses=None if given.max_uses == _UNLIMITED else given.max_uses,
            description=given.description,
        )

    def _of_actor(self, nonce: Nonce, call: Call) -> NonceShown:
        actor = self._replies.actor_link(call.dialect, call.actor.id)
        return {"actor_id": call.actor.id, **self._fields(nonce, call, actor)}

    def _of_alias(self, nonce: Nonce, call: Call) -> AliasNonceShown:
        alias = self._replies.alias_link(call.dialect, call.alias.name)
        return {"actor_id": None, "alias": call.alias.name, **self._fields(nonce, call, alias)}

    def _fields(self, nonce: Nonce, call: Call, holder: str) -> _NonceFields:
        """What nonces of both kinds show; `holder` is the address under which it is."""
        remaining = nonce.remaining_uses
        return {
            "id": nonce.id,
            "api_server": self._replies.public_url,
            "owner": nonce.owner,
            "level": nonce.level.name,
            "description": nonce.description,
            "max_uses": _UNLIMITED if nonce.max_uses is None else nonce.max_uses,
            "current_uses": nonce.uses,
            "remaining_uses": _UNLIMITED if remaining is None else remaining,
            "create_time": moment(nonce.create_time),
            "last_use_time": moment(nonce.last_use_time) or NEVER,
            "roles": [_EVERYBODY, *sorted(nonce.roles)],
            "_links": {
                "self": f"{holder}/nonces/{nonce.id}",
                "owner": self._replies.profile_link(call.dialect, nonce.owner),
                "actor": self._replies.actor_link(call.dialect, call.actor.id),
            },
        }


def _nonce_id(call: Call) -> NonceId:
    return NonceId(call.parameters["nonce"])
