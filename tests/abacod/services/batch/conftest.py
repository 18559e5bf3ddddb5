"""What the tests of the engines for batch jobs share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from abacod.config import StoreSettings
from abacod.store.database import Database
from tests.abacod.services.batch.agave_service import AgaveService
from tests.abacod.services.batch.tapis_service import TapisService
from tests.fakes import FakeClock


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An open, empty database."""
    opened = Database(tmp_path / "abacod.db", StoreSettings(synchronous="OFF"))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
async def agave() -> AsyncIterator[AgaveService]:
    """An Agave service."""
    async with AgaveService.opened() as service:
        yield service


@pytest.fixture
async def tapis() -> AsyncIterator[TapisService]:
    """A Tapis service."""
    async with TapisService.opened() as service:
        yield service
