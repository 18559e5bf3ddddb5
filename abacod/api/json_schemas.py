"""The JSON Schemas of the PipelineJobs messages and records, for programs that check what they send."""

from __future__ import annotations

import asyncio
from typing import Final, TypedDict

from aiohttp import web

from abacod.api.calls import Call, Content
from abacod.api.reply import Replies
from abacod.errors import NoSuchRoute
from reactors.pipelinejobs import validation

SCHEMA: Final = Content(("application/schema+json",), "A JSON Schema (draft-07), without an envelope.")

_SUFFIX: Final = ".json"


class SchemaShown(TypedDict):
    """A schema, and where to read it."""

    name: str
    link: str


class JsonSchemasApi:
    """Handlers for /schemas; none needs credentials."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /schemas: List the JSON Schemas of messages and records."""
        names = await asyncio.to_thread(validation.names)
        base = f"{self._replies.public_url}/schemas"
        result = [SchemaShown(name=name, link=f"{base}/{name}{_SUFFIX}") for name in names]
        return self._replies.ok(call, result, "Schemas retrieved successfully.")

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /schemas/{schema}: Get a JSON Schema; its name ends in `.json`."""
        name = call.parameters["schema"]
        if not name.endswith(_SUFFIX):
            raise NoSuchRoute
        try:
            text = await asyncio.to_thread(validation.text, name.removesuffix(_SUFFIX))
        except KeyError as error:
            raise NoSuchRoute from error
        return web.Response(body=text, content_type="application/schema+json")
