"""What every runtime promises, asked of the fake one and of the real one alike."""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path

import pytest

from abacod.errors import IllegalTransition, ImageMissing, RunLost, RunNotStarted, RunRejected
from abacod.ids import new_execution_id
from abacod.models.actor import Mount
from abacod.runtime.run import FoundRun, FoundState
from tests.contract.conftest import Bench
from tests.fakes import RecordingSink
from tests.programs import ENVIRONMENT, EXIT, FLOOD, IGNORE, LINES, NO_PROGRAM, OBEY


@pytest.mark.timeout(30)
class TestRunning:
    async def test_the_environment_arrives_to_the_byte(self, bench: Bench) -> None:
        environment = {
            "MSG": "quotes ' \" and\nnew lines, = signs $(not) `run` \\ and ünïcödé 🐙 ",
            "_abaco_Content-Type": "str",
            "EMPTY": "",
            "a.b c": "odd name",
        }
        sink = RecordingSink()

        outcome = await bench.runtime.run(bench.spec(ENVIRONMENT, environment=environment), sink)

        assert outcome.exit_code == 0
        seen = dict(each.split("=", 1) for each in sink.data.decode().split("\0") if each)
        assert {name: seen.get(name) for name in environment} == environment

    @pytest.mark.timeout(60)
    async def test_a_container_that_lives_for_a_moment_loses_no_line(self, bench: Bench) -> None:
        expected = "".join(f"{number}\n" for number in range(1, 101))

        async def once() -> str:
            sink = RecordingSink()
            await bench.runtime.run(bench.spec(LINES), sink)
            assert sink.restarts == 0
            return sink.data.decode()

        for _ in range(5):
            assert await asyncio.gather(*(once() for _ in range(4))) == [expected] * 4

    async def test_a_large_output_arrives_whole_and_in_order(self, bench: Bench) -> None:
        sink = RecordingSink()

        await bench.runtime.run(bench.spec(FLOOD), sink)

        assert len(sink.data) > 5_000_000
        assert bytes(sink.data) == b"".join(b"%d\n" % number for number in range(1, 750_001))

    @pytest.mark.parametrize("code", [0, 1, 137])
    async def test_every_exit_code_is_an_outcome(self, bench: Bench, code: int) -> None:
        outcome = await bench.runtime.run(bench.spec(EXIT, environment={"CODE": str(code)}), RecordingSink())

        assert outcome.exit_code == code
        assert outcome.final_state["ExitCode"] == code
        assert outcome.final_state["Status"] == "exited"
        assert outcome.final_state["Running"] is False
        assert outcome.finished_at >= outcome.started_at

    async def test_the_sink_is_told_before_the_start(self, bench: Bench) -> None:
        spec = bench.spec(EXIT, environment={"CODE": "0"})
        seen: list[FoundState] = []

        class Looking(RecordingSink):
            async def starting(self) -> None:
                seen.append((await bench.states())[spec.execution_id])

        await bench.runtime.run(spec, Looking())

        assert seen == [FoundState.NEVER_STARTED]

    async def test_a_run_that_may_not_start_leaves_nothing(self, bench: Bench) -> None:
        with pytest.raises(IllegalTransition):
            await bench.runtime.run(bench.spec(LINES), RecordingSink(refuse=IllegalTransition()))

        assert await bench.runtime.found() == []

    async def test_a_time_limit_stops_it(self, bench: Bench) -> None:
        sink = RecordingSink()

        outcome = await bench.runtime.run(bench.spec(OBEY, time_limit=0.5), sink)

        assert outcome.exit_code == 143
        assert bytes(sink.data) == b"ready\nbye\n"


@pytest.mark.timeout(30)
class TestNotStarting:
    async def test_a_missing_image(self, bench: Bench) -> None:
        spec = bench.spec(LINES, image="abacod-test/no-such-image")

        with pytest.raises(ImageMissing):
            await bench.runtime.run(spec, RecordingSink())

        assert await bench.runtime.found() == []

    async def test_a_missing_program(self, bench: Bench) -> None:
        with pytest.raises(RunRejected, match="no such file"):
            await bench.runtime.run(bench.spec(NO_PROGRAM), RecordingSink())

        assert await bench.runtime.found() == []

    async def test_a_missing_directory(self, bench: Bench, tmp_path: Path) -> None:
        spec = bench.spec(LINES, mounts=(Mount(str(tmp_path / "missing"), "/data", "ro"),))

        with pytest.raises(RunRejected, match="does not exist"):
            await bench.runtime.run(spec, RecordingSink())

        assert await bench.runtime.found() == []

    async def test_a_container_that_ran_is_not_run_again(self, bench: Bench) -> None:
        spec = bench.spec(LINES)
        await bench.runtime.run(spec, RecordingSink())

        with pytest.raises(RunNotStarted, match="before"):
            await bench.runtime.run(spec, RecordingSink())

        assert await bench.states() == {spec.execution_id: FoundState.ENDED}

    async def test_an_image_that_is_here_is_ready(self, bench: Bench) -> None:
        await bench.runtime.prepare(bench.image(LINES.name), fresh=False)

    async def test_an_image_that_is_nowhere_is_missing(self, bench: Bench) -> None:
        with pytest.raises(ImageMissing, match="on this machine"):
            await bench.runtime.prepare("localhost:1/abacod-test/none", fresh=True)


