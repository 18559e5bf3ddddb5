"""The event loop is never blocked for long, whatever is usual is asked.

A step of the loop is charged with the time that its thread computed, so that other processes on the machine do not count;
what it waited for is seen in the time that passed, of which it may take ten times as much.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from abacod.app import spare_the_collector
from tests.abacod.api.serving import MAX_BINARY, Client, Serving
from tests.fakes import FakeContainer

# In seconds.
_COMPUTED = 0.05
_PASSED = 0.5


@dataclass
class Watchdog:
    """The steps of the loop that were too long, with what they did."""

    too_long: list[str] = field(default_factory=list)

    def look(self, step: object, computed: float, passed: float) -> None:
        if computed > _COMPUTED or passed > _PASSED:
            self.too_long.append(f"{computed * 1000:.0f} ms computed, {passed * 1000:.0f} ms passed: {step}")


@pytest.fixture
def watchdog(served: Serving, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watchdog]:
    """Watches from when the daemon runs."""
    spare_the_collector()
    watching = Watchdog()
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        computed, passed = time.thread_time(), time.monotonic()
        run(handle)
        watching.look(handle, time.thread_time() - computed, time.monotonic() - passed)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", timed)
        yield watching
    gc.unfreeze()


async def test_the_watchdog_sees_a_step_that_is_too_long(watchdog: Watchdog) -> None:
    await asyncio.sleep(0)
    until = time.thread_time() + 2 * _COMPUTED
    while time.thread_time() < until:
        pass
    await asyncio.sleep(0)
    assert len(watchdog.too_long) == 1


async def answered(client: Client, method: str, path: str, **options: Any) -> None:
    """Send a request that must succeed; the answer is not looked at, which would take the loop's time."""
    async with client.open(method, path, **options) as response:
        await response.read()
        assert response.status == 200


@pytest.mark.timeout(60)
async def test_usual_loads_do_not_block_it(served: Serving, watchdog: Watchdog) -> None:
    alice = await served.user("alice")

    async def write(container: FakeContainer) -> int:
        container.write(b"a line of a log\n" * 50_000)
        return 0

    served.engine.programs["image"] = write
    async with alice.open("POST", "/v3/actors", json={"image": "image"}) as made:
        actor = (await made.json())["result"]["id"]
    path = f"/v3/actors/{actor}"
    async with alice.open("POST", f"{path}/messages", json={"text": "x"}) as sent:
        first = (await sent.json())["result"]["execution_id"]
    text = {"text": "x" * 1000}
    await asyncio.gather(*(answered(alice, "POST", f"{path}/messages", json=text) for _ in range(200)))
    large = json.dumps({"numbers": list(range(20_000))}).encode()
    as_bytes = {"Content-Type": "application/octet-stream"}
    await answered(alice, "POST", f"{path}/messages", json={"message": {"numbers": list(range(15_000))}})
    await answered(alice, "POST", f"{path}/messages", data=large[:MAX_BINARY], headers=as_bytes)
    await answered(alice, "GET", f"{path}/executions/{first}/logs?follow=true")  # to its end
    asked = (
        f"{path}/executions/{first}/logs",
        f"{path}/executions/{first}/logs?follow=true",
        f"{path}/executions",
        f"{path}/messages",
        "/v3/actors/search/executions?limit=100",
        "/v3/actors/search/logs?search=line&limit=5",
        "/v3/actors",
        "/metrics",
    )
    await asyncio.gather(*(answered(alice, "GET", address) for address in asked for _ in range(5)))
    await answered(alice, "DELETE", f"{path}/messages")
    assert not watchdog.too_long
