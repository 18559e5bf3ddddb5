from __future__ import annotations

from pathlib import Path

import pytest

from abacod.errors import InvalidField, Unavailable, WorkerNotFound
from abacod.ids import new_worker_id
from abacod.models.states import WorkerStatus
from abacod.services.workers import Ensured
from tests.harness import Diary, Lab


async def test_workers_are_added_up_to_the_number_and_never_fewer(lab: Lab) -> None:
    actor = await lab.create()
    await lab.idle(actor)
    assert lab.workers.ensure(actor, 3) == Ensured(before=1, started=2)
    await lab.idle(actor, 3)
    assert lab.workers.ensure(actor, 2) == Ensured(before=3, started=0)
    assert len(lab.workers.listed(actor)) == 3


@pytest.mark.parametrize("wanted", [-1, 0, 76])
async def test_a_number_without_sense_is_refused(lab: Lab, wanted: int) -> None:
    with pytest.raises(InvalidField, match="from 1 to 75"):
        lab.workers.ensure(await lab.create(), wanted)


async def test_a_stateful_actor_has_one_worker(lab: Lab) -> None:
    actor = await lab.create(stateless=False)
    await lab.idle(actor)
    assert lab.workers.ensure(actor, 1).started == 0
    with pytest.raises(InvalidField, match="stateful actors can only have 1 worker"):
        lab.workers.ensure(actor, 2)


async def test_a_stand_by_worker_of_the_reference_never_runs_beside_the_first(tmp_path: Path, diary: Diary) -> None:
    async with Lab(tmp_path, compat="abaco") as lab:
        actor = await lab.create(diary, stateless=False)
        first = (await lab.idle(actor))[0]
        assert lab.workers.ensure(actor, 2).started == 1
        await lab.idle(actor, 2)
        await lab.ended(await lab.send(actor, "1", "2", "3"))
        first.stop()
        await lab.ended(await lab.send(actor, "4"))
        assert diary.messages == ["1", "2", "3", "4"]
        assert diary.most_at_once == 1


async def test_one_worker_is_shown_and_stopped(lab: Lab) -> None:
    actor, other = await lab.create(), await lab.create()
    (worker,) = await lab.idle(actor)
    assert lab.workers.get(actor, worker.id).status is WorkerStatus.READY
    for stranger in (new_worker_id(), worker.id):
        with pytest.raises(WorkerNotFound):
            lab.workers.get(other, stranger)
        with pytest.raises(WorkerNotFound):
            lab.workers.stop(other, stranger)
    lab.workers.stop(actor, worker.id)
    await lab.until(lambda: not lab.workers.listed(actor))


async def test_a_worker_that_is_stopped_at_work_finishes_it(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    actor = await lab.create(diary)
    sent = await lab.send(actor, "1", "2")
    await lab.until(lambda: diary.at_once == 1)
    lab.workers.stop(actor, lab.workers.listed(actor)[0].id)
    assert lab.worker_statuses(actor) == [WorkerStatus.SHUTDOWN_REQUESTED]
    diary.gate.set()
    records = await lab.ended(sent)
    assert [record.exit_code for record in records] == [0, 0]
    assert records[0].worker_id != records[1].worker_id


async def test_no_worker_is_promised_before_any_can_start(lab: Lab) -> None:
    actor = await lab.create()
    lab.engine.up = False
    # when the engine is away at the start, and what an earlier daemon left cannot be taken up
    await lab.reopen()
    with pytest.raises(Unavailable, match="Try again"):
        lab.workers.ensure(actor, 2)
