"""Requests to the server: its refusals and its silence become errors of ours, and tokens are renewed on the way."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from abacod import __version__
from abacod.client import account as accounts
from abacod.client.account import Account
from abacod.client.errors import ClientError, NotAuthorised, NotFound, Unreachable, Usage
from abacod.client.output import one_line
from abacod.client.paths import ACTORS, TOKENS

_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 60.0
_QUICK_SECONDS: Final = 1.0
_STREAM: Final = httpx.Timeout(_CONNECT_SECONDS, read=120)
"""For answers that come piece by piece: after a silence as long as this the connection may be dead. In seconds."""
_FOR_EVER: Final = httpx.Timeout(_CONNECT_SECONDS, read=None)

Parameters = Sequence[tuple[str, str]]


class Server:
    """The server of an account. A context manager: it keeps one connection open."""

    def __init__(
        self, account: Account, *, nonce: str | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        """With a `nonce` requests carry it instead of the token."""
        self.account = account
        self._nonce = nonce
        self._seconds = _timeout()
        self._client = httpx.Client(
            timeout=httpx.Timeout(self._seconds, connect=min(_CONNECT_SECONDS, self._seconds)),
            headers={"User-Agent": f"abaco/{__version__}"},
            transport=transport,
            # To read the certificate authorities takes longer than a request; plain HTTP has no use for them.
            verify=account.url.startswith("https:"),
            # The settings for a proxy are about the net, and this machine is none.
            trust_env=not _is_here(account.url),
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def be_quick(self) -> None:
        """Let no answer take longer than somebody who pressed the tabulator waits."""
        self._client.timeout = httpx.Timeout(_QUICK_SECONDS)

    def call(self, method: str, path: str, **request: Any) -> Any:
        """The `result` of a request below `/v3/actors`."""
        return self.result(self.request(method, ACTORS + path, **request))

    def result(self, response: httpx.Response) -> Any:
        """The `result` in the envelope of an answer."""
        try:
            return response.json()["result"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._no_abaco(response) from error

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Parameters = (),
        json: Any = None,
        data: Mapping[str, str] | None = None,
        content: bytes | Iterable[bytes] | None = None,
        content_type: str | None = None,
        may_take_long: bool = False,
    ) -> httpx.Response:
        """An answer that is no error; `may_take_long` if it comes only when an execution has ended."""
        self._renew_early()
        extra = {"json": json, "data": data, "content": content, "params": self._parameters(params)}
        given = {name: value for name, value in extra.items() if value is not None}
        if may_take_long:
            given["timeout"] = _FOR_EVER

        def send() -> httpx.Response:
            headers = self._credentials() | ({"Content-Type": content_type} if content_type else {})
            return self._send(method, path, headers=headers, **given)

        response = send()
        # What comes from a file or a pipe has been read by now.
        again = content is None or isinstance(content, bytes)
        if response.status_code == httpx.codes.UNAUTHORIZED and again and self._renew():
            response = send()
        return self._checked(response)

    @contextmanager
    def streamed(self, path: str, *, params: Parameters, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """An answer below `/v3/actors` that comes piece by piece. Raises `Unreachable` after a long silence."""
        self._renew_early()
        with self._trouble_told():
            request = self._client.build_request(
                "GET",
                self.account.url + ACTORS + path,
                params=self._parameters(params),
                headers={**self._credentials(), **headers},
                timeout=_STREAM,
            )
            response = self._client.send(request, stream=True)
            try:
                if not response.is_success:
                    response.read()
                yield self._checked(response)
            finally:
                response.close()

    def log_in(self, username: str, password: str, tenant: str | None) -> Account:
        """Tokens for a password; they are not stored.

        Raises:
            NotAuthorised: wrong name or password.
        """
        headers = {"X-Tapis-Tenant": tenant} if tenant else {}
        fields = {"grant_type": "password", "username": username, "password": password}
        response = self._checked(self._send("POST", TOKENS, headers=headers, json=fields))
        access, refresh = self._tokens(response)
        return Account(self.account.url, username, access, refresh, stored=True)

    # --- tokens ---------------------------------------------------------------------------------------------------------

    def _credentials(self) -> dict[str, str]:
        if self._nonce:
            return {}
        if not self.account.access_token:
            raise NotAuthorised(f"You are not logged in at {self.account.url}. Run `abaco login {self.account.url}`.")
        return {"X-Tapis-Token": self.account.access_token}

    def _parameters(self, params: Parameters) -> Any:
        # httpx drops the query of the address if it gets an empty list.
        return [*params, *([("x-nonce", self._nonce)] if self._nonce else [])] or None

    def _renew_early(self) -> None:
        if not self._nonce and self.account.expires_soon:
            self._renew()

    def _renew(self) -> bool:
        """Get new tokens for the refresh token and store them; False if that cannot be."""
        if self._nonce or not self.account.refresh_token:
            return False
        fields = {"grant_type": "refresh_token", "refresh_token": self.account.refresh_token}
        response = self._send("POST", TOKENS, json=fields)
        if not response.is_success:
            return False
        self.account = self.account.with_tokens(*self._tokens(response))
        if self.account.stored:
            accounts.save(self.account)
        return True

    def _tokens(self, response: httpx.Response) -> tuple[str, str]:
        result = self.result(response)
        try:
            refresh = result.get("refresh_token") or {}
            return str(result["access_token"]["access_token"]), str(refresh.get("refresh_token") or "")
        except (TypeError, KeyError, AttributeError) as error:
            raise self._no_abaco(response) from error

    # --- what may go wrong ----------------------------------------------------------------------------------------------

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        with self._trouble_told():
            return self._client.request(method, self.account.url + path, **request)

    @contextmanager
    def _trouble_told(self) -> Iterator[None]:
        url = self.account.url
        try:
            yield
        except httpx.TimeoutException as error:
            raise Unreachable(f"{url} does not answer within {self._seconds:g} s.") from error
        except httpx.ConnectError as error:
            raise Unreachable(f"Cannot reach {url}: {one_line(str(error)) or 'no connection'}.") from error
        except httpx.HTTPError as error:
            raise Unreachable(f"The connection to {url} broke off: {one_line(str(error))}.") from error
        except httpx.InvalidURL as error:
            raise Usage(f"{url} is no address of a server: {error}.") from error
        except UnicodeEncodeError as error:
            raise Usage("The command line holds something that is not UTF-8, or a token that is not ASCII.") from error

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_success:
            return response
        if response.is_redirect:
            target = one_line(response.headers.get("Location", ""))
            raise Unreachable(f"{self.account.url} sends you to {target}; run `abaco login` with that address.")
        try:
            answer = response.json()
            message = one_line(str(answer["message"]))
        except (ValueError, KeyError, TypeError):
            raise self._no_abaco(response) from None
        raise _refusal(response.status_code, message, self._nonce is None)

    def _no_abaco(self, response: httpx.Response) -> ClientError:
        kind = response.headers.get("Content-Type", "no content type")
        return Unreachable(
            f"What {self.account.url} answered is not from Abaco (status {response.status_code}, {one_line(kind)}). "
            "Is the address right?"
        )


def _refusal(status: int, message: str, has_token: bool) -> ClientError:
    """The error for a refusal; under `compat = "abaco"` the server says 400 for most, and only the text tells."""
    said_no = message.startswith(("Not authorized", "You do not have sufficient access"))
    if status == httpx.codes.UNAUTHORIZED:
        return NotAuthorised(f"{message} Run `abaco login`." if has_token else message)
    if status == httpx.codes.FORBIDDEN or said_no:
        return NotAuthorised(message)
    if status == httpx.codes.NOT_FOUND or message.startswith(("No executions found", "Nonce not found")):
        return NotFound(message)
    if status in (httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT):
        return Unreachable(message)
    return ClientError(message)


def _timeout() -> float:
    """How long an answer may take, in seconds."""
    text = os.environ.get("ABACO_TIMEOUT", "")
    try:
        seconds = float(text) if text else _ANSWER_SECONDS
    except ValueError:
        seconds = 0
    if not 0 < seconds < 1e6:  # noqa: PLR2004 - also refuses what is no number
        raise Usage(f"ABACO_TIMEOUT is {text!r}; give seconds, for example 60.")
    return seconds


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
