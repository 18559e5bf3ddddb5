"""Following logs over HTTP (spec/actors-api 4.4)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from abacod.config import LogSettings
from abacod.services.progress import TRUNCATED
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import Client, Serving, serving
from tests.fakes import FakeContainer

EVENTS = {"Accept": "text/event-stream"}


class Speaker:
    """A program that writes what the test tells it to, until it is told nothing more."""

    def __init__(self) -> None:
        self._words: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def __call__(self, container: FakeContainer) -> int:
        while (word := await self._words.get()) is not None:
            container.write(word)
        return 7

    def say(self, *words: bytes | None) -> None:
        """Let it write, or with None end."""
        for word in words:
            self._words.put_nowait(word)


@pytest.fixture
def speaker() -> Speaker:
    return Speaker()


async def begun(served: Serving, client: Client, speaker: Speaker) -> str:
    """The path of the log of an execution of that program."""
    served.engine.programs["image"] = speaker
    actor = await client.register()
    sent = await client.post(f"/v3/actors/{actor['id']}/messages", json={"message": "go"}, expect=200)
    return f"/v3/actors/{actor['id']}/executions/{sent.result['execution_id']}/logs"


def events(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The events in a body."""
    lines = [event.split("\n") for event in body.decode().removesuffix("\n\n").split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in lines]


async def test_the_log_comes_as_it_is_written_and_ends_with_the_execution(
    served: Serving, alice: Client, speaker: Speaker
) -> None:
    path = await begun(served, alice, speaker)
    async with alice.open("GET", f"{path}?follow=true") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert response.headers["Transfer-Encoding"] == "chunked"
        for word in (b"one\n", "zwö\n".encode(), b"three\n"):
            speaker.say(word)
            assert await response.content.readexactly(len(word)) == word
        speaker.say(None)
        assert await response.content.read() == b""

    assert (await alice.get(path)).result["logs"] == "one\nzwö\nthree\n"


async def test_an_execution_that_waits_can_be_followed(served: Serving, alice: Client, speaker: Speaker) -> None:
    gate = served.engine.gates.setdefault("image", asyncio.Event())
    path = await begun(served, alice, speaker)
    async with alice.open("GET", f"{path}?follow=True") as response:
        speaker.say(b"at last", None)
        gate.set()
        assert await response.content.read() == b"at last"


async def test_one_that_has_ended_gives_all_of_it(served: Serving, alice: Client, speaker: Speaker) -> None:
    path = await begun(served, alice, speaker)
    speaker.say(b"a" * 100_000, b"b", None)
    await served.until_status(alice, path.removesuffix("/logs"), "COMPLETE")

    answer = await alice.fetch("GET", f"{path}?follow=true")

    assert answer.body == b"a" * 100_000 + b"b"


async def test_events_end_with_the_status(served: Serving, alice: Client, speaker: Speaker) -> None:
    path = await begun(served, alice, speaker)
    speaker.say(b"line\nline\r", None)
    await served.until_status(alice, path.removesuffix("/logs"), "COMPLETE")

    answer = await alice.fetch("GET", f"{path}?follow=true", headers=EVENTS)
    camel = await alice.fetch("GET", f"{path.replace('/v3/actors', '/actors/v2')}?follow=true", headers=EVENTS)

    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert events(answer.body) == [
        ("log", {"text": "line\nline\r"}),
        ("end", {"status": "COMPLETE", "exit_code": 7}),
    ]
    assert events(camel.body)[-1] == ("end", {"status": "COMPLETE", "exitCode": 7})


