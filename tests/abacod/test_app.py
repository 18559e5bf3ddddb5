from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from abacod.config import ServerSettings
from abacod.services.pools import Pools
from tests.abacod.api.serving import serving
from tests.fakes import FakeContainer
from tests.harness import signing_key


async def test_a_container_may_call_the_daemon_that_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, stopping = asyncio.Event(), asyncio.Event()
    answers: list[int] = []
    drain = Pools.drain

    async def observed(self: Pools, timeout: float) -> None:
        stopping.set()
        await drain(self, timeout)

    monkeypatch.setattr(Pools, "drain", observed)
    async with serving(tmp_path, signing_key(), server=ServerSettings(port=0, drain_seconds=5)) as served:

        async def calls_back(_: FakeContainer) -> int:
            started.set()
            await stopping.wait()
            async with aiohttp.ClientSession() as session, session.get(f"{served.url}/healthz") as response:
                answers.append(response.status)
            return 0

        served.engine.programs["image"] = calls_back
        alice = await served.user("alice")
        actor = await alice.register()
        await alice.post(f"/v3/actors/{actor['id']}/messages", json={"message": "go"}, expect=200)
        await started.wait()
    assert answers == [200]
