"""Containers that wait for the next message in the network that their worker holds."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from abacod.errors import EngineUnavailable
from abacod.ids import new_worker_id
from abacod.models.actor import Mount
from abacod.runtime.docker import DockerRuntime
from abacod.runtime.engine import EngineRefused
from abacod.runtime.run import Keep, RunSpec
from abacod.runtime.warm.held import Held
from abacod.runtime.warm.making import HELD_LABEL
from abacod.runtime.warm.runtime import WarmRuntime
from tests.docker.conftest import Docker
from tests.docker.joining import Joining, kill, settled
from tests.docker_images import engine
from tests.fakes import RecordingSink

pytestmark = [pytest.mark.docker, pytest.mark.timeout(60)]

WHERE = "echo $HOSTNAME $(ip -4 -o addr show eth0 | awk '{print $4}')"
"""Tells the network."""


@dataclass
class Bench:
    """A worker that holds a network, and whose next message finds its container started."""

    joining: Joining
    containers: DockerRuntime
    runtime: WarmRuntime

    @property
    def spec(self) -> RunSpec:
        return self.joining.spec

    async def run(self, script: str, **more: Any) -> str:
        """Run a shell script of a queue, and wait until the next container waits; its output."""
        _, output = await self.joining.run(self.runtime, script, **{"keep": Keep.NEXT, **more})
        await settled(self.containers, self.runtime)
        return output

    @property
    def waiting(self) -> Held:
        """The container that waits."""
        return self.runtime._pool._waiting[self.spec.worker_id]

    async def held(self) -> list[Any]:
        """What the engine shows of the containers that wait."""
        here = engine()
        found = await self.joining.containers(HELD_LABEL)
        with here.client() as client:
            shown = [await client.containers.container(each.id).show() for each in found]
        await here.close()
        return shown


@pytest.fixture
async def bench(docker: Docker, tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        joining = Joining(docker, tmp_path, stack, docker.spec("", worker_id=new_worker_id()))
        containers = joining.make()
        yield Bench(joining, containers, joining.warm(containers))


async def _waits(bench: Bench, **more: Any) -> str:
    """Have the worker's network made, and a container that has joined it; what holds it is called."""
    name = await bench.joining.with_network(bench.containers)
    await bench.run("exit 0", **more)
    assert bench.waiting.network is bench.containers.networks.of(bench.spec)
    return name


# --- joining


@pytest.mark.parametrize("keep", [Keep.NEXT, Keep.ALWAYS])
async def test_the_next_message_has_the_network_of_its_worker_and_a_container_of_its_own(
    bench: Bench, keep: Keep
) -> None:
    await _waits(bench, keep=keep)
    outputs, ids = [], []
    for _ in range(2):
        ids.append(bench.waiting.container.name)
        outputs.append(await bench.run(f"{WHERE}; [ -e /left ] || touch /left && echo fresh", keep=keep))

    _, cold = await bench.joining.run(bench.containers, f"{WHERE}; echo fresh")

    assert outputs == [cold, cold]
    assert len({*ids, bench.waiting.container.name}) == 3


async def test_no_container_of_a_queue_is_made_before_there_is_a_network_for_it(bench: Bench) -> None:
    making = asyncio.Event()

    async def never(spec: RunSpec) -> None:
        making.set()
        await asyncio.Event().wait()

    bench.containers.networks._maker.made = never  # type: ignore[assignment, method-assign]
    await bench.joining.run(bench.runtime, "exit 0", keep=Keep.NEXT)

    await making.wait()
    assert bench.runtime._pool.count == 0


async def test_half_of_the_budget_is_left_for_networks(bench: Bench) -> None:
    await bench.joining.with_network(bench.containers)
    counts = []
    for budget in (16, 32):
        bench.runtime = bench.joining.warm(bench.containers, ready_memory_mb=budget)
        await bench.run("exit 0")
        counts.append(bench.runtime._pool.count)

    assert counts == [0, 1]


async def test_a_queue_pushes_out_no_container_that_waits(bench: Bench) -> None:
    bench.runtime = bench.joining.warm(bench.containers, ready_memory_mb=16)
    others = [new_worker_id() for _ in range(2)]
    for worker_id in others:
        await bench.run("exit 0", keep=Keep.ALWAYS, worker_id=worker_id)

    await bench.joining.with_network(bench.containers)
    await bench.run("exit 0")

    assert list(bench.runtime._pool._waiting) == others


async def test_messages_that_come_one_by_one_have_a_network_held_too(bench: Bench) -> None:
    for _ in range(3):
        await bench.run("exit 0", keep=Keep.ALWAYS)

    assert list((await bench.joining.holders()).values()) == ["running"]


