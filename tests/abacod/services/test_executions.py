from __future__ import annotations

import pytest

from abacod.errors import ExecutionNotFound, NotRunning
from abacod.ids import new_execution_id
from abacod.models.states import ActorStatus, ExecutionStatus
from tests.fakes import FakeContainer
from tests.harness import Diary, Lab


async def test_halting_ends_a_running_execution_and_only_that(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary, stateless=False)
    halted, after = await lab.send(actor, "1", "2")
    await lab.in_status(halted, ExecutionStatus.RUNNING)
    await lab.executions.halt(actor.id, halted.id)
    (record,) = await lab.ended([halted])
    assert (record.status, record.exit_code) == (ExecutionStatus.COMPLETE, 143)
    diary.gate.set()
    (record,) = await lab.ended([after])
    assert record.exit_code == 0
    with pytest.raises(NotRunning, match="Execution was found in status: COMPLETE"):
        await lab.executions.halt(actor.id, halted.id)


async def test_halting_takes_a_waiting_execution_out_of_the_mailbox(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary, stateless=False)
    sent = await lab.send(actor, "1", "2", "3")
    await lab.in_status(sent[0], ExecutionStatus.RUNNING)
    await lab.executions.halt(actor.id, sent[1].id)
    assert lab.messages.waiting(actor) == 1
    with pytest.raises(NotRunning, match="ERROR"):
        await lab.executions.halt(actor.id, sent[1].id)
    diary.gate.set()
    await lab.ended(sent)
    assert diary.messages == ["1", "3"]


async def test_an_execution_of_another_actor_can_be_neither_halted_nor_cancelled_nor_read(
    lab: Lab, diary: Diary
) -> None:
    diary.gate.clear()
    actor, other = await lab.create(diary, stateless=False), await lab.create(diary)
    running, waiting = await lab.send(actor, "1", "2")
    await lab.in_status(running, ExecutionStatus.RUNNING)
    for execution_id in (running.id, waiting.id, new_execution_id()):
        with pytest.raises(ExecutionNotFound):
            await lab.executions.halt(other.id, execution_id)
        with pytest.raises(ExecutionNotFound):
            await lab.executions.log(other.id, execution_id)
        with pytest.raises(ExecutionNotFound):
            await lab.executions.get(other.id, execution_id)
    assert await lab.statuses([running, waiting]) == [ExecutionStatus.RUNNING, ExecutionStatus.SUBMITTED]
    assert lab.messages.waiting(actor) == 1


async def test_halting_without_an_engine_leaves_the_execution(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary)
    (execution,) = await lab.send(actor, "1")
    await lab.in_status(execution, ExecutionStatus.RUNNING)
    lab.engine.up = False
    await lab.executions.halt(actor.id, execution.id)
    await lab.until(lambda: ("halt", execution.id) in lab.runtime.calls)
    lab.engine.up = True
    diary.gate.set()
    assert (await lab.ended([execution]))[0].exit_code == 0


async def test_the_log_can_be_read_while_it_grows(lab: Lab) -> None:
    async def program(container: FakeContainer) -> int:
        container.write("begun ")
        await container.terminated.wait()
        container.write("ended")
        return 0

    lab.engine.programs["image"] = program
    actor = await lab.create()
    (execution,) = await lab.send(actor, "1")
    while await lab.log(execution) != "begun ":
        lab.engine.stir()
    await lab.executions.halt(actor.id, execution.id)
    await lab.ended([execution])
    assert await lab.log(execution) == "begun ended"


async def test_a_waiting_execution_has_no_log_and_lists_show_it(lab: Lab) -> None:
    actor = await lab.create(image="nowhere")
    await lab.actor_in(actor, ActorStatus.ERROR)
    sent = await lab.send(actor, *map(str, range(105)))
    assert await lab.log(sent[0]) == ""
    listed, totals = await lab.executions.listed(actor.id)
    assert [each.id for each in listed] == [each.id for each in sent[5:]]
    assert totals.executions == 105
