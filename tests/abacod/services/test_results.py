"""Results outlive the daemon, and a synchronous sender waits by its clock."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from abacod.clock import SystemClock
from abacod.config import EventSettings
from abacod.errors import SynchronousTimeout
from abacod.models.execution import Execution
from abacod.models.states import ExecutionStatus
from abacod.services.janitor import Janitor
from abacod.services.results import Results
from tests.fakes import FakeClock, FakeContainer, FakeEngine, obey
from tests.harness import Lab


async def send_some(container: FakeContainer) -> int:
    for result in (b"1", b"2"):
        await container.send_result(result)
    return await obey(container)


async def pop(lab: Lab, execution: Execution) -> bytes | None:
    return await lab.results.pop(execution.actor_id, execution.id)


async def test_results_survive_a_crash_and_more_come_after_it(tmp_path: Path) -> None:
    async def before_and_after(container: FakeContainer) -> int:
        await container.send_result(b"before")
        container.write("sent")
        await container.terminated.wait()
        while True:
            try:
                await container.send_result(b"after")
            except ConnectionRefusedError:
                await container.engine.change()
            else:
                return 0

    async with Lab(tmp_path) as lab:
        lab.engine.programs["image"] = before_and_after
        [execution] = await lab.send(await lab.create(), "go")

        async def stored() -> bool:
            return await lab.results.waiting(execution.actor_id, execution.id)

        await lab.until(stored)
        await lab.crash()
        lab.engine.containers[execution.id].terminated.set()
        await lab.open()
        await lab.ended([execution])
        assert [await pop(lab, execution) for _ in range(3)] == [b"before", b"after", None]


async def test_they_are_gone_after_their_time(tmp_path: Path) -> None:
    clock = FakeClock()
    async with Lab(tmp_path, FakeEngine(SystemClock()), clock=clock) as lab:
        lab.engine.programs["image"] = send_some
        [execution] = await lab.send(await lab.create(), "go")

        async def stored() -> bool:
            return await lab.results.waiting(execution.actor_id, execution.id)

        await lab.until(stored)
        await clock.advance(3599)
        assert await pop(lab, execution) == b"1"
        await clock.advance(1)
        assert await pop(lab, execution) is None
        await Janitor(lab.database, EventSettings(), clock).run_once()
        left = await lab.database.read(lambda tx: tx.execute("SELECT count(*) FROM results").fetchone()[0])
        assert left == 0
        await lab.executor.halt(execution.id)


async def test_a_sender_waits_no_longer_than_the_limit(tmp_path: Path) -> None:
    clock = FakeClock()
    async with Lab(tmp_path) as lab:
        lab.engine.programs["image"] = obey
        [execution] = await lab.send(await lab.create(), "go")
        await lab.in_status(execution, ExecutionStatus.RUNNING)
        results = Results(lab.database, lab.executions, lab.news, clock, synchronous_seconds=60)
        answer = asyncio.create_task(results.answer(execution), name="answer")
        await clock.until_asleep()
        await clock.advance(59)
        assert not answer.done()
        await clock.advance(1)
        with pytest.raises(SynchronousTimeout) as raised:
            await answer
        assert raised.value.result == {"execution_id": execution.id}
        await lab.until(lambda: lab.news.watched == 0)
        assert (await lab.record(execution)).status is ExecutionStatus.RUNNING
