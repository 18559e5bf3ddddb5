"""The HTTP application: one entry for every request, which finds the route, checks the caller and maps errors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from abacod.api.body import Pairs, expects_leave, parse_query
from abacod.api.calls import PLAIN, Call
from abacod.api.reply import Replies, allow_origin
from abacod.api.router import Router
from abacod.clock import Clock
from abacod.errors import AbacoError, ActorNotFound, BadRequest, NotAuthenticated, NotPermitted
from abacod.ids import NonceId, is_hashid
from abacod.models.permission import Demand
from abacod.models.user import Caller
from abacod.services.access import Access, Named
from abacod.services.accounts import Accounts
from abacod.services.nonces import Nonces

# Longest request line and header field; Abaco's search puts much into the query. In bytes.
_MAX_LINE: Final = 65_536

_METHODS: Final = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"

Served = Callable[[str, str, int, float], None]
"""Takes the template of a path (`none` if there is no such address), the method, the status, and the time in seconds."""

# Where a request keeps the template of its path.
_TEMPLATE: Final = web.RequestKey("template", str)

_NONCE_ID: Final = re.compile(r"(/nonces/+)[^/]+")

_log = structlog.get_logger()


class Entry:
    """Serves requests by the table of routes."""

    def __init__(
        self,
        router: Router,
        accounts: Accounts,
        access: Access,
        nonces: Nonces,
        replies: Replies,
        clock: Clock,
        served: Served,
    ) -> None:
        """`served` is told of every request that was answered."""
        self._clock = clock
        self._served = served
        self._router = router
        self._accounts = accounts
        self._access = access
        self._nonces = nonces
        self._replies = replies

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; every failure becomes an envelope."""
        began = self._clock.monotonic()
        response = await self._serve(request)
        if not response.prepared:
            allow_origin(request, response)
        template = request.get(_TEMPLATE, "none")
        self._served(template, request.method, response.status, self._clock.monotonic() - began)
        return response

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return _preflight(request)
        try:
            response = await self._answer(request)
        except AbacoError as error:
            response = self._refusal(request, error)
        except (json.JSONDecodeError, UnicodeError, RecursionError, OverflowError) as error:
            # Input that got past the readers; it is the caller's, and must not look like a failure of ours.
            _log.exception("input_not_understood", path=_loggable(request))
            response = self._refusal(request, _not_understood(error))
        except web.HTTPException:
            raise
        except Exception:  # noqa: BLE001 - see below
            # The top of every request: a defect must cost this request only, and its details belong in the log.
            _log.exception("request_crashed", method=request.method, path=_loggable(request))
            response = self._replies.error(AbacoError("Internal server error; the server's log has the details."))
        if not response.prepared and expects_leave(request) and not request.content.is_eof():
            # The client was refused without its body, and nobody can tell whether that comes now or another request.
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        raw_path, _, raw_query = _target(request).partition("?")
        route, dialect, parameters = self._router.find(request.method, raw_path)
        # One name for an address under all its prefixes.
        request[_TEMPLATE] = route.path if dialect is PLAIN else f"/actors{route.path}"
        query = parse_query(raw_query.partition("#")[0])
        demand = route.need.value
        if demand is None:
            return await route.handler(Call(request, dialect, parameters, query))
        caller, named = await self._admitted(request, demand, parameters, query)
        return await route.handler(Call(request, dialect, parameters, query, caller, named))

    async def _admitted(
        self, request: web.BaseRequest, demand: Demand, parameters: Mapping[str, str], query: Pairs
    ) -> tuple[Caller, Named]:
        """Who calls, and what the path names, if that caller may do what the route demands."""
        token = _token(request)
        if token is None:
            # A token that is not good fails even where a nonce is there, too (spec/actors-api 7.1).
            for name, value in query:
                if name == "x-nonce":
                    return await self._nonces.redeem(NonceId(value), demand, parameters)
        if not token:
            raise NotAuthenticated
        caller = await self._accounts.caller_of(token)
        return caller, await self._named(caller, demand, parameters)

    async def _named(self, caller: Caller, demand: Demand, parameters: Mapping[str, str]) -> Named:
        try:
            return await self._access.named(caller, demand, parameters)
        except ActorNotFound as error:
            if self._replies.compat == "abaco" and is_hashid(parameters.get("actor", "")) and not caller.is_admin:
                # The reference service checks the permission first, and there is none (spec/decisions).
                raise NotPermitted from error
            raise

    def _refusal(self, request: web.BaseRequest, error: AbacoError) -> web.Response:
        _log.info(
            "request_refused", method=request.method, path=_loggable(request), error=error.code, text=error.message
        )
        return self._replies.error(error)


def http_server(entry: Entry) -> web.Server:
    """The HTTP server in front of the entry. Bodies are bounded by whoever reads them (see `body`).

    A client that hangs up ends no handler: what it does for more than its client it does to the end (see `Call.while_held`).
    Nor does one that sends `Expect` get leave to send its body but from whoever wants to read that.
    """
    return web.Server(entry.serve, access_log=None, max_line_size=_MAX_LINE, max_field_size=_MAX_LINE)


def _target(request: web.BaseRequest) -> str:
    """The path and query as they came over the wire.

    Raises:
        BadRequest: they are not UTF-8.
    """
    target = request.raw_path
    try:
        target.encode()
    except UnicodeEncodeError as error:
        raise BadRequest("The request target is not valid UTF-8.") from error
    if target.startswith("/"):
        return target
    # A whole URL, as proxies send it; its host is also in the header.
    parts = urlsplit(target)
    return f"{parts.path}?{parts.query}"


def _token(request: web.BaseRequest) -> str | None:
    """The token in the headers; empty if a header has none in it, None if there is no header."""
    token = request.headers.get("X-Tapis-Token")
    if token is not None:
        return token
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def _loggable(request: web.BaseRequest) -> str:
    """The path without the ids of nonces in it: who reads a log must not be able to use them."""
    return _NONCE_ID.sub(r"\1…", request.path)


def _not_understood(error: Exception) -> AbacoError:
    return BadRequest(f"The request could not be understood: {error}.")


def _preflight(request: web.BaseRequest) -> web.Response:
    """Answer a browser's preflight without credentials (spec/actors-api 7.7)."""
    response = web.Response(status=200)
    response.headers["Access-Control-Allow-Methods"] = _METHODS
    asked = request.headers.get("Access-Control-Request-Headers")
    if asked:
        response.headers["Access-Control-Allow-Headers"] = asked
    return response
