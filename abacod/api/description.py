"""What this server says of its own API: the OpenAPI document, and a page to read it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Final

from aiohttp import web

from abacod.api.calls import Call, Content
from abacod.api.docs_page import POLICY, page
from abacod.api.schemas import Schema

DOCUMENT: Final = Content(("application/json",), "An OpenAPI 3.1 document, without an envelope.")
PAGE: Final = Content(("text/html",), "A page for people.")


class DescriptionApi:
    """Handlers for /openapi.json and /docs; neither needs credentials. `describe` makes the document."""

    def __init__(self, describe: Callable[[], Schema]) -> None:
        self._describe = describe
        self._made: tuple[bytes, str] | None = None

    async def document(self, _: Call) -> web.StreamResponse:
        """GET /openapi.json: Get the OpenAPI document of this server."""
        document, _page = await self._texts()
        return web.Response(body=document, content_type="application/json")

    async def page(self, _: Call) -> web.StreamResponse:
        """GET /docs: Read about this API in a browser."""
        _document, shown = await self._texts()
        headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
        return web.Response(text=shown, content_type="text/html", headers=headers)

    async def _texts(self) -> tuple[bytes, str]:
        # Made once, when somebody asks: it takes a fraction of a second, which is no reason to start later.
        if self._made is None:
            self._made = await asyncio.to_thread(self._make)
        return self._made

    def _make(self) -> tuple[bytes, str]:
        document = self._describe()
        return json.dumps(document).encode(), page(document)
