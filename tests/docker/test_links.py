"""Images with links: containers that find in their image what would be put into each of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from abacod.ids import new_worker_id
from tests.docker.conftest import Docker
from tests.docker.joining import Joining, settled
from tests.docker_images import engine
from tests.fakes import RecordingSink

pytestmark = [pytest.mark.docker, pytest.mark.timeout(60)]


@pytest.fixture
async def bench(docker: Docker, tmp_path: Path) -> AsyncIterator[Joining]:
    async with AsyncExitStack() as stack:
        yield Joining(docker, tmp_path, stack, docker.spec("", worker_id=new_worker_id()))


async def test_after_two_messages_the_link_is_in_the_image(bench: Joining) -> None:
    runtime = bench.make(network="none")
    script = "ls -l /_abaco_results.sock | sed 's/.*-> //'; env | grep -v -e HOSTNAME -e SCRIPT"
    outputs = []
    for _ in range(4):
        outputs.append((await bench.run(runtime, script))[1])
        await settled(runtime)

    assert len(set(outputs)) == 1
    assert outputs[0].startswith("/_abaco_run/results.sock\n")
    assert len(await bench.images()) == 1


async def test_results_come_through_the_link_of_an_image(bench: Joining) -> None:
    runtime = bench.make(network="none")
    for _ in range(2):
        await bench.run(runtime, "exit 0")
        await settled(runtime)
    spec = bench.new("until [ -e /go ]; do sleep 0.05; done")
    sink = RecordingSink()
    run = asyncio.create_task(runtime.run(spec, sink))
    await sink.started.wait()
    shown = bench.folder / "runs" / spec.execution_id / "results.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"result", str(shown))
    await runtime.halt(spec.execution_id)
    await run

    assert sink.received == [b"result"]


async def test_an_image_with_links_that_somebody_removed_is_done_without(bench: Joining) -> None:
    runtime = bench.make(network="none")
    for _ in range(2):
        await bench.run(runtime, "exit 0")
        await settled(runtime)
    here = engine()
    with here.client() as client:
        for each in await bench.images():
            await client.images.delete(each, force=True, noprune=True)
    await here.close()

    outcome, output = await bench.run(runtime, "ls -l /_abaco_results.sock")

    assert outcome.exit_code == 0
    assert output.endswith("-> /_abaco_run/results.sock\n")


async def test_images_with_links_of_an_earlier_daemon_are_removed(bench: Joining) -> None:
    runtime = bench.make(network="none")
    for _ in range(2):
        await bench.run(runtime, "exit 0")
        await settled(runtime)
    assert await bench.images()

    await bench.make(network="none").sweep()

    assert await bench.images() == []
