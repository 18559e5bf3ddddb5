from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from abacod.assembly.door import Door

# Each address below 127.0.0.0/8 is this machine's; this one plays its address in the containers' network.
GATEWAY = "127.99.0.1"
ANOTHER = "127.99.0.2"
ELSEWHERE = "203.0.113.1"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as bound:
        yield bound


@pytest.fixture
async def runner() -> AsyncIterator[web.AppRunner]:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    yield runner
    await runner.cleanup()


async def answer(address: str, listener: socket.socket) -> str:
    url = f"http://{address}:{listener.getsockname()[1]}/"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.text()


@pytest.mark.parametrize("early", [True, False])
async def test_containers_reach_a_server_that_listens_on_loopback(
    listener: socket.socket, runner: web.AppRunner, early: bool
) -> None:
    door = Door(listener, may_listen=True)
    if early:
        await door.lead_to(runner)
    assert await door.open(GATEWAY)
    assert await door.open(GATEWAY)
    await door.lead_to(runner)
    assert await answer(GATEWAY, listener) == "hello"
    await door.close()
    with pytest.raises(aiohttp.ClientConnectorError):
        await answer(GATEWAY, listener)
    assert not await door.open(GATEWAY)


async def test_another_gateway_replaces_the_first(listener: socket.socket, runner: web.AppRunner) -> None:
    door = Door(listener, may_listen=True)
    await door.lead_to(runner)
    await door.open(GATEWAY)
    assert await door.open(ANOTHER)
    assert await answer(ANOTHER, listener) == "hello"
    with pytest.raises(aiohttp.ClientConnectorError):
        await answer(GATEWAY, listener)
    await door.close()


async def test_a_gateway_elsewhere_is_told_once_with_the_remedy(listener: socket.socket) -> None:
    door = Door(listener, may_listen=True)
    with capture_logs() as lines:
        assert not await door.open(ELSEWHERE)
        assert not await door.open(ELSEWHERE)
    (line,) = lines
    assert line["event"] == "no_door_for_containers"
    assert "no address of this machine" in line["reason"]
    assert "runs.api_server" in line["hint"]


async def test_a_port_that_is_taken_there_is_no_door(listener: socket.socket) -> None:
    with closing(socket.create_server((GATEWAY, listener.getsockname()[1]))), capture_logs() as lines:
        assert not await Door(listener, may_listen=True).open(GATEWAY)
    assert "in use" in lines[0]["reason"]


async def test_it_listens_nowhere_else_if_it_may_not(listener: socket.socket) -> None:
    assert not await Door(listener, may_listen=False).open(GATEWAY)


async def test_a_server_on_one_address_of_its_own_gets_no_second_one() -> None:
    # No address but loopback is sure to be on a test machine, so its socket is a stand-in.
    class Bound(socket.socket):
        def getsockname(self) -> tuple[str, int]:
            return "192.0.2.7", 8000

    with closing(Bound()) as bound:
        assert not await Door(bound, may_listen=True).open(GATEWAY)
        assert await Door(bound, may_listen=True).open("192.0.2.7")


async def test_a_server_on_all_addresses_is_there_already() -> None:
    with closing(socket.create_server(("", 0))) as everywhere, capture_logs() as lines:
        door = Door(everywhere, may_listen=False)
        assert await door.open(GATEWAY)
        assert not await door.open(ELSEWHERE)
    assert [line["event"] for line in lines] == ["no_door_for_containers"]
