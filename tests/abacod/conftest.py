"""What the tests of several floors share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from abacod.config import StoreSettings
from abacod.services.tokens import SigningKey
from abacod.store.database import Database
from tests import harness


@pytest.fixture(scope="session")
def signing_key() -> SigningKey:
    """The key of all daemons under test."""
    return harness.signing_key()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An open database with nothing in it."""
    opened = Database(tmp_path / "abacod.db", StoreSettings(synchronous="OFF"))
    await opened.open()
    yield opened
    await opened.close()
