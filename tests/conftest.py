"""What all tests share: images on a real engine, made once a session."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator

import pytest

from abacod.errors import EngineUnavailable
from tests.docker_images import build_images, engine, remove_images
from tests.python_image import built_python_image


@pytest.fixture(scope="session")
def docker_images() -> Iterator[str]:
    """The prefix of the test images on a real engine.

    Without an engine the test is skipped, but fails where one is due: in CI, or with REQUIRE_DOCKER=1.
    """
    _need_engine()
    prefix = f"abacod-test-{uuid.uuid4().hex[:12]}"
    try:
        asyncio.run(build_images(prefix))
        yield prefix
    finally:
        asyncio.run(remove_images(prefix))


@pytest.fixture(scope="session")
def python_image() -> str:
    """An image on a real engine that runs the Python text in its variable `PROGRAM`; tapipy is in it."""
    _need_engine()
    return asyncio.run(built_python_image())


def _need_engine() -> None:
    if problem := asyncio.run(_engine_problem()):
        if os.environ.get("CI") or os.environ.get("REQUIRE_DOCKER"):
            pytest.fail(problem)
        pytest.skip(problem)


async def _engine_problem() -> str | None:
    here = engine()
    try:
        await here.ping()
    except EngineUnavailable as error:
        return error.message
    finally:
        await here.close()
    return None
