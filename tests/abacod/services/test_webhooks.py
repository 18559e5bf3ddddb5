from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import pytest
from aiohttp import web

from abacod.config import WebhookSettings
from abacod.services.webhooks import Answer, Webhooks, is_private, names_private_address, site_of
from tests.hooks import HookServer


def webhooks(seconds: float = 5, *, public_only: bool = False) -> Webhooks:
    return Webhooks(WebhookSettings(timeout_seconds=seconds, forbid_private_addresses=public_only))


async def test_a_call_is_one_post_of_json(hooks: HookServer) -> None:
    assert await webhooks().post(hooks.url("/a?x-nonce=n"), b'{"k": "\xc3\xbc"}') == Answer(ok=True, outcome="200")
    assert hooks.calls == [("/a", {"k": "ü"})]
    assert hooks.headers[0]["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [204, 302, 404, 500])
async def test_the_status_is_the_outcome_and_redirects_are_not_followed(hooks: HookServer, status: int) -> None:
    hooks.answers["/a"] = lambda: web.Response(status=status, headers={"Location": hooks.url("/elsewhere")})
    assert await webhooks().post(hooks.url("/a"), b"{}") == Answer(ok=status == 204, outcome=str(status))
    assert [path for path, _ in hooks.calls] == ["/a"]


async def test_a_call_takes_no_longer_than_allowed(hooks: HookServer) -> None:
    hooks.gates["/slow"] = asyncio.Event()
    answer = await webhooks(0.1).post(hooks.url("/slow"), b"{}")
    assert answer == Answer(ok=False, outcome="no answer within 0.1 s")


async def test_an_answer_without_an_end_is_not_read() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except ConnectionError:
            hung_up.set()
        finally:
            writer.close()

    hung_up = asyncio.Event()
    async with await asyncio.start_server(talk, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        assert await webhooks().post(f"http://127.0.0.1:{port}/", b"{}") == Answer(ok=True, outcome="200")
        await hung_up.wait()


@pytest.mark.parametrize(
    "url",
    [
        "http://nowhere.invalid/secret",
        "http://127.0.0.1:99999/secret",
        "http://[::1/secret",
        "http://\u2603\u0301..example/secret",
        "http://" + "a" * 300 + "/secret",
        "ftp://127.0.0.1/secret",
        "http:///secret",
    ],
)
async def test_addresses_that_lead_nowhere_are_an_outcome_without_their_secrets(url: str) -> None:
    answer = await webhooks().post(url, b"{}")
    assert not answer.ok
    assert "secret" not in answer.outcome


async def test_a_refused_connection_and_an_answer_that_is_no_http_are_outcomes() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    answer = await webhooks().post(f"http://127.0.0.1:{port}/secret", b"{}")
    assert answer.outcome.startswith("no connection: ")

    async def mumble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"mumble\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(mumble, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        answer = await webhooks().post(f"http://127.0.0.1:{port}/secret", b"{}")
    assert not answer.ok
    assert "secret" not in answer.outcome


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_private_addresses_are_refused_where_that_is_asked_for(hooks: HookServer, host: str) -> None:
    url = f"http://{host}:{hooks.port}/"
    answer = await webhooks(public_only=True).post(url, b"{}")
    assert not answer.ok
    assert "not public" in answer.outcome
    assert hooks.calls == []


async def test_the_address_that_is_connected_to_counts_whatever_the_name_led_to_before(
    hooks: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    async def rebinding(*_: object, **__: object) -> object:
        nonlocal looks
        looks += 1
        public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", hooks.port))
        private = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", hooks.port))
        return [public] if looks > 1 else [private]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebinding)
    answer = await webhooks(public_only=True).post(f"http://rebind.example:{hooks.port}/", b"{}")
    assert "not public" in answer.outcome
    assert hooks.calls == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.1.2.3", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "::", "::1", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1",
        "2002:7f00:1::", "64:ff9b::7f00:1", "::7f00:1", "2001:db8::1",
    ],
)  # fmt: skip
def test_what_is_private(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_what_is_public(address: str) -> None:
    assert not is_private(address)


def test_addresses_written_out_are_known_before_any_call() -> None:
    assert names_private_address("http://10.0.0.1:8000/x")
    assert names_private_address("https://user:pw@[::1]/")
    for public in ("http://example.org/", "http://8.8.8.8/", "http://[bad", "http://localhost/"):
        assert not names_private_address(public)


def test_only_the_site_of_a_webhook_is_logged() -> None:
    assert site_of("https://user:pw@host:8443/path?x-nonce=secret#f") == "https://host:8443"
    assert site_of("http://host/secret") == "http://host"
    assert site_of("http://host:99999/secret") == site_of("http://[x/secret") == "an address that cannot be read"
