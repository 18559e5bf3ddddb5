"""Built-in reactors run in threads: what one does wrong is its own execution's failure, and nobody else's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from abacod.clock import SystemClock
from abacod.errors import EngineUnavailable, IllegalTransition, RunRejected, StorageUnavailable
from abacod.ids import ExecutionId
from abacod.runtime.native import Bridge, NativeRuntime, Work
from abacod.runtime.run import Outcome, RunSpec
from reactors.ports import TimeOver
from tests.fakes import FakeClock, FakeEngine, FakeRuntime, RecordingSink
from tests.test_fakes import spec

LONG: Final = 3600.0
Program = Callable[[Bridge, Callable[[str], None], Callable[[bytes], None]], int]


def runtime_of(
    program: Program, *, seconds: float = LONG, clock: SystemClock | FakeClock | None = None
) -> NativeRuntime:
    """A runtime with one built-in reactor, `native:it`."""

    def run(spec: RunSpec, bridge: Bridge, write: Callable[[str], None], answer: Callable[[bytes], None]) -> int:
        return program(bridge, write, answer)

    containers = FakeRuntime(FakeEngine(SystemClock()))
    return NativeRuntime(containers, {"it": Work(run, seconds)}, clock or SystemClock())


def native_spec() -> RunSpec:
    return replace(spec(), image="native:it")


async def ran(program: Program) -> tuple[Outcome, RecordingSink]:
    sink = RecordingSink()
    return await runtime_of(program).run(native_spec(), sink), sink


async def test_lines_results_and_the_exit_code_come_through_in_order() -> None:
    def program(bridge: Bridge, write: Callable[[str], None], answer: Callable[[bytes], None]) -> int:
        write("one")
        answer(b"a result")
        write("two \ud800")
        return 3

    outcome, sink = await ran(program)
    assert (outcome.exit_code, bytes(sink.data), sink.received) == (3, b"one\ntwo ?\n", [b"a result"])
    assert outcome.final_state["ExitCode"] == 3


async def test_a_crash_is_the_executions_failure() -> None:
    def program(*_: object) -> int:
        raise KeyError("a defect")

    outcome, sink = await ran(program)
    assert outcome.exit_code == 1
    assert b"CRITICAL Internal error: KeyError" in sink.data


async def test_what_hangs_is_broken_off_and_reaches_the_daemon_no_more() -> None:
    hangs, later = threading.Event(), threading.Event()
    seen: list[type[BaseException] | None] = []

    async def asked() -> None: ...

    def program(bridge: Bridge, *_: object) -> int:
        later.wait(10)
        try:
            bridge.call(asked)
            seen.append(None)
        except TimeOver as error:
            seen.append(type(error))
            raise
        finally:
            hangs.set()
        return 0

    clock, sink = FakeClock(), RecordingSink()
    run = asyncio.create_task(runtime_of(program, seconds=60, clock=clock).run(native_spec(), sink))
    await clock.until_asleep()
    await clock.advance(61)
    outcome = await run
    assert outcome.exit_code == 137
    assert outcome.final_state["Error"] == "it ran for more than 60 s"
    assert b"broken off" in sink.data
    later.set()
    assert await asyncio.to_thread(hangs.wait, 5)
    assert seen == [TimeOver]


async def test_halting_breaks_it_off() -> None:
    begun, goes_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def program(*_: object) -> int:
        loop.call_soon_threadsafe(begun.set)
        goes_on.wait(10)
        return 0

    runtime, spec = runtime_of(program), native_spec()
    run = asyncio.create_task(runtime.run(spec, RecordingSink()))
    await begun.wait()
    await runtime.halt(spec.execution_id)
    assert (await run).final_state["Error"] == "it was halted"
    goes_on.set()


async def test_a_database_that_refuses_is_waited_for() -> None:
    clock = FakeClock()
    tries = 0

    async def asked() -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise StorageUnavailable
        return "done"

    sink = RecordingSink()

    def program(bridge: Bridge, write: Callable[[str], None], _: object) -> int:
        write(bridge.call(asked))
        return 0

    run = asyncio.create_task(runtime_of(program, clock=clock).run(native_spec(), sink))
    # The time limit, and the pause before the second try.
    await clock.until_asleep(2)
    await clock.advance(1)
    assert (await run).exit_code == 0
    assert (tries, bytes(sink.data)) == (2, b"done\n")


async def test_an_unknown_reactor_is_refused() -> None:
    spec = replace(native_spec(), image="native:gone")
    with pytest.raises(RunRejected, match="native:gone"):
        await runtime_of(lambda *_: 0).run(spec, RecordingSink())


async def test_a_stopped_daemon_ends_the_thread_and_settles_nothing() -> None:
    begun, goes_on = asyncio.Event(), threading.Event()
    ended: list[type[BaseException] | None] = []
    loop = asyncio.get_running_loop()

    async def asked() -> None: ...

    def program(bridge: Bridge, write: Callable[[str], None], _: object) -> int:
        write("before")
        loop.call_soon_threadsafe(begun.set)
        goes_on.wait(10)
        try:
            bridge.call(asked)
        except TimeOver as error:
            ended.append(type(error))
            raise
        finally:
            ended.append(None)
        return 0

    sink = RecordingSink()
    run = asyncio.create_task(runtime_of(program).run(native_spec(), sink))
    await begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    goes_on.set()
    while len(ended) < 2:
        await asyncio.to_thread(threading.Event().wait, 0.001)
    assert ended == [TimeOver, None]
    assert b"CRITICAL" not in sink.data


def test_a_closed_loop_is_the_end_of_time() -> None:
    loop = asyncio.new_event_loop()
    bridge = Bridge(loop, SystemClock())
    loop.close()

    async def asked() -> None: ...

    with pytest.raises(TimeOver):
        bridge.call(asked)


async def test_handlers_that_hang_keep_nobody_from_running() -> None:
    goes_on = threading.Event()

    def hang(*_: object) -> int:
        goes_on.wait(30)
        return 0

    clock = FakeClock()
    stuck = runtime_of(hang, seconds=60, clock=clock)
    runs = [
        asyncio.create_task(stuck.run(replace(native_spec(), execution_id=ExecutionId(f"e{number}")), RecordingSink()))
        for number in range(40)
    ]
    await clock.until_asleep(len(runs))
    await clock.advance(61)
    assert {outcome.exit_code for outcome in await asyncio.gather(*runs)} == {137}
    outcome, _ = await ran(lambda *_: 0)
    assert outcome.exit_code == 0
    goes_on.set()


async def test_an_end_at_the_moment_of_the_break_off_counts_once() -> None:
    begun, goes_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def program(_: Bridge, write: Callable[[str], None], __: object) -> int:
        loop.call_soon_threadsafe(begun.set)
        goes_on.wait(10)
        write("the end")
        return 0

    runtime, spec, sink = runtime_of(program), native_spec(), RecordingSink()
    run = asyncio.create_task(runtime.run(spec, sink))
    await begun.wait()
    goes_on.set()
    await runtime.halt(spec.execution_id)
    outcome = await run
    assert (outcome.exit_code, b"broken off" in sink.data) in ((0, False), (137, True))


async def test_halting_before_the_start_is_not_lost() -> None:
    goes_on = threading.Event()

    def program(*_: object) -> int:
        goes_on.wait(10)
        return 0

    runtime, spec = runtime_of(program), native_spec()

    class Halted(RecordingSink):
        async def log_restarts(self) -> None:
            await runtime.halt(spec.execution_id)

    assert (await runtime.run(spec, Halted())).final_state["Error"] == "it was halted"
    goes_on.set()


async def test_a_cancelled_execution_changes_nothing() -> None:
    done: list[str] = []
    refused: list[type[BaseException]] = []

    async def change() -> None:
        done.append("changed")

    def program(bridge: Bridge, *_: object) -> int:
        try:
            bridge.call(change)
        except IllegalTransition as error:
            refused.append(type(error))
        return 0

    class Cancelled(RecordingSink):
        async def starting(self) -> None:
            raise IllegalTransition

    with pytest.raises(IllegalTransition):
        await runtime_of(program).run(native_spec(), Cancelled())
    assert (done, refused) == ([], [IllegalTransition])


async def test_the_beginning_is_marked_once_and_before_the_end_whatever_is_asked() -> None:
    order: list[str] = []

    async def ask() -> None:
        order.append("asked")

    class Marked(RecordingSink):
        async def starting(self) -> None:
            order.append("begun")
            await asyncio.sleep(0)

    def asks(bridge: Bridge, *_: object) -> int:
        bridge.call(ask, "any time")
        bridge.call(ask, "beginning")
        bridge.call(ask)
        return 0

    await runtime_of(asks).run(native_spec(), Marked())
    assert order == ["asked", "begun", "asked", "asked"]
    order.clear()
    await runtime_of(lambda *_: 0).run(native_spec(), Marked())
    assert order == ["begun"]


async def test_the_engine_is_not_asked_to_discard_what_ran_here() -> None:
    class Deaf(FakeRuntime):
        async def discard(self, execution_id: ExecutionId) -> None:
            raise EngineUnavailable

    runtime = NativeRuntime(Deaf(FakeEngine(SystemClock())), {"it": Work(lambda *_: 0, LONG)}, SystemClock())
    spec = native_spec()
    await runtime.run(spec, RecordingSink())
    await runtime.discard(spec.execution_id)
    with pytest.raises(EngineUnavailable):
        await runtime.discard(spec.execution_id)
