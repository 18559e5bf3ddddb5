"""Apps over HTTP: list, show and register them, as Agave's clients ask."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from aiohttp import web
from pydantic import Field

from abacod.api.body import parse_json, read_text
from abacod.api.calls import Call
from abacod.api.reply import Replies, envelope
from abacod.errors import InvalidField
from abacod.services.batch.apps import Apps
from abacod.services.batch.document import app_document, app_line

AppShown = Annotated[
    dict[str, Any], Field(description="The description as it was registered, with what the server knows of the app.")
]


class AppLine(TypedDict):
    """An app, in short."""

    id: str
    name: Any
    version: Any
    revision: int
    executionSystem: Any
    shortDescription: Any
    isPublic: bool
    lastModified: str
    _links: dict[str, Any]


class AppsApi:
    """Handlers for apps."""

    def __init__(self, apps: Apps, replies: Replies, *, max_text_bytes: int) -> None:
        self._apps = apps
        self._replies = replies
        self._max_text_bytes = max_text_bytes

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /apps/v2: List the apps that the caller may run."""
        base = self._replies.public_url
        shown = [app_line(app_document(app, base)) for app in await self._apps.listed(call.caller)]
        return self._replies.as_is(shown, "Apps retrieved successfully.")

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /apps/v2/{app}: Show the description of an app."""
        app = await self._apps.get(call.caller, call.parameters["app"])
        return self._replies.as_is(app_document(app, self._replies.public_url), "App retrieved successfully.")

    async def register(self, call: Call) -> web.StreamResponse:
        """POST /apps/v2: Register an app, or replace the description of the one with the same id."""
        document = await read_object(call, self._max_text_bytes)
        app = await self._apps.register(call.caller, document)
        shown = app_document(app, self._replies.public_url)
        return envelope(shown, "App registered successfully.", status=201)


async def read_object(call: Call, limit: int) -> Mapping[str, Any]:
    """The JSON object of a request, with its names as they are.

    Raises:
        BadRequest: it is no JSON.
        InvalidField: it is no object.
    """
    text = await read_text(call.request, limit)
    # Large ones would keep all other requests waiting.
    value = await asyncio.to_thread(parse_json, text)
    if not isinstance(value, dict):
        raise InvalidField("Send a JSON object.")
    return value
