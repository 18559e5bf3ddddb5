"""Tapis' API, version 3, through tapipy, which blocks: in threads of its own, a limited number.

tapipy makes objects of what the service answers, and exceptions of its refusals. Here its answers are taken as they came,
since those objects lose what has no place in them, and fail at some documents.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from threading import local
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from abacod.clock import Clock
from abacod.config_batch import TapisSettings
from abacod.errors import BatchEngineFailed, ConfigError
from abacod.services.batch.held_token import HeldToken, Token, token_of
from abacod.services.batch.replies import MAX_BYTES, Refusal, Reply, result_of
from abacod.services.batch.secrets import secret

SERVICE: Final = "The Tapis service"

_log = structlog.get_logger()


class TapisClient:
    """Asks the service as the user of the settings."""

    def __init__(self, settings: TapisSettings, clock: Clock) -> None:
        """`settings.base_url` is set.

        Raises:
            ConfigError: tapipy is not installed.
        """
        if importlib.util.find_spec("tapipy") is None:
            raise ConfigError("batch.tapis needs the package tapipy: install abacod[tapis], or leave out batch.tapis.")
        self.base_url = str(settings.base_url).rstrip("/")
        self._settings = settings
        self._clock = clock
        self._threads = ThreadPoolExecutor(settings.at_once, thread_name_prefix="tapis")
        self._of_thread = local()
        self._tokens = HeldToken(self._new_token, clock)

    def close(self) -> None:
        """Begin no more requests; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def call(self, resource: str, operation: str, **arguments: Any) -> Reply:
        """One of tapipy's operations, repeated with a new token if the service refuses the one that it had.

        Raises:
            BatchEngineFailed: no answer within `timeout_seconds`, none that can be read, or no token to be had.
        """
        token = await self._tokens.good()
        reply = await self._in_thread(token.access, resource, operation, arguments)
        if reply.status == HTTPStatus.UNAUTHORIZED:
            token = await self._tokens.good(refused=token)
            reply = await self._in_thread(token.access, resource, operation, arguments)
        return reply

    async def result(self, resource: str, operation: str, **arguments: Any) -> Any:
        """The `result` of an operation's answer.

        Raises:
            Refusal: the service does not do it.
            BatchEngineFailed: as `call`, and for what `result_of` takes for a failure.
        """
        return result_of(await self.call(resource, operation, **arguments), SERVICE)

    # --- tokens -------------------------------------------------------------------------------------------------

    async def _new_token(self, _: Token | None, refused: Token | None) -> Token:
        given = self._settings
        if given.has_token():
            access = await secret(given.token, given.token_file, "batch.tapis.token_file")
            if refused is not None and refused.access == access:
                raise BatchEngineFailed("The Tapis service refused the token of batch.tapis; give one that is valid.")
            return Token(access)
        password = await secret(given.password, given.password_file, "batch.tapis.password_file")
        arguments = {"username": given.username, "password": password, "grant_type": "password"}
        reply = await self._in_thread(None, "authenticator", "create_token", arguments)
        try:
            found: Any = result_of(reply, SERVICE)["access_token"]
            token = token_of(found["access_token"], None, found.get("expires_in"), self._clock)
        except (TypeError, KeyError, AttributeError, Refusal) as error:
            raise self._no_token(reply) from error
        if token is None or reply.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise self._no_token(reply)
        return token

    @staticmethod
    def _no_token(reply: Reply) -> BatchEngineFailed:
        return BatchEngineFailed(
            f"The Tapis service gave no token: it answered with {reply.status}. Are username and password of batch.tapis right?"
        )

    # --- requests -----------------------------------------------------------------------------------------------

    async def _in_thread(self, token: str | None, resource: str, operation: str, arguments: dict[str, Any]) -> Reply:
        work = partial(self._ask, token, resource, operation, arguments)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except RuntimeError as error:
            raise BatchEngineFailed("The server is being stopped.") from error

    def _ask(self, token: str | None, resource: str, operation: str, arguments: dict[str, Any]) -> Reply:
        client = self._client()
        client.jwt = token
        self._of_thread.response = None
        problem: Exception | None = None
        try:
            getattr(getattr(client, resource), operation)(**arguments)
        except Exception as error:  # noqa: BLE001 - whatever tapipy makes of an answer, its status and body are judged
            problem = error
        response = self._of_thread.response
        if response is None:
            _log.warning("tapis_unanswered", operation=operation, reason=type(problem).__name__)
            raise BatchEngineFailed(
                f"The Tapis service could not be asked, or did not answer within {self._settings.timeout_seconds:g} s."
            ) from problem
        if len(response.content) > MAX_BYTES:
            raise BatchEngineFailed(f"The Tapis service answered with more than {MAX_BYTES} bytes.")
        return Reply(response.status_code, response.content)

    def _client(self) -> Any:
        """This thread's own client: tapipy keeps state in it."""
        if (client := getattr(self._of_thread, "client", None)) is not None:
            return client
        # Imported here, in a thread: it takes half a second, and reads files.
        tapipy = importlib.import_module("tapipy.tapis")
        # Any id of a tenant keeps it from asking for the list of tenants, which a user's requests do not need.
        client = tapipy.Tapis(base_url=self.base_url, tenant_id=urlsplit(self.base_url).hostname)
        session = client.requests_session
        session.trust_env = False
        session.max_redirects = 0  # the token is for this host
        adapter = _limited_adapter(self._settings.timeout_seconds)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        client.plugin_on_call_post_request_callables.append(self._saw)
        self._of_thread.client = client
        return client

    def _saw(self, _: Any, response: Any, **__: Any) -> None:
        self._of_thread.response = response


def _limited_adapter(seconds: float) -> Any:
    """What sends tapipy's requests: it sets no limit of time itself."""
    adapters = importlib.import_module("requests.adapters")

    class Limited(adapters.HTTPAdapter):  # type: ignore[misc, name-defined]
        def send(self, request: Any, **options: Any) -> Any:
            return super().send(request, **{**options, "timeout": seconds})

    return Limited()
