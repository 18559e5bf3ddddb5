"""Requests to the daemon's HTTP API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Mapping
from urllib.parse import quote

from reactors.runtime.errors import DaemonError

if TYPE_CHECKING:
    import requests

_JSON = "application/json"
_SECONDS = 60.0
"""How long a daemon may take for an answer."""

_REFUSED = (401, 403)
_FIRST_ERROR = 300


class Daemon:
    """The daemon at `base_url`. Requests carry the token; one that is refused is sent again with the nonce, if there is one.

    Without a token they carry the nonce alone.
    """

    def __init__(self, base_url: str, token: str = "") -> None:
        self.base_url = base_url.rstrip("/")
        self._token = token
        self._session: requests.Session | None = None

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: bytes | None = None,
        query: Mapping[str, str] | None = None,
        nonce: str | None = None,
    ) -> Any:
        """The `result` of an answer. `path` is one that `path_of` made; `body` goes out as JSON, `content` as bytes.

        Raises:
            DaemonError: the daemon refused, or did not answer.
            ValueError: `body` is nothing that JSON has.
        """
        options: dict[str, Any] = {} if body is None else {"data": _json(body), "headers": {"Content-Type": _JSON}}
        if content is not None:
            options = {"data": content, "headers": {"Content-Type": "application/octet-stream"}}
        answer = self._answer(method, path, options, query, nonce)
        try:
            return answer.json().get("result")
        except (ValueError, AttributeError, RecursionError):
            raise DaemonError(f"{method} {path}: the answer is not in the envelope", answer.status_code) from None

    def fetch(self, path: str, nonce: str | None = None) -> bytes:
        """The body of an answer that is not in the envelope. Raises DaemonError as `call` does."""
        return self._answer("GET", path, {}, None, nonce).content

    def _answer(
        self, method: str, path: str, options: dict[str, Any], query: Mapping[str, str] | None, nonce: str | None
    ) -> requests.Response:
        if not self.base_url:
            raise DaemonError(f"{method} {path}: there is no _abaco_api_server here; set it to the daemon's URL")
        ways = [(self._token, None), ("", nonce)] if self._token and nonce else [(self._token, nonce)]
        problems: dict[str, None] = {}
        for token, by_nonce in ways:
            answer = self._exchange(method, path, options, token, {**(query or {}), **_parameter(by_nonce)})
            if answer.status_code < _FIRST_ERROR:
                return answer
            problems[_problem(answer) or f"{method} {path}: status {answer.status_code}"] = None
            if answer.status_code not in _REFUSED:
                break
        # The token may have been refused for what was asked, and the nonce because it is none any more: both are told.
        raise DaemonError(" With the nonce: ".join(problems), answer.status_code)

    def _exchange(
        self, method: str, path: str, options: dict[str, Any], token: str, query: Mapping[str, str]
    ) -> requests.Response:
        import requests  # noqa: PLC0415 - it takes longer to load than most reactors take to start

        def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
            # A callable also keeps requests from looking for credentials in ~/.netrc.
            if token:
                request.headers["Authorization"] = f"Bearer {token}"
            return request

        self._session = self._session or requests.Session()
        try:
            return self._session.request(
                method,
                self.base_url + path,
                params=dict(query),
                auth=authorize,
                timeout=_SECONDS,
                allow_redirects=False,
                **options,
            )
        except requests.RequestException as error:
            # Its text has the whole URL, with the nonce.
            raise DaemonError(f"{method} {self.base_url}{path}: no answer ({type(error).__name__})") from None


def path_of(*segments: str) -> str:
    """A path of segments, each with all that means something in a URL encoded.

    Raises:
        ValueError: a segment is empty, `.` or `..`: it would lead elsewhere.
    """
    for segment in segments:
        if segment in ("", ".", ".."):
            raise ValueError(f"{segment!r} cannot be an id")
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def _json(body: Any) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode("ascii")
    except (TypeError, RecursionError) as error:
        raise ValueError(f"this cannot be sent as JSON: {error}") from error


def _parameter(nonce: str | None) -> dict[str, str]:
    return {"x-nonce": nonce} if nonce else {}


def _problem(answer: requests.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
