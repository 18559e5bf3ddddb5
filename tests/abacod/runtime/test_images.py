"""Pulling, against a small engine that speaks the real protocol on a socket and has a registry it can do without."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from abacod.clock import SystemClock
from abacod.config import EngineEnvironment, EngineSettings, RegistryLogin
from abacod.errors import EngineUnavailable, ImageMissing
from abacod.runtime.engine import Engine
from abacod.runtime.images import Images


class PullEngine:
    """As much of an engine as pulls need."""

    def __init__(self) -> None:
        self.here: set[str] = set()
        self.registry: set[str] = set()
        self.unreachable: str | None = None
        self.pulls: list[str] = []
        self.logins: list[dict[str, Any]] = []
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self.answer.set()

    async def version(self, _request: web.Request) -> web.Response:
        return web.json_response({"ApiVersion": "1.41"})

    async def inspect(self, request: web.Request) -> web.Response:
        if request.match_info["name"] in self.here:
            return web.json_response({"Id": "sha256:0"})
        return web.json_response({"message": "No such image"}, status=404)

    async def create(self, request: web.Request) -> web.StreamResponse:
        image = request.query["fromImage"]
        self.pulls.append(image)
        if header := request.headers.get("X-Registry-Auth"):
            self.logins.append(json.loads(base64.urlsafe_b64decode(header)))
        self.asked.set()
        await self.answer.wait()
        if self.unreachable is not None:
            # As the engine: without a character set.
            body = json.dumps({"message": self.unreachable}).encode()
            return web.Response(body=body, content_type="application/json", status=500)
        if image not in self.registry:
            line = {"error": "x", "errorDetail": {"message": f"manifest for {image} not found: manifest unknown"}}
            return web.Response(text=json.dumps(line) + "\n")
        self.here.add(image)
        return web.Response(text='{"status":"Pull complete"}\n')


@pytest.fixture
async def pull_engine(tmp_path: Path) -> AsyncIterator[PullEngine]:
    pull_engine = PullEngine()
    app = web.Application()
    app.add_routes(
        [
            web.get("/version", pull_engine.version),
            web.get("/v1.41/images/{name:.+}/json", pull_engine.inspect),
            web.post("/v1.41/images/create", pull_engine.create),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "engine.sock")).start()
    yield pull_engine
    await runner.cleanup()


@pytest.fixture
async def make(pull_engine: PullEngine, tmp_path: Path) -> AsyncIterator[Callable[..., Images]]:
    engines = []

    def make(**settings: Any) -> Images:
        engine = Engine(
            EngineSettings(url=f"unix://{tmp_path}/engine.sock", **settings), EngineEnvironment(), SystemClock()
        )
        engines.append(engine)
        return Images(engine)

    yield make
    for engine in engines:
        await engine.close()


async def test_many_askers_are_one_pull(pull_engine: PullEngine, make: Callable[..., Images]) -> None:
    pull_engine.registry = {"python:latest"}
    pull_engine.answer.clear()
    images = make()
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(images.prepare("python", fresh=True), name=f"prepare {number}")
        await pull_engine.asked.wait()
        await asyncio.sleep(0)
        pull_engine.answer.set()

    assert pull_engine.pulls == ["python:latest"]
    assert images._pulls == {}


async def test_many_askers_share_a_failure(pull_engine: PullEngine, make: Callable[..., Images]) -> None:
    pull_engine.answer.clear()
    images = make()
    tasks = [asyncio.create_task(images.prepare("python", fresh=True), name=f"prepare {n}") for n in range(3)]
    await pull_engine.asked.wait()
    pull_engine.answer.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(result) for result in results] == [ImageMissing] * 3
    assert len(pull_engine.pulls) == 1


async def test_when_the_one_who_pulls_is_cancelled_another_one_does(
    pull_engine: PullEngine, make: Callable[..., Images]
) -> None:
    pull_engine.registry = {"python:latest"}
    pull_engine.answer.clear()
    images = make()
    first = asyncio.create_task(images.prepare("python", fresh=True), name="first")
    await pull_engine.asked.wait()
    second = asyncio.create_task(images.prepare("python", fresh=True), name="second")
    await asyncio.sleep(0)
    first.cancel()
    pull_engine.answer.set()

    await second

    assert first.cancelled()
    assert len(pull_engine.pulls) == 2
    assert images._pulls == {}


@pytest.mark.parametrize(
    ("policy", "fresh", "pulled"),
    [
        ("on_update", True, True),
        ("on_update", False, False),
        ("always", False, True),
        ("missing", True, False),
    ],
)
async def test_the_policy_decides_about_an_image_that_is_here(
    pull_engine: PullEngine, make: Callable[..., Images], policy: str, fresh: bool, pulled: bool
) -> None:
    pull_engine.here = pull_engine.registry = {"python:latest"}

    await make(pull_policy=policy).prepare("python", fresh=fresh)

    assert bool(pull_engine.pulls) == pulled


@pytest.mark.parametrize("unreachable", [None, "dial tcp: lookup registry: no such host"])
async def test_an_image_that_is_here_will_do(
    pull_engine: PullEngine, make: Callable[..., Images], unreachable: str | None
) -> None:
    pull_engine.here, pull_engine.unreachable = {"python:latest"}, unreachable

    await make(pull_policy="always").prepare("python", fresh=True)

    assert pull_engine.pulls == ["python:latest"]


async def test_an_image_that_is_nowhere(pull_engine: PullEngine, make: Callable[..., Images]) -> None:
    with pytest.raises(ImageMissing) as raised:
        await make().prepare("someone/none:1", fresh=False)

    assert raised.value.message == (
        "Image someone/none:1 was not found on the public registry. It is not on this machine either."
    )


async def test_a_registry_that_cannot_be_reached(pull_engine: PullEngine, make: Callable[..., Images]) -> None:
    pull_engine.unreachable = "dial tcp: lookup registry: no such host"

    with pytest.raises(ImageMissing) as raised:
        await make().prepare("python", fresh=False)

    assert raised.value.message.startswith("There was an error pulling the image: dial tcp")
    assert raised.value.message.endswith("It is not on this machine either.")


async def test_a_login_is_chosen_by_the_registry(pull_engine: PullEngine, make: Callable[..., Images]) -> None:
    pull_engine.registry = pull_engine.here = {"docker.io/library/python:latest", "python:latest"}
    logins = [
        RegistryLogin(registry="registry.example.org", username="other", password=SecretStr("x")),
        RegistryLogin(registry="docker.io", username="me", password=SecretStr("secret")),
    ]

    await make(registry_logins=logins).prepare("python", fresh=True)

    assert pull_engine.pulls == ["docker.io/library/python:latest"]
    assert pull_engine.logins == [{"username": "me", "password": "secret", "serveraddress": "docker.io"}]


async def test_an_engine_that_is_away_is_not_a_missing_image(make: Callable[..., Images], tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable):
        await Images(
            Engine(EngineSettings(url=f"unix://{tmp_path}/none.sock"), EngineEnvironment(), SystemClock())
        ).prepare("python", fresh=True)


async def test_what_is_no_reference_is_not_asked_for(pull_engine: PullEngine, make: Callable[..., Images]) -> None:
    with pytest.raises(ImageMissing, match="not an image reference"):
        await make().prepare("../containers/x", fresh=True)

    assert pull_engine.pulls == []
