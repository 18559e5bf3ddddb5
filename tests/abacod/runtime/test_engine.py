from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from abacod.config import EngineEnvironment, EngineSettings
from abacod.errors import EngineUnavailable
from abacod.runtime.engine import Engine, EngineRefused
from tests.fakes import FakeClock


def places(url: str | None = None, docker_host: str | None = None, runtime_dir: str | None = None) -> tuple[str, ...]:
    return Engine(EngineSettings(url=url), EngineEnvironment(docker_host, runtime_dir), FakeClock())._places


def test_what_is_set_counts_alone() -> None:
    assert places("tcp://a:1", "tcp://b:2", "/run/user/1") == ("tcp://a:1",)
    assert places(None, "tcp://b:2", "/run/user/1") == ("tcp://b:2",)


def test_otherwise_the_sockets_of_the_known_engines() -> None:
    assert places(runtime_dir="/run/user/1") == (
        "unix:///var/run/docker.sock",
        "unix:///run/user/1/docker.sock",
        "unix:///run/user/1/podman/podman.sock",
        "unix:///run/podman/podman.sock",
    )


async def test_an_engine_that_is_not_there_is_found_out_by_the_first_call(tmp_path: Path) -> None:
    engine = Engine(EngineSettings(url=f"unix://{tmp_path}/none.sock"), EngineEnvironment(), FakeClock())

    with pytest.raises(EngineUnavailable, match=r"none\.sock"):
        await engine.ping()
    await engine.close()


async def test_a_socket_nobody_listens_at(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    server = await asyncio.start_unix_server(lambda _reader, writer: writer.close(), path)
    server.close()
    await server.wait_closed()
    engine = Engine(EngineSettings(url=f"unix://{path}"), EngineEnvironment(), FakeClock())

    with pytest.raises(EngineUnavailable, match="does not answer"):
        await engine.ping()
    await engine.close()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", EngineUnavailable),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{", EngineUnavailable),
        (b"HTTP/1.1 503 Gone\r\nContent-Length: 4\r\n\r\nstop", EngineUnavailable),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 26\r\n\r\ngrpc: connection is closin", EngineUnavailable),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nfull", EngineRefused),
        (b"HTTP/1.1 404 None\r\nContent-Length: 4\r\n\r\nnone", EngineRefused),
    ],
)
async def test_what_an_answer_means(tmp_path: Path, answer: bytes, kind: type[Exception]) -> None:
    path = tmp_path / "engine.sock"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    engine = Engine(EngineSettings(url=f"unix://{path}"), EngineEnvironment(), FakeClock())
    try:
        with pytest.raises(kind):
            await engine.ping()
    finally:
        await engine.close()
        server.close()
        await server.wait_closed()


async def test_an_engine_that_is_away_is_tried_again_with_growing_pauses(tmp_path: Path) -> None:
    clock = FakeClock()
    settings = EngineSettings(url=f"unix://{tmp_path}/none.sock", retry_max_seconds=0.3)
    engine = Engine(settings, EngineEnvironment(), clock)
    waiting = asyncio.create_task(engine.back(), name="back")
    pauses = []
    for _ in range(4):
        await clock.until_asleep()
        pauses.append(round(clock._sleepers[0][0] - clock.monotonic(), 3))
        await clock.advance(pauses[-1])

    assert pauses == [0.1, 0.2, 0.3, 0.3]
    assert not waiting.done()
    waiting.cancel()
