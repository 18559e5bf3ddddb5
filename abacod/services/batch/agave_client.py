"""Agave's HTTP API, version 2: requests with a token that is got, kept and renewed as needed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp

from abacod.clock import Clock
from abacod.config_batch import AgaveSettings
from abacod.errors import BatchEngineFailed
from abacod.services.batch.held_token import HeldToken, Token, token_of
from abacod.services.batch.replies import MAX_BYTES, Reply
from abacod.services.batch.secrets import secret


class AgaveClient:
    """Asks the service as the user of the settings."""

    def __init__(self, settings: AgaveSettings, clock: Clock) -> None:
        """`settings.base_url` is set."""
        self.base_url = str(settings.base_url).rstrip("/")
        self._settings = settings
        self._clock = clock
        self._tokens = HeldToken(self._new_token, clock)

    async def call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        """One request, repeated with a new token if the service refuses the one that it had.

        `path` begins with a slash and needs no quoting; `body` is JSON.

        Raises:
            BatchEngineFailed: no answer within `timeout_seconds`, none that can be read, or no token to be had.
        """
        token = await self._tokens.good()
        reply = await self._send(method, path, self._bearer(token), query=query, body=body)
        if reply.status == HTTPStatus.UNAUTHORIZED:
            token = await self._tokens.good(refused=token)
            reply = await self._send(method, path, self._bearer(token), query=query, body=body)
        return reply

    @staticmethod
    def _bearer(token: Token) -> dict[str, str]:
        return {"Authorization": f"Bearer {token.access}", "Content-Type": "application/json"}

    # --- tokens -------------------------------------------------------------------------------------------------

    async def _new_token(self, held: Token | None, refused: Token | None) -> Token:
        given = self._settings
        if given.has_token():
            access = await secret(given.token, given.token_file, "batch.agave.token_file")
            if refused is not None and refused.access == access:
                raise BatchEngineFailed("The Agave service refused the token of batch.agave; give one that is valid.")
            return Token(access)
        if held is not None and held.refresh:
            reply = await self._ask_token({"grant_type": "refresh_token", "refresh_token": held.refresh})
            if token := self._read_token(reply):
                return token
        password = await secret(given.password, given.password_file, "batch.agave.password_file")
        reply = await self._ask_token({"grant_type": "password", "username": str(given.username), "password": password})
        if token := self._read_token(reply):
            return token
        raise BatchEngineFailed(
            f"The Agave service gave no token: it answered with {reply.status}. Are client_key, client_secret, username and "
            "password of batch.agave right?"
        )

    async def _ask_token(self, grant: Mapping[str, str]) -> Reply:
        given = self._settings
        client_secret = await secret(given.client_secret, given.client_secret_file, "batch.agave.client_secret_file")
        login = aiohttp.encode_basic_auth(str(given.client_key), client_secret)
        return await self._send("POST", "/token", {"Authorization": login}, form={**grant, "scope": "PRODUCTION"})

    def _read_token(self, reply: Reply) -> Token | None:
        """The token in an answer, None if it has none."""
        if reply.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            return None
        try:
            document: Any = json.loads(reply.body)
            return token_of(
                document["access_token"], document.get("refresh_token"), document.get("expires_in"), self._clock
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    # --- requests -----------------------------------------------------------------------------------------------

    async def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Reply:
        limit = self._settings.timeout_seconds
        try:
            async with (
                asyncio.timeout(limit),
                aiohttp.ClientSession(
                    cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None)
                ) as session,
                session.request(
                    method,
                    self.base_url + path,
                    params=query,
                    data=body if form is None else dict(form),
                    headers=headers,
                    allow_redirects=False,  # the token is for this host
                ) as response,
            ):
                return Reply(response.status, await _read(response))
        except TimeoutError as error:
            raise BatchEngineFailed(f"The Agave service did not answer within {limit:g} s.") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Not the error's text, which may hold more than a user should see.
            raise BatchEngineFailed(f"The Agave service could not be asked: {type(error).__name__}.") from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in response.content.iter_chunked(65_536):
        content += piece
        if len(content) > MAX_BYTES:
            raise BatchEngineFailed(f"The Agave service answered with more than {MAX_BYTES} bytes.")
    return bytes(content)
