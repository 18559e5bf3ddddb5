"""Permissions over HTTP: list and grant (spec/actors-api 7.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, Field

from abacod.api.body import read_fields
from abacod.api.calls import Call
from abacod.api.fields import Text, validated
from abacod.api.reply import Replies
from abacod.errors import InvalidField
from abacod.ids import Username
from abacod.models.user import Level
from abacod.services.sharing import Sharing

Levels = dict[str, Literal["NONE", "READ", "EXECUTE", "UPDATE"]]
"""The level by user name."""


class Grant(BaseModel):
    """A level for a user."""

    user: Text = Field(min_length=1, description="Who gets the level, a text; ABACO_WORLD is everyone in the tenant.")
    level: Text = Field(min_length=1, description="NONE, READ, EXECUTE or UPDATE, a text; WRITE is UPDATE, too.")


class PermissionsApi:
    """Handlers for the permissions of whatever the path names: an actor, an alias or a config."""

    def __init__(self, sharing: Sharing, replies: Replies, *, max_text_bytes: int) -> None:
        self._sharing = sharing
        self._replies = replies
        self._max_text_bytes = max_text_bytes

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/permissions: List who has which level on an actor."""
        return self._shown(await self._sharing.listed(call.subject), "Permissions retrieved successfully.")

    async def grant(self, call: Call) -> web.StreamResponse:
        """POST /{actor}/permissions: Give a user a level on an actor."""
        fields = await read_fields(call.request, call.query, self._max_text_bytes)
        grant = validated(Grant, fields, "permissions")
        granted = await self._sharing.grant(call.caller, call.subject, grant.user, _level(grant.level))
        return self._shown(granted, "Permission added successfully.")

    async def list_of_alias(self, call: Call) -> web.StreamResponse:
        """GET /aliases/{alias}/permissions: List who has which level on an alias."""
        return await self.list_all(call)

    async def grant_on_alias(self, call: Call) -> web.StreamResponse:
        """POST /aliases/{alias}/permissions: Give a user a level on an alias."""
        return await self.grant(call)

    async def list_of_config(self, call: Call) -> web.StreamResponse:
        """GET /configs/{config}/permissions: List who has which level on a config."""
        return await self.list_all(call)

    async def grant_on_config(self, call: Call) -> web.StreamResponse:
        """POST /configs/{config}/permissions: Give a user a level on a config."""
        return await self.grant(call)

    def _shown(self, levels: Mapping[Username, Level], message: str) -> web.Response:
        # User names are no field names: no dialect changes them.
        return self._replies.as_is({username: level.name for username, level in levels.items()}, message)


def _level(text: str) -> Level:
    try:
        return Level.named(text)
    except KeyError:
        valid = tuple(level.name for level in Level)
        raise InvalidField(f"Invalid permission level: {text}. The valid values are {valid}") from None
