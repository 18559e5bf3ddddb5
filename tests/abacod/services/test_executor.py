from __future__ import annotations

from pathlib import Path

import jwt

from abacod.config import RunSettings
from abacod.models.states import ExecutionStatus
from tests.factories import ADMIN
from tests.fakes import FakeContainer
from tests.harness import Diary, Lab


async def test_a_run_is_recorded_from_start_to_end(lab: Lab) -> None:
    async def program(container: FakeContainer) -> int:
        container.cpu, container.io = 5_000, 70
        container.write("out")
        return 3

    lab.engine.programs["image"] = program
    actor = await lab.create()
    (record,) = await lab.ended(await lab.send(actor, "1"))
    assert (record.status, record.exit_code, record.cpu, record.io) == (ExecutionStatus.COMPLETE, 3, 5_000, 70)
    assert record.start_time is not None
    assert record.finish_time is not None
    assert record.message_received_time <= record.start_time <= record.finish_time
    assert record.final_state is not None
    assert record.final_state["ExitCode"] == 3
    summaries, totals = await lab.executions.listed(actor.id)
    assert [each.id for each in summaries] == [record.id]
    assert (totals.executions, totals.cpu, totals.io) == (1, 5_000, 70)


async def test_a_vanished_container_is_an_error_with_its_log_so_far(lab: Lab, diary: Diary) -> None:
    async def program(container: FakeContainer) -> int:
        container.write("so far")
        await container.terminated.wait()
        return 0

    lab.engine.programs["image"] = program
    actor = await lab.create()
    (execution,) = await lab.send(actor, "1")
    while await lab.log(execution) != "so far":
        lab.engine.stir()
    lab.engine.vanish(execution.id)
    (record,) = await lab.ended([execution])
    assert record.final_state == {"reason": "The container vanished before its end could be seen."}
    assert await lab.log(execution) == "so far"


async def test_a_binary_message_is_a_file_that_goes_with_its_execution(lab: Lab) -> None:
    seen: list[tuple[bytes, bool]] = []

    async def program(container: FakeContainer) -> int:
        assert container.spec.binary_message is not None
        seen.append((container.spec.binary_message.read_bytes(), "MSG" in container.spec.environment))
        return 0

    lab.engine.programs["image"] = program
    actor = await lab.create()
    execution = await lab.send_binary(actor, b"\0\xff")
    await lab.ended([execution])
    assert seen == [(b"\0\xff", False)]
    await lab.until(lambda: not list(lab.settings.messages_dir.iterdir()))


async def test_a_token_is_given_only_where_it_is_wanted(lab: Lab) -> None:
    tokens: list[str] = []

    async def program(container: FakeContainer) -> int:
        tokens.append(container.spec.environment["_abaco_access_token"])
        return 0

    lab.engine.programs["image"] = program
    for wanted in (True, False, None):
        await lab.ended(await lab.send(await lab.create(token=wanted), "1"))
    assert tokens[1:] == ["", ""]
    claims = jwt.decode(tokens[0], options={"verify_signature": False})
    assert (claims["tapis/username"], claims["tapis/tenant_id"]) == (ADMIN.username, ADMIN.tenant)


async def test_an_execution_cancelled_before_its_container_is_made_never_runs(lab: Lab, diary: Diary) -> None:
    actor = await lab.create(diary, stateless=False)
    await lab.idle(actor)
    lab.runtime.stop_at = "before the run"
    cancelled, after = await lab.send(actor, "1", "2")
    await lab.runtime.reached.wait()
    await lab.executions.halt(actor.id, cancelled.id)
    assert lab.messages.waiting(actor) == 1
    lab.runtime.go_on.set()
    await lab.ended([cancelled, after])
    assert diary.messages == ["2"]
    assert (await lab.record(cancelled)).final_state == {"reason": "Cancelled before its start."}
    assert lab.messages.waiting(actor) == 0
    await lab.until(lambda: not lab.mailboxes.of(actor.id)._in_hand)


async def test_an_execution_halted_between_its_mark_and_its_start_is_stopped(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary)
    lab.runtime.stop_at = "after starting()"
    (execution,) = await lab.send(actor, "1")
    await lab.runtime.reached.wait()
    await lab.executions.halt(actor.id, execution.id)
    await lab.until(lambda: ("halt", execution.id) in lab.runtime.calls)
    lab.runtime.go_on.set()
    (record,) = await lab.ended([execution])
    assert record.status is ExecutionStatus.COMPLETE
    assert record.exit_code == 143


async def test_the_time_limit_ends_an_execution(tmp_path: Path, diary: Diary) -> None:
    diary.gate.clear()
    async with Lab(tmp_path, runs=RunSettings(max_run_seconds=0)) as lab:
        (record,) = await lab.ended(await lab.send(await lab.create(diary), "1"))
        assert (record.status, record.exit_code) == (ExecutionStatus.COMPLETE, 143)


async def test_an_engine_that_leaves_after_the_start_is_waited_for(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary)
    (execution,) = await lab.send(actor, "1")
    await lab.until(lambda: diary.at_once == 1)
    lab.engine.up = False
    diary.gate.set()
    await lab.until(lambda: diary.at_once == 0)
    assert (await lab.record(execution)).status is ExecutionStatus.RUNNING
    lab.engine.up = True
    (record,) = await lab.ended([execution])
    assert record.exit_code == 0
    assert await lab.log(execution) == "did 1\n"