async def test_a_cancelled_execution_ends_its_followers(served: Serving, alice: Client, speaker: Speaker) -> None:
    path = await begun(served, alice, speaker)
    actor = path.partition("/executions")[0]
    await served.until_status(alice, path.removesuffix("/logs"), "RUNNING")
    served.engine.up = False
    sent = await alice.post(f"{actor}/messages", json={"message": "waits"}, expect=200)
    execution = f"{actor}/executions/{sent.result['execution_id']}"
    async with alice.open("GET", f"{execution}/logs?follow=true", headers=EVENTS) as response:
        await alice.delete(execution, expect=200)
        assert events(await response.content.read()) == [("end", {"status": "ERROR", "exit_code": None})]


async def test_characters_are_whole_and_what_is_none_is_replaced(
    served: Serving, alice: Client, speaker: Speaker
) -> None:
    path = await begun(served, alice, speaker)
    octopus = "🐙".encode()
    async with alice.open("GET", f"{path}?follow=true") as response:
        speaker.say(b"a" + octopus[:2])
        assert await response.content.readexactly(1) == b"a"
        speaker.say(octopus[2:], b"\xff", octopus[:3], None)
        assert (await response.content.read()).decode() == "🐙\ufffd\ufffd"


async def test_a_log_that_is_too_long_is_cut_as_the_stored_one(
    tmp_path: Path, signing_key: SigningKey, speaker: Speaker
) -> None:
    async with serving(tmp_path, signing_key, logs=LogSettings(max_bytes=10)) as served:
        alice = await served.user("alice")
        path = await begun(served, alice, speaker)
        async with alice.open("GET", f"{path}?follow=true") as response:
            speaker.say("12345678🐙 and more".encode(), b"and more", None)
            followed = (await response.content.read()).decode()

        assert followed == (await alice.get(path)).result["logs"] == f"12345678{TRUNCATED}"


async def test_many_follow_and_one_that_does_not_read_holds_up_nobody(
    served: Serving, alice: Client, speaker: Speaker
) -> None:
    path = await begun(served, alice, speaker)
    async with alice.open("GET", f"{path}?follow=true"):
        others = [asyncio.create_task(alice.fetch("GET", f"{path}?follow=true"), name=f"{n}") for n in range(20)]
        speaker.say(*[b"x" * 10_000] * 90, None)
        assert {len((await other).body) for other in others} == {900_000}
        await served.until_status(alice, path.removesuffix("/logs"), "COMPLETE")


async def test_a_follower_that_hangs_up_leaves_nothing(served: Serving, alice: Client, speaker: Speaker) -> None:
    path = await begun(served, alice, speaker)
    async with alice.open("GET", f"{path}?follow=true") as response:
        speaker.say(b"x")
        await response.content.readexactly(1)
        assert served.daemon.core.news.watched == 1

    async def gone() -> bool:
        return served.daemon.core.news.watched == 0

    await served.until(gone)
    speaker.say(None)


@pytest.mark.parametrize("headers", [{}, EVENTS])
async def test_a_daemon_that_stops_cuts_the_answer_off(
    tmp_path: Path, signing_key: SigningKey, speaker: Speaker, headers: dict[str, str]
) -> None:
    async with serving(tmp_path, signing_key) as served:
        alice = await served.user("alice")
        path = await begun(served, alice, speaker)
        async with alice.open("GET", f"{path}?follow=true", headers=headers) as response:
            served.daemon.core.news.close()
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.read()


@pytest.mark.parametrize("value", ["false", "0"])
async def test_not_following_is_the_usual_answer(served: Serving, alice: Client, speaker: Speaker, value: str) -> None:
    path = await begun(served, alice, speaker)

    assert (await alice.get(f"{path}?follow={value}", expect=200)).result["logs"] == ""


async def test_bad_input(served: Serving, alice: Client, bob: Client, speaker: Speaker) -> None:
    path = await begun(served, alice, speaker)

    assert "follow" in (await alice.get(f"{path}?follow=maybe", expect=400)).message
    await alice.get(path.replace("/logs", "x/logs?follow=true"), expect=404)
    await bob.get(f"{path}?follow=true", expect=403)
    assert (await alice.fetch("HEAD", f"{path}?follow=true")).status == 200
