"""Permissions over HTTP: list and grant (spec/actors-api 7.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from abacod.api.body import read_fields
from abacod.api.calls import Call
from abacod.api.reply import Replies
from abacod.errors import InvalidField
from abacod.ids import Username
from abacod.models.user import Level
from abacod.services.sharing import Sharing

# The published API description calls UPDATE so (spec/actors-api 11).
_OTHER_NAMES: Final = {"WRITE": Level.UPDATE}


class PermissionsApi:
    """Handlers for an actor's permissions."""

    def __init__(self, sharing: Sharing, replies: Replies, *, max_text_bytes: int) -> None:
        self._sharing = sharing
        self._replies = replies
        self._max_text_bytes = max_text_bytes

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/permissions"""
        return self._shown(await self._sharing.listed(call.actor.id), "Permissions retrieved successfully.")

    async def grant(self, call: Call) -> web.StreamResponse:
        """POST /{actor}/permissions: `user` and `level`"""
        fields = await read_fields(call.request, call.query, self._max_text_bytes)
        user, level = _text(fields, "user"), _level(_text(fields, "level"))
        granted = await self._sharing.grant(call.caller, call.actor.id, user, level)
        return self._shown(granted, "Permission added successfully.")

    def _shown(self, levels: Mapping[Username, Level], message: str) -> web.Response:
        # User names are no field names: no dialect changes them.
        return self._replies.as_is({username: level.name for username, level in levels.items()}, message)


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidField(f"Invalid permissions description: {name}: it is missing; give a text.")
    return value


def _level(text: str) -> Level:
    try:
        return _OTHER_NAMES.get(text) or Level[text]
    except KeyError:
        valid = tuple(level.name for level in Level)
        raise InvalidField(f"Invalid permission level: {text}. The valid values are {valid}") from None