async def test_one_that_is_reused_has_a_network_of_its_own(bench: Bench) -> None:
    await bench.joining.with_network(bench.containers)

    await bench.run("exit 0", keep=Keep.REUSED)

    assert bench.waiting.network is None
    assert [each["HostConfig"]["NetworkMode"] for each in await bench.held()] == ["bridge"]


async def test_what_one_message_writes_to_the_files_of_the_network_the_next_one_does_not_see(bench: Bench) -> None:
    await _waits(bench)
    files = "/etc/hosts /etc/resolv.conf /etc/hostname"
    before = await bench.run(f"cat {files}")

    written = await bench.run(f"for f in {files}; do echo 10.9.8.7 evil >> $f || exit 1; done; cat {files}")
    after = await bench.run(f"cat {files}")

    assert "localhost" in before
    assert written.count("evil") == 3
    assert after == before


async def test_a_file_of_the_actor_goes_before_that_of_the_network(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 mine\n")
    mounts = (Mount(str(tmp_path / "hosts"), "/etc/hosts", "ro"),)
    await _waits(bench, mounts=mounts)

    assert await bench.run("cat /etc/hosts", mounts=mounts) == "127.0.0.1 mine\n"


async def test_traffic_belongs_to_the_execution(bench: Bench) -> None:
    await _waits(bench)
    ping = f"ping -c 2 -s 10000 {await bench.containers.gateway()}; exit 0"

    uses = [(await bench.joining.run(bench.runtime, script, keep=Keep.NEXT))[0].io for script in ("exit 0", ping)]
    await settled(bench.containers, bench.runtime)
    # What waits now was there while the others sent.
    uses.append((await bench.joining.run(bench.runtime, "exit 0", keep=Keep.NEXT))[0].io)

    assert 20_000 <= uses[1] < 100_000
    assert uses[0] < 5_000
    assert uses[2] < 5_000


async def test_the_counts_that_a_container_sees_are_those_of_the_network_that_it_has_joined(bench: Bench) -> None:
    await _waits(bench)
    await bench.run(f"ping -c 2 -s 10000 {await bench.containers.gateway()}; exit 0")
    before = await bench.waiting.network.bytes() if bench.waiting.network else 0

    seen = await bench.run("cat /sys/class/net/eth0/statistics/[rt]x_bytes; ls /sys/class/net")
    received, sent, *names = seen.split()

    assert "eth0" in names
    assert before <= int(received) + int(sent) < before + 5_000


# --- links


async def test_after_two_containers_the_links_are_in_the_image(bench: Bench, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(os.urandom(1000))
    message.chmod(0o444)
    script = "ls -l /_abaco_results.sock /_abaco_binary_data | sed 's/.*-> //'; cat /_abaco_binary_data | wc -c"
    # The first two run cold, for there is no network yet.
    outputs = [await bench.run(script, binary_message=message) for _ in range(5)][2:]

    assert set(outputs) == {outputs[-1]}
    assert "/_abaco_run/results.sock\n" in outputs[-1]
    assert outputs[-1].endswith("1000\n")
    assert {each["Image"] for each in await bench.held()} < set(await bench.joining.images())


async def test_results_come_through_the_link_of_an_image(bench: Bench) -> None:
    for _ in range(4):
        await bench.run("exit 0")
    shown = bench.waiting.folder.shown
    spec = bench.joining.new("echo up; sleep 100", keep=Keep.NEXT)
    sink = RecordingSink()
    run = asyncio.create_task(bench.runtime.run(spec, sink))
    await sink.until(b"up")
    folder = os.open(shown, os.O_PATH)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        # The address of a socket is short.
        sender.sendto(b"result", f"/proc/self/fd/{folder}/results.sock")
    os.close(folder)
    await bench.runtime.halt(spec.execution_id)
    await run

    assert sink.received == [b"result"]


async def test_an_image_with_links_that_somebody_removed_is_done_without(bench: Bench) -> None:
    for _ in range(4):
        await bench.run("exit 0")
    bench.runtime._pool.drop(bench.spec.worker_id)
    await settled(bench.containers, bench.runtime)
    here = engine()
    with here.client() as client:
        for each in await bench.joining.images():
            await client.images.delete(each, force=True, noprune=True)
    await here.close()

    await bench.run("exit 0")

    assert await bench.run("ls -l /_abaco_results.sock | sed 's/.*-> //'") == "/_abaco_run/results.sock\n"


# --- what goes wrong


async def test_one_whose_holder_is_gone_is_replaced_and_its_message_runs_once(bench: Bench) -> None:
    name = await _waits(bench)
    # Nobody tells: it is noticed by the message that comes.
    network = bench.waiting.network
    assert network is not None
    bench.containers.networks._watching[network].cancel()
    before = bench.waiting.container.name
    await kill(name)

    output = await bench.run(WHERE)

    # Its address, once.
    assert output.count("/") == 1
    assert before not in {each["Name"][1:] for each in await bench.held()}


async def test_one_whose_holder_is_gone_does_not_wait_on(bench: Bench) -> None:
    name = await _waits(bench)
    watching = list(bench.containers.networks._watching.values())
    await kill(name)
    await asyncio.wait(watching)

    await bench.runtime.sweep()
    await settled(bench.containers, bench.runtime)

    assert await bench.joining.containers() == []


async def test_without_a_process_to_look_at_the_engine_is_asked_for_the_holder(bench: Bench) -> None:
    name = await _waits(bench)
    network = bench.waiting.network
    assert network is not None
    network.close()
    assert await network.carries()

    await kill(name)

    assert not await network.carries()


async def test_a_holder_that_dies_while_the_container_is_made_costs_the_network_only(bench: Bench) -> None:
    name = await bench.joining.with_network(bench.containers)
    network = bench.containers.networks._held[bench.spec.worker_id]
    bench.containers.networks._watching[network].cancel()
    await kill(name)

    held = await bench.runtime._maker.made(bench.joining.new(""))
    bench.runtime._pool.remove(held)
    await settled(bench.containers, bench.runtime)

    assert held.network is None
    assert name not in await bench.joining.holders()


async def test_what_the_engine_refuses_with_the_network_it_is_not_asked_again_for_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.joining.with_network(bench.containers)
    start = bench.runtime._maker._start

    async def refuse(held: Held, *more: Any) -> None:
        if held.network is not None:
            raise EngineRefused(500, "not with that one")
        await start(held, *more)

    monkeypatch.setattr(bench.runtime._maker, "_start", refuse)
    await bench.run("exit 0")

    assert bench.waiting.network is None
    assert not bench.containers.networks.serve(bench.spec)
    assert await bench.joining.holders() == {}


# --- its end


async def test_a_holder_stays_as_long_as_a_container_waits_in_its_network(bench: Bench) -> None:
    name = await _waits(bench)
    bench.containers.networks.drop(bench.spec.worker_id)
    await bench.containers.sweep()
    await settled(bench.containers)
    assert list(await bench.joining.holders()) == [name]

    bench.runtime._pool.drop(bench.spec.worker_id)
    await settled(bench.containers, bench.runtime)

    assert await bench.joining.holders() == {}


async def test_both_go_with_their_worker(bench: Bench, tmp_path: Path) -> None:
    await _waits(bench)

    bench.runtime.worker_ended(bench.spec.worker_id)
    await settled(bench.containers, bench.runtime)

    assert await bench.joining.containers() == []
    assert [path.name for path in (tmp_path / "workers").iterdir()] == ["busybox"]


async def test_a_stopped_daemon_leaves_nothing(bench: Bench) -> None:
    await _waits(bench)
    for _ in range(3):
        await bench.run("exit 0")

    await bench.runtime.close()

    assert await bench.joining.containers() == []
    assert await bench.joining.images() == []


async def test_what_a_killed_daemon_left_is_removed_by_the_next(bench: Bench, tmp_path: Path) -> None:
    await _waits(bench)
    later = bench.joining.warm(bench.joining.make())

    assert await later.found() == []
    await later.sweep()

    assert await bench.joining.containers() == []
    assert [path.name for path in (tmp_path / "workers").iterdir()] == ["busybox"]


async def test_what_runs_keeps_its_network_when_the_daemon_goes_and_comes_back(bench: Bench) -> None:
    name = await _waits(bench)
    script = f"echo up; until [ -e /go ]; do sleep 0.05; done; ping -c 1 {await bench.containers.gateway()}"
    spec = replace(bench.joining.new(script), keep=Keep.NEXT)
    container = bench.waiting.container.name
    sink = RecordingSink()
    run = asyncio.create_task(bench.runtime.run(spec, sink))
    await sink.until(b"up")
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    bench.runtime.worker_ended(bench.spec.worker_id)
    with suppress(EngineUnavailable):
        await bench.runtime.close()

    containers = bench.joining.make()
    later = bench.joining.warm(containers)
    await later.sweep()
    assert list(await bench.joining.holders()) == [name]
    here = engine()
    with here.client() as client:
        started = await client.containers.container(container).exec(["touch", "/go"])
        await started.start(detach=True)
    await here.close()
    outcome = await later.resume(spec.execution_id, RecordingSink(), time_limit=None)
    await later.discard(spec.execution_id)
    await settled(containers, later)
    await later.sweep()

    assert outcome.exit_code == 0
    assert outcome.io > 0
    assert await bench.joining.containers() == []
