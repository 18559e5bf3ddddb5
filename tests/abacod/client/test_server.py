from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest

from abacod.client.account import Account, load, save
from abacod.client.errors import ClientError, NotAuthorised, NotFound, Unreachable, Usage
from abacod.client.server import Server

URL = "http://abaco.example.org/lab"
SECRET = "a secret that is long enough for a signature"

Answer = Callable[[httpx.Request], httpx.Response]


def token(seconds: float) -> str:
    """A token that ends so many seconds from now."""
    return jwt.encode({"exp": int(time.time() + seconds)}, SECRET)


def envelope(result: Any, status: int = 200, message: str = "ok") -> httpx.Response:
    return httpx.Response(status, json={"message": message, "result": result, "status": "success", "version": "1"})


def server(answer: Answer, account: Account | None = None, nonce: str | None = None) -> Server:
    account = account or Account(URL, "alice", token(1000), "refresh", stored=True)
    return Server(account, nonce=nonce, transport=httpx.MockTransport(answer))


def test_the_result_comes_out_of_the_envelope_and_the_address_keeps_its_prefix() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == f"{URL}/v3/actors/x?a=%26"
        assert request.headers["X-Tapis-Token"]
        return envelope([1])

    with server(answer) as here:
        assert here.call("GET", "/x", params=[("a", "&")]) == [1]


@pytest.mark.parametrize(
    ("status", "message", "error", "exit_status"),
    [
        (400, "image: required", ClientError, 1),
        (409, "The actor is being deleted.", ClientError, 1),
        (413, "Too long.", ClientError, 1),
        (500, "Internal server error", ClientError, 1),
        (401, "No token.", NotAuthorised, 3),
        (403, "Not yours.", NotAuthorised, 3),
        (400, "Not authorized -- you do not have access to this actor.", NotAuthorised, 3),
        (404, "No actor found.", NotFound, 4),
        (400, "No executions found with actor id of a and execution id of b.", NotFound, 4),
        (503, "The database does not answer.", Unreachable, 5),
        (504, "Timeout.", Unreachable, 5),
    ],
)
def test_refusals_become_errors_with_their_own_status(
    status: int, message: str, error: type[ClientError], exit_status: int
) -> None:
    account = Account(URL, access_token="opaque")
    with server(lambda _: envelope(None, status, message), account) as here, pytest.raises(error) as refused:
        here.call("GET", "")
    assert type(refused.value) is error
    assert refused.value.status == exit_status
    assert refused.value.message.startswith(message)


def test_what_a_server_says_cannot_steer_the_terminal() -> None:
    with (
        server(lambda _: envelope(None, 400, "a\nb\x1b[31m")) as here,
        pytest.raises(ClientError, match=r"^a b\\x1b\[31m$"),
    ):
        here.call("GET", "")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>", headers={"Content-Type": "text/html"}),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"message": "no result"}),
        httpx.Response(502, text="Bad gateway"),
        httpx.Response(404, json={"detail": "Not found"}),
    ],
)
def test_what_is_not_from_abaco_is_told(answer: httpx.Response) -> None:
    with server(lambda _: answer) as here, pytest.raises(Unreachable, match="not from Abaco"):
        here.call("GET", "")


def test_a_redirect_is_told_and_not_followed() -> None:
    elsewhere = httpx.Response(301, headers={"Location": "https://abaco.example.org/"})
    with server(lambda _: elsewhere) as here, pytest.raises(Unreachable, match="sends you to https://abaco"):
        here.call("GET", "")


@pytest.mark.parametrize(
    ("trouble", "error", "text"),
    [
        (httpx.ConnectTimeout("x"), Unreachable, "does not answer within 60 s"),
        (httpx.ReadTimeout("x"), Unreachable, "does not answer within 60 s"),
        (httpx.ConnectError("refused"), Unreachable, f"Cannot reach {URL}: refused"),
        (httpx.RemoteProtocolError("closed"), Unreachable, "broke off: closed"),
        (httpx.InvalidURL("bad"), Usage, "no address"),
    ],
)
def test_a_server_that_does_not_answer(trouble: Exception, error: type[ClientError], text: str) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise trouble

    with server(answer) as here, pytest.raises(error, match=text):
        here.call("GET", "")


@pytest.mark.parametrize("text", ["x", "0", "-1", "nan", "inf"])
def test_a_timeout_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABACO_TIMEOUT", text)
    with pytest.raises(Usage, match="ABACO_TIMEOUT"):
        server(lambda _: envelope(None))


def test_nobody_is_told_to_log_in_at_this_server() -> None:
    with (
        server(lambda _: envelope(None), Account(URL)) as here,
        pytest.raises(NotAuthorised, match=f"abaco login {URL}"),
    ):
        here.call("GET", "")


def test_a_nonce_goes_instead_of_the_token() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert "X-Tapis-Token" not in request.headers
        assert request.url.params["x-nonce"] == "dev_x"
        return envelope(1)

    with server(answer, nonce="dev_x") as here:
        assert here.call("POST", "/x/messages", params=[("a", "b")]) == 1


class Renewing:
    """A server that gives new tokens for a refresh token, and takes only new ones."""

    def __init__(self) -> None:
        self.new = token(2000)
        self.requests: list[str] = []
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url.path)
        if request.url.path.endswith("/v3/oauth2/tokens"):
            assert json.loads(request.content) == {"grant_type": "refresh_token", "refresh_token": "refresh"}
            assert "X-Tapis-Token" not in request.headers
            fresh = {"access_token": {"access_token": self.new}, "refresh_token": {"refresh_token": "refresh 2"}}
            return envelope(fresh)
        self.bodies.append(request.read())
        return envelope("in") if request.headers["X-Tapis-Token"] == self.new else envelope(None, 401, "Expired.")


def test_a_token_that_ends_soon_is_renewed_first_and_stored() -> None:
    renewing, account = Renewing(), Account(URL, "alice", token(5), "refresh", stored=True)
    save(account)
    with server(renewing, account) as here:
        assert here.call("GET", "") == "in"
    assert renewing.requests == ["/lab/v3/oauth2/tokens", "/lab/v3/actors"]
    assert load() == account.with_tokens(renewing.new, "refresh 2")


def test_a_token_that_is_refused_is_renewed_and_the_request_sent_again() -> None:
    renewing = Renewing()
    with server(renewing) as here:
        assert here.call("POST", "/x/messages", content=b"body", content_type="text/plain") == "in"
    assert renewing.bodies == [b"body", b"body"]


def test_what_was_read_from_a_file_is_not_sent_twice() -> None:
    renewing = Renewing()
    with server(renewing) as here, pytest.raises(NotAuthorised):
        here.call("POST", "/x/messages", content=iter([b"body"]))
    assert renewing.bodies == [b"body"]


def test_a_refresh_token_that_is_refused_leads_to_a_login() -> None:
    with (
        server(lambda _: envelope(None, 401, "Expired.")) as here,
        pytest.raises(NotAuthorised, match=r"Expired. Run `abaco login`\."),
    ):
        here.call("GET", "")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"])
def test_a_proxy_is_not_asked_for_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")
    with Server(Account(url, access_token="x")) as here:
        assert not here._client.trust_env
    with Server(Account("http://example.org", access_token="x")) as there:
        assert there._client.trust_env
