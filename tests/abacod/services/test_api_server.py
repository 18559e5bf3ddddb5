from __future__ import annotations

import asyncio

import pytest

from abacod.config import EngineSettings, RunSettings, ServerSettings, Settings
from abacod.errors import EngineUnavailable
from abacod.services.api_server import ApiServer, is_loopback
from abacod.services.engine_watch import EngineWatch
from tests.fakes import FakeRuntime
from tests.harness import Diary, Lab

GATEWAY = "172.30.0.1"


class Doorman:
    """Opens the door while told to, and notes where."""

    def __init__(self, *, opens: bool = True) -> None:
        self.opens = opens
        self.asked: list[str] = []

    async def __call__(self, gateway: str) -> bool:
        self.asked.append(gateway)
        return self.opens


def api_server(runtime: FakeRuntime, door: Doorman, *, runs: str | None = None, public: str | None = None) -> ApiServer:
    settings = Settings(server=ServerSettings(port=8123, public_url=public), runs=RunSettings(api_server=runs))
    return ApiServer(runtime, EngineWatch(runtime, EngineSettings(), runtime.clock), settings, door)


@pytest.mark.parametrize(
    ("runs", "public", "expected"),
    [
        ("http://inside:9000/", "https://outside", "http://inside:9000"),
        (None, "https://outside.example/", "https://outside.example"),
        (None, "http://localhost:8000", f"http://{GATEWAY}:8123"),
        (None, "http://127.0.0.1", f"http://{GATEWAY}:8123"),
        (None, None, f"http://{GATEWAY}:8123"),
    ],
)
async def test_what_is_set_counts_unless_it_leads_a_container_to_itself(
    runs: str | None, public: str | None, expected: str
) -> None:
    runtime, door = FakeRuntime(), Doorman()
    runtime.engine.gateway = GATEWAY
    assert await api_server(runtime, door, runs=runs, public=public).url() == expected
    assert door.asked == [GATEWAY] * expected.startswith(f"http://{GATEWAY}")


@pytest.mark.parametrize(("gateway", "opens"), [(None, True), (GATEWAY, False)])
async def test_without_a_door_it_is_the_public_url(gateway: str | None, opens: bool) -> None:
    runtime = FakeRuntime()
    runtime.engine.gateway = gateway
    assert await api_server(runtime, Doorman(opens=opens)).url() == "http://127.0.0.1:8123"


async def test_an_ipv6_gateway_is_spelled_for_a_url() -> None:
    runtime = FakeRuntime()
    runtime.engine.gateway = "fd00::1"
    assert await api_server(runtime, Doorman()).url() == "http://[fd00::1]:8123"


async def test_nobody_knows_it_before_the_engine_answers() -> None:
    runtime = FakeRuntime()
    runtime.engine.gateway = GATEWAY
    runtime.engine_up = False
    server = api_server(runtime, Doorman())
    with pytest.raises(EngineUnavailable):
        await server.url()
    runtime.engine_up = True
    assert GATEWAY in await server.url()
    runtime.engine_up = False
    assert GATEWAY in await server.url()


async def test_an_engine_that_comes_back_with_another_network_is_asked_again(lab: Lab, diary: Diary) -> None:
    lab.engine.gateway = GATEWAY
    await lab.reopen()
    await lab.until(lambda: lab.asked_to_open == [GATEWAY])
    lab.engine.up = False
    await lab.watch.look()
    lab.engine.gateway = "172.31.0.1"
    lab.engine.up = True
    await lab.until(lambda: lab.asked_to_open == [GATEWAY, "172.31.0.1"])


async def test_no_container_starts_without_the_url(lab: Lab, diary: Diary) -> None:
    lab.engine.gateway = GATEWAY
    await lab.reopen()
    opened = asyncio.Event()
    real = lab._open_door

    async def slow(gateway: str) -> bool:
        await opened.wait()
        return await real(gateway)

    lab.api_server._open_door = slow
    lab.api_server._found = None
    sent = await lab.send(await lab.create(diary), "1")
    await lab.until(lambda: bool(lab.pools.all_workers()) and lab.pools.all_workers()[0].executing is not None)
    assert not diary.messages
    opened.set()
    await lab.until(lambda: diary.messages == ["1"])
    await lab.ended(sent)


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.0.0.9", "http://[::1]:8000/", "https://ip6-localhost"]
)
def test_these_lead_to_whoever_uses_them(url: str) -> None:
    assert is_loopback(url)


@pytest.mark.parametrize("url", ["http://172.17.0.1:8000", "http://lab.example", "http://0.0.0.0:8000", "http://"])
def test_these_do_not(url: str) -> None:
    assert not is_loopback(url)
