"""A served daemon and its users, for all tests of the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import LAB, Client, Serving, serving


@pytest.fixture
async def served(tmp_path: Path, signing_key: SigningKey) -> AsyncIterator[Serving]:
    """A daemon with the settings that are default, but for small limits."""
    async with serving(tmp_path, signing_key) as running:
        await running.recovered()
        yield running


@pytest.fixture
async def alice(served: Serving) -> Client:
    """A user without roles, whose containers run as uid 1001."""
    return await served.user("alice", uid=1001, gid=1002)


@pytest.fixture
async def bob(served: Serving) -> Client:
    """Another user without roles."""
    return await served.user("bob")


@pytest.fixture
async def root(served: Serving) -> Client:
    """An administrator."""
    return await served.user("root", "abaco_admin")


@pytest.fixture
async def pam(served: Serving) -> Client:
    """A user who may set the properties that need trust."""
    return await served.user("pam", "abaco_privileged")


@pytest.fixture
async def zoe(served: Serving) -> Client:
    """An administrator of another tenant."""
    return await served.user("zoe", "abaco_admin", tenant=LAB)