@pytest.mark.timeout(30)
class TestHalting:
    async def test_one_that_obeys_ends_by_itself(self, bench: Bench) -> None:
        spec, sink = bench.spec(OBEY), RecordingSink()
        async with asyncio.TaskGroup() as group:
            run = group.create_task(bench.runtime.run(spec, sink), name="run")
            await sink.until(b"ready\n")
            await bench.runtime.halt(spec.execution_id)

        assert run.result().exit_code == 143
        assert bytes(sink.data) == b"ready\nbye\n"

    async def test_one_that_does_not_is_killed(self, bench: Bench) -> None:
        spec, sink = bench.spec(IGNORE), RecordingSink()
        async with asyncio.TaskGroup() as group:
            run = group.create_task(bench.runtime.run(spec, sink), name="run")
            await sink.until(b"ready\n")
            await bench.runtime.halt(spec.execution_id)

        assert run.result().exit_code == 137

    async def test_one_that_is_about_to_start_is_stopped(self, bench: Bench) -> None:
        spec = bench.spec(IGNORE)

        class HaltedMeanwhile(RecordingSink):
            async def starting(self) -> None:
                await bench.runtime.halt(spec.execution_id)

        outcome = await bench.runtime.run(spec, HaltedMeanwhile())

        assert outcome.exit_code == 137

    async def test_halting_what_is_not_there_is_fine(self, bench: Bench) -> None:
        await bench.runtime.halt(new_execution_id())


@pytest.mark.timeout(30)
class TestComingBack:
    async def test_a_cancelled_run_goes_on_and_can_be_followed_again(self, bench: Bench) -> None:
        spec, sink = bench.spec(OBEY), RecordingSink()
        run = asyncio.create_task(bench.runtime.run(spec, sink), name="run")
        await sink.until(b"ready\n")
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert await bench.states(bench.second) == {spec.execution_id: FoundState.RUNNING}

        again = RecordingSink()
        async with asyncio.TaskGroup() as group:
            resumed = group.create_task(bench.second.resume(spec.execution_id, again, time_limit=None), name="resumed")
            await again.until(b"ready\n")
            await bench.second.halt(spec.execution_id)

        assert resumed.result().exit_code == 143
        assert bytes(again.data) == b"ready\nbye\n"
        assert again.restarts == 1

    async def test_a_time_limit_counts_from_the_start(self, bench: Bench) -> None:
        spec, sink = bench.spec(OBEY), RecordingSink()
        run = asyncio.create_task(bench.runtime.run(spec, sink), name="run")
        await sink.until(b"ready\n")
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

        outcome = await bench.second.resume(spec.execution_id, RecordingSink(), time_limit=0.01)

        assert outcome.exit_code == 143

    async def test_an_ended_one_is_found_with_its_whole_log(self, bench: Bench) -> None:
        spec, first = bench.spec(FLOOD), RecordingSink()
        before = await bench.runtime.run(spec, first)
        assert await bench.second.found() == [FoundRun(spec.execution_id, FoundState.ENDED)]

        again = RecordingSink()
        after = await bench.second.resume(spec.execution_id, again, time_limit=None)

        assert again.data == first.data
        assert after.exit_code == before.exit_code
        assert after.final_state == before.final_state

    async def test_one_that_was_never_started_is_found_and_replaced(self, bench: Bench) -> None:
        spec, reached = bench.spec(LINES), asyncio.Event()

        class Stuck(RecordingSink):
            async def starting(self) -> None:
                reached.set()
                await asyncio.Event().wait()

        run = asyncio.create_task(bench.runtime.run(spec, Stuck()), name="run")
        await reached.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert await bench.states(bench.second) == {spec.execution_id: FoundState.NEVER_STARTED}
        with pytest.raises(RunLost):
            await bench.second.resume(spec.execution_id, RecordingSink(), time_limit=None)

        outcome = await bench.second.run(spec, RecordingSink())

        assert outcome.exit_code == 0

    async def test_following_what_is_not_there_is_a_loss(self, bench: Bench) -> None:
        with pytest.raises(RunLost):
            await bench.runtime.resume(new_execution_id(), RecordingSink(), time_limit=None)


@pytest.mark.timeout(30)
class TestDiscarding:
    async def test_an_ended_one(self, bench: Bench) -> None:
        spec = bench.spec(LINES)
        await bench.runtime.run(spec, RecordingSink())

        await bench.runtime.discard(spec.execution_id)

        assert await bench.runtime.found() == []

    async def test_what_is_not_there(self, bench: Bench) -> None:
        await bench.runtime.discard(new_execution_id())

    async def test_one_that_is_discarded_under_its_run_is_killed_or_lost(self, bench: Bench) -> None:
        spec, sink = bench.spec(IGNORE), RecordingSink()
        run = asyncio.create_task(bench.runtime.run(spec, sink), name="run")
        await sink.until(b"ready\n")

        await bench.second.discard(spec.execution_id)

        # Which of the two is a race on a real engine: it kills first and forgets after.
        try:
            assert (await run).exit_code == 137
        except RunLost:
            assert await bench.runtime.found() == []

    async def test_pinging(self, bench: Bench) -> None:
        await bench.runtime.ping()


@pytest.mark.timeout(30)
class TestTheGateway:
    async def test_is_an_address(self, bench: Bench) -> None:
        gateway = await bench.connected.gateway()
        assert gateway is not None
        assert not ipaddress.ip_address(gateway).is_loopback

    async def test_is_none_without_a_network(self, bench: Bench) -> None:
        assert await bench.unconnected.gateway() is None
