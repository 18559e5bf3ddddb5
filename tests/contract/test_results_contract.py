"""What every runtime promises about results, asked of the fake one and of the real one alike (spec/actors-api 4.5, 5.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from abacod.runtime.run import MAX_RESULT_BYTES
from tests.contract.conftest import Bench
from tests.fakes import RecordingSink
from tests.programs import LINES, results_of, sending

pytestmark = pytest.mark.timeout(60)


async def test_results_of_every_size_arrive_in_order(bench: Bench) -> None:
    sizes = f"0 1 {MAX_RESULT_BYTES} 0 7"
    sink = RecordingSink()

    outcome = await bench.runtime.run(bench.spec(LINES, image=bench.python, environment=sending(sizes)), sink)

    assert outcome.exit_code == 0
    assert sink.received == results_of(sizes)


async def test_what_is_too_large_is_dropped(bench: Bench) -> None:
    sizes = f"1 {MAX_RESULT_BYTES + 1} 200000 2"
    sink = RecordingSink()

    await bench.runtime.run(bench.spec(LINES, image=bench.python, environment=sending(sizes)), sink)

    first, _, _, last = results_of(sizes)
    assert sink.received == [first, last]


async def test_any_user_may_send_many_that_nobody_fetches(bench: Bench) -> None:
    sizes = " ".join(["100"] * 50)
    sink = RecordingSink()
    spec = bench.spec(LINES, image=bench.python, environment=sending(sizes), user="1234:5678")

    outcome = await bench.runtime.run(spec, sink)

    assert outcome.exit_code == 0
    assert sink.received == results_of(sizes)


async def test_a_sender_waits_until_the_former_ones_are_kept(bench: Bench) -> None:
    released = asyncio.Event()

    class Slow(RecordingSink):
        async def results(self, data: Sequence[bytes]) -> None:
            await released.wait()
            await super().results(data)

    # More than were read at first and the socket holds together.
    sizes = " ".join(["1"] * 200)
    sink = Slow()
    spec = bench.spec(LINES, image=bench.python, environment=sending(sizes))
    run = asyncio.create_task(bench.runtime.run(spec, sink), name="run")
    await sink.started.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await sink.until(b"ready\n")

    released.set()

    assert (await run).exit_code == 0
    assert sink.received == results_of(sizes)


async def test_a_container_goes_on_sending_to_the_next_daemon(bench: Bench) -> None:
    spec = bench.spec(LINES, image=bench.python, environment=sending("1 2", again="3 0 4"))
    sink, again = RecordingSink(), RecordingSink()
    run = asyncio.create_task(bench.runtime.run(spec, sink), name="run")
    await sink.until(b"ready\n")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    async with asyncio.TaskGroup() as group:
        resumed = group.create_task(bench.second.resume(spec.execution_id, again, time_limit=None), name="resumed")
        await again.until(b"ready\n")
        await bench.second.halt(spec.execution_id)

    assert resumed.result().exit_code == 0
    assert sink.received == results_of("1 2")
    assert again.received == results_of("3 0 4")


async def test_results_sent_before_a_run_is_let_go_are_not_lost(bench: Bench) -> None:
    sizes = " ".join(["10"] * 30)
    spec = bench.spec(LINES, image=bench.python, environment=sending(sizes, again=""))
    sink = RecordingSink()
    run = asyncio.create_task(bench.runtime.run(spec, sink), name="run")
    await sink.until(b"ready\n")

    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await bench.second.discard(spec.execution_id)

    assert sink.received == results_of(sizes)
