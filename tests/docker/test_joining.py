"""Networks that workers hold: who joins them, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from abacod.errors import RunRejected
from abacod.ids import new_worker_id
from abacod.models.actor import Mount
from abacod.runtime.engine import EngineRefused
from abacod.runtime.run import Keep, RunSpec
from tests.docker.conftest import Docker
from tests.docker.joining import Joining, settled
from tests.docker_images import engine
from tests.fakes import RecordingSink

pytestmark = [pytest.mark.docker, pytest.mark.timeout(60)]

WHERE = "echo $HOSTNAME $(ip -4 -o addr show eth0 | awk '{print $4}')"
"""Tells the network."""


@pytest.fixture
async def bench(docker: Docker, tmp_path: Path) -> AsyncIterator[Joining]:
    async with AsyncExitStack() as stack:
        yield Joining(docker, tmp_path, stack, docker.spec("", worker_id=new_worker_id()))


# --- joining


async def test_messages_that_follow_close_upon_each_other_join_one_network(bench: Joining) -> None:
    runtime = bench.make()
    alone = []
    for _ in range(2):
        alone.append((await bench.run(runtime, WHERE))[1])
        await settled(runtime)

    joined = [(await bench.run(runtime, WHERE))[1] for _ in range(2)]

    assert len({*alone, *joined}) == 3
    assert joined[0] == joined[1]
    assert list((await bench.holders()).values()) == ["running"]


async def test_one_message_alone_makes_no_network(bench: Joining) -> None:
    runtime = bench.make()
    await bench.run(runtime, "exit 0")
    await settled(runtime)

    assert await bench.holders() == {}


async def test_each_worker_has_a_network_of_its_own(bench: Joining) -> None:
    runtime = bench.make()
    other = replace(bench.spec, worker_id=new_worker_id())
    await bench.with_network(runtime)
    await bench.with_network(runtime, other)

    _, here = await bench.run(runtime, WHERE)
    _, there = await bench.run(runtime, WHERE, worker_id=other.worker_id)

    assert here != there


async def test_a_holder_may_do_nothing_and_has_no_message(bench: Joining) -> None:
    runtime = bench.make()
    name = await bench.with_network(runtime)
    here = engine()
    with here.client() as client:
        shown = await client.containers.container(name).show()
    await here.close()

    assert shown["Config"]["User"] == "65534:65534"
    assert not any(each.startswith(("MSG", "SCRIPT", "_abaco")) for each in shown["Config"]["Env"] or ())
    assert shown["HostConfig"]["CapDrop"] == ["ALL"]
    assert shown["HostConfig"]["ReadonlyRootfs"] is True
    assert [mount["Destination"] for mount in shown["Mounts"]] == ["/_abaco_run/busybox"]


async def test_a_holder_is_no_execution(bench: Joining) -> None:
    runtime = bench.make()
    await bench.with_network(runtime)

    assert await runtime.found() == []


async def test_what_one_message_writes_to_the_files_of_the_network_the_next_one_does_not_see(bench: Joining) -> None:
    runtime = bench.make()
    await bench.with_network(runtime)
    files = "/etc/hosts /etc/resolv.conf /etc/hostname"
    _, before = await bench.run(runtime, f"cat {files}")

    outcome, _ = await bench.run(runtime, f"for f in {files}; do echo 10.9.8.7 evil >> $f || exit 1; done")
    _, after = await bench.run(runtime, f"cat {files}")

    assert outcome.exit_code == 0
    assert "localhost" in before
    assert after == before


async def test_a_file_of_the_actor_goes_before_that_of_the_network(bench: Joining, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 mine\n")
    runtime = bench.make()
    await bench.with_network(runtime)

    _, output = await bench.run(runtime, "cat /etc/hosts", mounts=(Mount(str(tmp_path / "hosts"), "/etc/hosts", "ro"),))

    assert output == "127.0.0.1 mine\n"


async def test_a_privileged_one_and_one_that_is_reused_have_networks_of_their_own(bench: Joining) -> None:
    runtime = bench.make()
    await bench.with_network(runtime)

    for spec in (bench.new("", privileged=True), bench.new("", keep=Keep.REUSED)):
        assert runtime.networks.of(spec) is None


@pytest.mark.parametrize("settings", [{"network": "none"}, {"network": "host"}, {"hold_networks": False}])
async def test_none_is_held_where_there_is_none_to_hold_or_none_is_wanted(
    bench: Joining, settings: dict[str, Any]
) -> None:
    runtime = bench.make(**settings)
    for _ in range(2):
        await bench.run(runtime, "exit 0", keep=Keep.NEXT)
    await settled(runtime)

    assert await bench.holders() == {}


# --- what is counted


async def test_traffic_belongs_to_the_execution(bench: Joining) -> None:
    runtime = bench.make()
    await bench.with_network(runtime)
    gateway = await runtime.gateway()

    sent, _ = await bench.run(runtime, f"ping -c 2 -s 10000 {gateway}; exit 0")
    quiet, _ = await bench.run(runtime, "exit 0")

    assert 20_000 <= sent.io < 100_000
    assert quiet.io < 5_000


async def test_traffic_is_asked_of_the_engine_where_the_kernel_does_not_tell(bench: Joining) -> None:
    runtime = bench.make()
    await bench.with_network(runtime)
    runtime.networks._held[bench.spec.worker_id].close()

    sent, _ = await bench.run(runtime, f"ping -c 2 -s 10000 {await runtime.gateway()}; exit 0")

    assert 20_000 <= sent.io < 100_000


# --- what goes wrong


async def test_a_message_runs_once_and_in_a_network_of_its_own_when_the_holder_is_gone(bench: Joining) -> None:
    runtime = bench.make()
    name = await bench.with_network(runtime)
    # Nobody tells: it is noticed by the start that fails.
    network = runtime.networks._held[bench.spec.worker_id]
    runtime.networks._watching[network].cancel()
    here = engine()
    with here.client() as client:
        await client.containers.container(name).kill()
    await here.close()
    spec = bench.new(WHERE)
    sink = RecordingSink()

    outcome = await runtime.run(spec, sink)

    assert outcome.exit_code == 0
    # Its address, once.
    assert sink.data.count(b"/") == 1
    await settled(runtime)
    assert name not in await bench.holders()


async def test_the_end_of_a_holder_is_noticed(bench: Joining) -> None:
    runtime = bench.make()
    name = await bench.with_network(runtime)
    watching = list(runtime.networks._watching.values())
    here = engine()
    with here.client() as client:
        await client.containers.container(name).kill()
    await here.close()
    await asyncio.wait(watching)

    assert runtime.networks.of(bench.spec) is None
    await settled(runtime)
    assert await bench.holders() == {}


async def test_a_run_that_the_engine_refuses_does_not_cost_the_network(bench: Joining) -> None:
    runtime = bench.make()
    name = await bench.with_network(runtime)

    with pytest.raises(RunRejected, match=r"no such file|not found"):
        await bench.run(runtime, "", entrypoint=("/no/such/program",))

    assert list(await bench.holders()) == [name]
    assert (await bench.run(runtime, "exit 0"))[0].exit_code == 0


async def test_without_a_network_that_can_be_made_messages_run_and_it_is_tried_again_later(
    bench: Joining, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = bench.make()
    tries = []

    async def refuse(spec: RunSpec) -> None:
        tries.append(spec)
        raise EngineRefused(500, "not today")

    monkeypatch.setattr(runtime.networks._maker, "made", refuse)
    for _ in range(3):
        assert (await bench.run(runtime, "exit 0", keep=Keep.NEXT))[0].exit_code == 0
        await settled(runtime)

    assert len(tries) == 1
    assert not runtime.networks.serve(bench.spec)


# --- its end


async def test_it_goes_with_its_worker(bench: Joining) -> None:
    runtime = bench.make()
    await bench.with_network(runtime)

    runtime.worker_ended(bench.spec.worker_id)
    await settled(runtime)

    assert await bench.holders() == {}


async def test_a_daemon_that_holds_none_removes_those_of_an_earlier_one(bench: Joining) -> None:
    runtime = bench.make()
    await bench.with_network(runtime)

    await bench.make(hold_networks=False).sweep()

    assert await bench.holders() == {}


async def test_it_goes_when_no_message_comes(bench: Joining) -> None:
    runtime = bench.make(ready_seconds=0)
    await bench.with_network(runtime)

    await runtime.sweep()
    await settled(runtime)

    assert await bench.holders() == {}


async def test_it_makes_room_for_that_of_another_worker(bench: Joining) -> None:
    runtime = bench.make(ready_memory_mb=8)
    first = await bench.with_network(runtime)
    second = await bench.with_network(runtime, replace(bench.spec, worker_id=new_worker_id()))
    await settled(runtime)

    assert first != second
    assert list(await bench.holders()) == [second]


async def test_a_stopped_daemon_leaves_nothing(bench: Joining) -> None:
    runtime = bench.make()
    for _ in range(3):
        await bench.with_network(runtime)

    await runtime.close()

    assert await bench.containers() == []
    assert await bench.images() == []


async def test_what_runs_keeps_its_network_when_the_daemon_goes_and_comes_back(bench: Joining) -> None:
    runtime = bench.make()
    name = await bench.with_network(runtime)
    spec = bench.new(f"echo up; until [ -e /go ]; do sleep 0.05; done; ping -c 1 {await runtime.gateway()}")
    sink = RecordingSink()
    run = asyncio.create_task(runtime.run(spec, sink))
    await sink.until(b"up")
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    runtime.worker_ended(bench.spec.worker_id)
    await runtime.close()

    later = bench.make()
    await later.sweep()
    assert list(await bench.holders()) == [name]
    here = engine()
    with here.client() as client:
        started = await client.containers.container(f"abacod-{spec.execution_id}").exec(["touch", "/go"])
        await started.start(detach=True)
    await here.close()
    outcome = await later.resume(spec.execution_id, RecordingSink(), time_limit=None)
    await later.discard(spec.execution_id)
    await later.sweep()

    assert outcome.exit_code == 0
    assert await bench.holders() == {}
