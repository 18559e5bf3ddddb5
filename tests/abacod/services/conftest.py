"""What the tests of the services share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness import Diary, Lab
from tests.hooks import HookServer


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """An open daemon."""
    async with Lab(tmp_path) as opened:
        await opened.until(lambda: opened.pools.may_start)
        yield opened


@pytest.fixture
def diary() -> Diary:
    """A program that notes what it gets."""
    return Diary()


@pytest.fixture
async def hooks() -> AsyncIterator[HookServer]:
    """A server whose addresses can be webhooks."""
    async with HookServer.opened() as server:
        yield server
