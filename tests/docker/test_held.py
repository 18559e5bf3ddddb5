"""Containers that are started before their messages come, and those that run many: what a cold run promises, holds in them too."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from abacod.clock import SystemClock
from abacod.config import RunSettings
from abacod.config_workers import WorkerSettings
from abacod.errors import EngineUnavailable, RunNotStarted, RunRejected
from abacod.ids import new_worker_id
from abacod.runtime.run import FoundRun, FoundState, Keep, Outcome, RunSpec
from abacod.runtime.warm.folder import record_in
from abacod.runtime.warm.making import HELD_LABEL
from abacod.runtime.warm.runtime import WarmRuntime
from tests.docker.conftest import Docker
from tests.docker_images import engine
from tests.fakes import RecordingSink

pytestmark = [pytest.mark.docker, pytest.mark.timeout(60)]

WHERE = "echo $HOSTNAME"
"""Tells the container."""


@dataclass
class Bench:
    """A runtime with held containers, and runs of shell scripts of one worker on it."""

    docker: Docker
    runtime: WarmRuntime
    make: Callable[..., WarmRuntime]
    spec: RunSpec
    workers_dir: Path

    async def run(self, script: str, variables: Mapping[str, str] | None = None, **more: Any) -> tuple[Outcome, str]:
        """Run a shell script and settle it; its outcome and its output."""
        spec = self.new(script)
        spec = replace(spec, environment={**spec.environment, **(variables or {})}, **more)
        sink = RecordingSink()
        outcome = await self.runtime.run(spec, sink)
        await self.runtime.discard(spec.execution_id)
        return outcome, sink.data.decode()

    def new(self, script: str) -> RunSpec:
        """A run of the same worker."""
        fresh = self.docker.spec(script)
        return replace(self.spec, execution_id=fresh.execution_id, environment=fresh.environment)

    async def containers(self) -> dict[str, str]:
        """The states of the held containers by id."""
        here = engine()
        try:
            with here.client() as client:
                found = await client.containers.list(
                    all=True, filters=f'{{"label": ["abacod.instance={self.docker.instance}", "{HELD_LABEL}"]}}'
                )
                return {each.id: each["State"] for each in found}
        finally:
            await here.close()

    async def kill_all(self) -> None:
        """End all held containers, as an engine does that stops."""
        here = engine()
        with here.client() as client:
            for each in await self.containers():
                await client.containers.container(each).kill()
        await here.close()


@pytest.fixture
async def bench(docker: Docker, tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:

        def make(network: str = "none", **workers: Any) -> WarmRuntime:
            runtime = WarmRuntime(
                docker.make(network=network),
                WorkerSettings(**workers),
                RunSettings(stop_grace_seconds=1),
                SystemClock(),
                instance=docker.instance,
                workers_dir=tmp_path / "workers",
            )
            stack.push_async_callback(runtime.close)
            return runtime

        spec = docker.spec("", worker_id=new_worker_id(), keep=Keep.REUSED)
        yield Bench(docker, make(), make, spec, tmp_path / "workers")


async def test_messages_of_a_worker_run_in_one_container_and_others_do_not(bench: Bench) -> None:
    places = [(await bench.run(WHERE))[1] for _ in range(3)]
    _, elsewhere = await bench.run(WHERE, worker_id=new_worker_id())

    assert len(set(places)) == 1
    assert elsewhere not in places
    assert len(await bench.containers()) == 2


async def test_each_message_has_its_own_output_and_environment(bench: Bench) -> None:
    await bench.run("echo one; echo two >&2; export LEFT=1", {"A": "1"})

    _, second = await bench.run("echo $A$LEFT second >/dev/stdout; echo error >/dev/stderr; printf end")

    assert second == "second\nerror\nend"


async def test_a_program_gets_every_byte_that_an_environment_can_hold(bench: Bench) -> None:
    odd = "".join(map(chr, range(1, 0x250))) + "'\"\\$`\n\t'' \ue000\U0010ffff"

    _, output = await bench.run("", {"odd-Name.x y'z": odd}, image=f"{bench.docker.prefix}/environment")

    assert f"odd-Name.x y'z={odd}" in output.split("\0")


async def test_a_program_sees_what_it_would_see_in_a_cold_run(bench: Bench) -> None:
    # The shell of the image says itself where it is and who.
    files = "ls /proc/self/fd | wc -l; cat; grep -e Sig -e Groups -e Cap -e Seccomp /proc/self/status"
    script = f"env | grep -v -e ^SCRIPT -e ^HOSTNAME | sort; pwd; id; umask; ulimit -a; {files}"

    _, cold = await bench.run(script, keep=Keep.NOTHING, worker_id=new_worker_id())
    _, held = await bench.run(script)

    assert held == cold


async def test_what_an_execution_leaves_running_is_killed_before_its_end(bench: Bench) -> None:
    outcome, _ = await bench.run("setsid sleep 100 & sleep 100 & (trap '' TERM HUP; sleep 100) & exit 3")
    _, left = await bench.run("ps -o comm | grep -c sleep")

    assert (outcome.exit_code, left) == (3, "0\n")
    assert len(await bench.containers()) == 1


async def test_a_signal_is_told_as_an_engine_tells_it(bench: Bench) -> None:
    assert (await bench.run("kill -SEGV $$"))[0].exit_code == 139
    assert (await bench.run("exit 0"))[0].exit_code == 0


async def test_beyond_its_memory_a_message_is_killed_and_the_next_one_runs_elsewhere(bench: Bench) -> None:
    limit = 16 * 2**20
    _, before = await bench.run(WHERE, memory_bytes=limit)

    outcome, _ = await bench.run("x=0123456789; while :; do x=$x$x; done", memory_bytes=limit)
    _, after = await bench.run(WHERE, memory_bytes=limit)

    assert outcome.exit_code == 137
    assert outcome.final_state["OOMKilled"] is True
    assert before != after


async def test_use_belongs_to_the_execution(bench: Bench) -> None:
    busy, _ = await bench.run("timeout -s KILL 0.3 sh -c 'while :; do :; done'; exit 0")
    idle, _ = await bench.run("exit 0")

    assert 0.05e9 < busy.cpu < 2e9
    assert 0 < idle.cpu < busy.cpu / 2
    assert busy.io == idle.io == 0


async def test_traffic_belongs_to_the_execution(bench: Bench) -> None:
    bench.runtime = bench.make(network="bridge")
    gateway = await bench.runtime.gateway()

    sent, _ = await bench.run(f"ping -c 2 -s 10000 {gateway}; exit 0")
    quiet, _ = await bench.run("exit 0")

    assert 20_000 <= sent.io < 100_000
    assert quiet.io < 5_000


async def test_user_limits_and_mounts_are_those_of_the_message(bench: Bench) -> None:
    _, one = await bench.run("echo $(id -u):$(id -g) $HOME; exit 0", user="1234:5678")
    _, other = await bench.run("echo $(id -u):$(id -g)", user="4321:5678")

    assert (one, other) == ("1234:5678 /\n", "4321:5678\n")
    assert len([state for state in (await bench.containers()).values() if state == "running"]) <= 2


async def test_a_binary_message_is_there_for_its_own_execution_only(bench: Bench, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(os.urandom(200_000))
    message.chmod(0o444)
    await bench.run("exit 0", user="1234:5678")

    outcome, output = await bench.run(
        "cat /_abaco_binary_data | wc -c; echo x >> /_abaco_binary_data", binary_message=message, user="1234:5678"
    )
    _, after = await bench.run("cat /_abaco_binary_data 2>/dev/null; echo none", user="1234:5678")

    assert outcome.exit_code != 0
    assert output.startswith("200000\n")
    assert after == "none\n"


async def test_nothing_of_a_message_stays_on_disk(bench: Bench) -> None:
    await bench.run("exit 0", {"SECRET": "a-very-secret-thing"})

    texts = [path.read_bytes() for path in bench.workers_dir.rglob("script")]
    assert texts == [b""]


async def test_a_container_cannot_change_what_it_shares_with_the_daemon(bench: Bench) -> None:
    outcome, output = await bench.run("for f in /_abaco_run/*; do rm $f; ln -sf /etc/passwd $f; done 2>&1")

    assert outcome.exit_code != 0
    assert output.count("Read-only file system") >= 4
    assert "command" not in output
    assert (await bench.run("echo on"))[1] == "on\n"


async def test_one_that_talks_nonsense_to_the_daemon_is_replaced(bench: Bench) -> None:
    _, before = await bench.run(f"{WHERE}; echo nonsense > /proc/1/fd/4")
    _, after = await bench.run(WHERE)

    assert before != after


async def test_one_whose_supervisor_is_gone_ends_its_execution_and_is_replaced(bench: Bench) -> None:
    spec, sink = bench.new("echo ready; sleep 100"), RecordingSink()
    run = asyncio.create_task(bench.runtime.run(spec, sink), name="run")
    await sink.until(b"ready\n")

    await bench.kill_all()
    outcome = await run
    await bench.runtime.discard(spec.execution_id)

    assert outcome.exit_code == 137
    assert outcome.final_state["Status"] == "exited"
    assert sink.data == b"ready\n"
    assert (await bench.run("echo on"))[1] == "on\n"


async def test_one_that_died_waiting_costs_no_message(bench: Bench) -> None:
    await bench.run("exit 0")

    await bench.kill_all()

    try:
        _, output = await bench.run("echo on")
    except EngineUnavailable:
        # Its end has not been heard of when the message comes; whoever is told so tries again.
        _, output = await bench.run("echo on")
    assert output == "on\n"


async def test_a_container_is_replaced_after_its_number_of_messages(bench: Bench) -> None:
    bench.runtime = bench.make(reuse_executions=2)

    places = [(await bench.run(WHERE))[1] for _ in range(4)]

    assert places[0] == places[1] != places[2] == places[3]


async def test_a_container_is_replaced_when_its_image_changes(bench: Bench) -> None:
    here = engine()
    bench.spec = replace(bench.spec, image=f"{bench.docker.prefix}/changing")
    with here.client() as client:
        await client.images.tag(f"{bench.docker.prefix}/shell", repo=bench.spec.image)
        _, before = await bench.run(WHERE)
        await client.images.tag(f"{bench.docker.prefix}/lines", repo=bench.spec.image)
        await asyncio.sleep(1.1)
        _, after = await bench.run(WHERE)
        await client.images.delete(bench.spec.image, force=True)
    await here.close()

    assert len(before) == 13
    assert after.startswith("1\n2\n")


async def test_a_program_that_cannot_be_run_is_refused_and_the_container_stays(bench: Bench) -> None:
    spec = replace(bench.new(""), image=f"{bench.docker.prefix}/no-program")
    sink = RecordingSink()

    for _ in range(2):
        with pytest.raises(RunRejected, match="no such file"):
            await bench.runtime.run(spec, sink)

    assert bytes(sink.data) == b""
    assert await bench.runtime.found() == []
    assert len(await bench.containers()) == 1


async def test_a_message_that_is_too_large_for_any_program_is_refused(bench: Bench) -> None:
    many = {f"V{number}": "x" * 100_000 for number in range(30)}

    with pytest.raises(RunRejected, match="argument list too long"):
        await bench.run("exit 0", many)


async def test_one_shot_containers_wait_for_the_next_message(bench: Bench) -> None:
    bench.spec = replace(bench.spec, keep=Keep.ALWAYS)
    _, cold = await bench.run(WHERE)
    places = [cold] + [(await bench.run(WHERE))[1] for _ in range(3)]

    assert len(set(places)) == 4
    assert len([state for state in (await bench.containers()).values() if state == "running"]) <= 1


async def test_a_budget_of_nothing_holds_nothing(bench: Bench) -> None:
    bench.runtime = bench.make(ready_memory_mb=0)
    bench.spec = replace(bench.spec, keep=Keep.ALWAYS)

    await bench.run("exit 0")
    await bench.run("exit 0")

    assert await bench.containers() == {}


async def test_the_one_that_waits_longest_makes_room(bench: Bench) -> None:
    bench.runtime = bench.make(ready_memory_mb=16)
    bench.spec = replace(bench.spec, keep=Keep.ALWAYS)
    workers = [new_worker_id() for _ in range(3)]

    for worker in (*workers, *workers):
        await bench.run("exit 0", worker_id=worker)

    await bench.runtime.close()
    assert await bench.containers() == {}
    assert [path.name for path in bench.workers_dir.iterdir()] == ["busybox"]


async def test_a_worker_that_ends_leaves_nothing(bench: Bench) -> None:
    await bench.run("exit 0")

    bench.runtime.worker_ended(bench.spec.worker_id)
    await bench.runtime.close()

    assert await bench.containers() == {}
    assert [path.name for path in bench.workers_dir.iterdir()] == ["busybox"]


async def test_what_a_killed_daemon_held_is_removed_by_the_next(bench: Bench) -> None:
    await bench.run("exit 0")

    later = bench.make()
    assert await later.found() == []
    await later.sweep()

    assert await bench.containers() == {}


async def test_without_a_static_busybox_each_message_has_a_container_of_its_own(bench: Bench) -> None:
    bench.runtime = bench.make(busybox=Path("/bin/no-such-busybox"))

    places = [(await bench.run(WHERE))[1] for _ in range(2)]

    assert len(set(places)) == 2
    assert await bench.containers() == {}


class TestADaemonThatEnds:
    async def test_between_the_mark_and_the_command_runs_the_message_once(self, bench: Bench) -> None:
        spec = bench.new("echo done")
        await self._end_before_the_command(bench, spec)

        assert await bench.make().found() == [FoundRun(spec.execution_id, FoundState.RUNNING)]
        sink = RecordingSink()
        outcome = await bench.make().resume(spec.execution_id, sink, time_limit=None)

        assert outcome.exit_code == 0
        assert sink.data.count(b"done") == 1

    async def test_after_the_end_of_the_message_has_its_result_from_the_record(self, bench: Bench) -> None:
        spec, first = bench.new("echo text; exit 7"), RecordingSink()
        outcome = await bench.runtime.run(spec, first)
        later, again = bench.make(), RecordingSink()

        with pytest.raises(RunNotStarted):
            await bench.runtime.run(spec, first)
        resumed = await later.resume(spec.execution_id, again, time_limit=None)

        assert (resumed.exit_code, resumed.final_state) == (7, outcome.final_state)
        assert (resumed.cpu, bytes(again.data)) == (outcome.cpu, b"text\n")

    async def test_before_it_heard_of_the_end_asks_the_supervisor(self, bench: Bench) -> None:
        spec, sink = (
            bench.new("echo ready; read x < /proc/self/stat; usleep 500000; echo text; exit 7"),
            RecordingSink(),
        )
        run = asyncio.create_task(bench.runtime.run(spec, sink), name="run")
        await sink.until(b"ready\n")
        run.cancel()
        await asyncio.wait({run})
        # What the daemon that is gone had read, but not noted.
        (place,) = {path.parent for path in bench.workers_dir.glob("*/record")}
        record = record_in(place)
        assert record is not None
        answer = os.open(place / "answer", os.O_RDWR)
        while not await asyncio.to_thread(os.read, answer, 1000):
            pass
        os.close(answer)

        again = RecordingSink()
        outcome = await bench.make().resume(spec.execution_id, again, time_limit=None)

        assert (outcome.exit_code, bytes(again.data)) == (7, b"ready\ntext\n")
        assert outcome.cpu > 0

    async def _end_before_the_command(self, bench: Bench, spec: RunSpec) -> None:
        """A run whose daemon is killed when it has noted the start, and not sent the command."""
        await bench.run("exit 0")
        held = bench.runtime._pool._waiting[spec.worker_id]

        class Killed(BaseException):
            pass

        def kill(line: bytes) -> None:
            raise Killed

        held.folder.send = kill  # type: ignore[method-assign]
        with pytest.raises(Killed):
            await bench.runtime.run(spec, RecordingSink())
        bench.runtime._live.pop(spec.execution_id)
        bench.runtime._let_go(held)
