"""Aliases over HTTP: list, create, show, update, delete (spec/actors-api 7.6)."""

from __future__ import annotations

from typing import Annotated, TypedDict

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from abacod.api.body import read_fields
from abacod.api.calls import Call
from abacod.api.fields import Text, validated
from abacod.api.reply import Replies
from abacod.errors import InvalidField
from abacod.models.alias import Alias
from abacod.services.aliases import Aliases


class AliasUpdate(BaseModel):
    """The fields of an update."""

    model_config = ConfigDict(extra="ignore")

    actor_id: Text = Field(min_length=1, description="Id of the actor that the alias stands for.")


class NewAlias(AliasUpdate):
    """The fields of a new alias."""

    alias: Text = Field(min_length=1, description="The name that stands for the actor.")


class AliasLinks(TypedDict):
    """Where an alias and what belongs to it are."""

    self: str
    owner: str
    actor: str


class AliasShown(TypedDict):
    """An alias (spec/actors-api 1.8)."""

    alias: str
    actor_id: Annotated[str, Field(description="Id of the actor that the alias stands for.")]
    owner: Annotated[str, Field(description="Who made it.")]
    _links: AliasLinks


class AliasesApi:
    """Handlers for aliases."""

    def __init__(self, aliases: Aliases, replies: Replies, *, max_text_bytes: int) -> None:
        self._aliases = aliases
        self._replies = replies
        self._max_text_bytes = max_text_bytes

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /aliases: List all aliases of the tenant."""
        shown = [self._shown(alias, call) for alias in await self._aliases.listed(call.caller)]
        return self._replies.ok(call, shown, "Aliases retrieved successfully.")

    async def create(self, call: Call) -> web.StreamResponse:
        """POST /aliases: Let a name stand for an actor."""
        fields = await read_fields(call.request, call.query, self._max_text_bytes)
        given = validated(NewAlias, fields, "alias")
        alias = await self._aliases.create(call.caller, given.alias, given.actor_id)
        return self._replies.created(call, self._shown(alias, call), "Actor alias created successfully.")

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /aliases/{alias}: Show an alias."""
        return self._replies.ok(call, self._shown(call.alias, call), "Alias retrieved successfully.")

    async def update(self, call: Call) -> web.StreamResponse:
        """PUT /aliases/{alias}: Let an alias stand for another actor."""
        fields = await read_fields(call.request, call.query, self._max_text_bytes)
        if "alias" in fields:
            raise InvalidField("Invalid alias update description. The alias itself cannot be updated in a PUT request.")
        given = validated(AliasUpdate, fields, "alias")
        alias = await self._aliases.repoint(call.caller, call.alias.name, given.actor_id)
        return self._replies.ok(call, self._shown(alias, call), "Actor alias updated successfully.")

    async def delete(self, call: Call) -> web.StreamResponse:
        """DELETE /aliases/{alias}: Remove an alias; the actor stays."""
        await self._aliases.delete(call.caller, call.alias.name)
        return self._replies.ok(call, None, f"Alias {call.alias.name} deleted successfully.")

    def _shown(self, alias: Alias, call: Call) -> AliasShown:
        return {
            "alias": alias.name,
            "actor_id": alias.actor_id,
            "owner": alias.owner,
            "_links": {
                "self": self._replies.alias_link(call.dialect, alias.name),
                "owner": self._replies.profile_link(call.dialect, alias.owner),
                "actor": self._replies.actor_link(call.dialect, alias.actor_id),
            },
        }
