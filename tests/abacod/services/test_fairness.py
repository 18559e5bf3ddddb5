"""Who gets a place when there are not enough for all."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from abacod.config_workers import QueueSettings, WorkerSettings
from abacod.models.actor import Actor
from tests.factories import ADMIN, definition
from tests.fakes import FakeContainer
from tests.harness import Diary, Lab


class OneStepAtATime(Diary):
    """Lets one container end whenever the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._steps = asyncio.Semaphore(0)

    def step(self) -> None:
        self._steps.release()

    async def _until_told(self, container: FakeContainer) -> None:
        await self._steps.acquire()


async def one_after_the_other(lab: Lab, diary: OneStepAtATime, count: int) -> list[str]:
    """Let `count` containers run, each beginning when the one before it has ended; the messages, in order."""
    for done in range(count):
        await lab.until(lambda done=done: len(diary.messages) > done)  # type: ignore[misc]
        diary.step()
    return diary.messages


@pytest.mark.parametrize("stateless", [True, False])
async def test_an_actor_whose_mailbox_never_empties_lets_others_in_between(tmp_path: Path, stateless: bool) -> None:
    diary = OneStepAtATime()
    async with Lab(tmp_path, workers=WorkerSettings(max_per_host=1)) as lab:
        # given one place, and an actor with more to do than it will ever get done
        greedy = await lab.create(diary, stateless=stateless)
        sent = await lab.send(greedy, "g1", "g2", "g3", "g4", "g5")
        await lab.until(lambda: diary.messages == ["g1"])
        # when two others get messages
        second, third = await lab.create(diary), await lab.create(diary, stateless=False)
        sent += await lab.send(second, "s1", "s2")
        await lab.until(lambda: second.id in lab.pools._starved)
        sent += await lab.send(third, "t1", "t2")
        await lab.until(lambda: third.id in lab.pools._starved)
        # then they take turns, a message each, in the order in which they came
        order = await one_after_the_other(lab, diary, 9)
        assert order == ["g1", "s1", "t1", "g2", "s2", "t2", "g3", "g4", "g5"]
        await lab.ended(sent)
        assert diary.most_at_once == 1


async def test_alone_a_busy_actor_keeps_its_worker(tmp_path: Path, diary: Diary) -> None:
    async with Lab(tmp_path, workers=WorkerSettings(max_per_host=1)) as lab:
        actor = await lab.create(diary)
        records = await lab.ended(await lab.send(actor, *"12345"))
        assert len({record.worker_id for record in records}) == 1


async def test_growing_waits_until_everybody_has_a_worker(tmp_path: Path) -> None:
    diary = OneStepAtATime()
    async with Lab(tmp_path, workers=WorkerSettings(max_per_host=2)) as lab:
        # given an actor with both places, and one without
        greedy = await lab.create(diary)
        sent = await lab.send(greedy, "g1", "g2", "g3", "g4")
        await lab.until(lambda: diary.at_once == 1)
        await lab.autoscaler.run_once()
        await lab.until(lambda: diary.at_once == 2)
        other = await lab.create(diary)
        sent += await lab.send(other, "o1", "o2")
        await lab.until(lambda: other.id in lab.pools._starved)
        # when a place becomes free, and the autoscaler looks just then
        diary.step()
        await lab.until(lambda: len(lab.pools.viable(greedy.id)) == 1)
        assert lab.pools.grow(greedy, 2) == 0
        # then the other one gets it
        await lab.until(lambda: diary.messages[-1] == "o1")
        assert lab.pools.grow(greedy, 2) == 0
        for _ in range(5):
            diary.step()
        await lab.ended(sent)


async def test_a_queue_s_limit_holds_and_leaves_the_other_queues_alone(tmp_path: Path, diary: Diary) -> None:
    limits = WorkerSettings(max_per_host=4, queues={"special": QueueSettings(max_workers=1)})
    async with Lab(tmp_path, workers=limits) as lab:
        diary.gate.clear()
        first = await lab.create(diary, queue="special")
        sent = await lab.send(first, "1", "2")
        await lab.until(lambda: diary.at_once == 1)
        await lab.autoscaler.run_once()
        assert lab.pools.grow(first, 3) == 0
        second = await lab.create(diary, queue="special")
        sent += await lab.send(second, "3")
        await lab.until(lambda: second.id in lab.pools._starved)
        usual = await lab.create(diary)
        sent += await lab.send(usual, "4")
        await lab.until(lambda: diary.at_once == 2)
        assert lab.pools.grow(usual, 3) == 2
        diary.gate.set()
        await lab.ended(sent)


async def test_only_an_idle_worker_of_the_same_queue_makes_place_in_a_full_queue(tmp_path: Path, diary: Diary) -> None:
    limits = WorkerSettings(max_per_host=9, queues={"special": QueueSettings(max_workers=1)})
    async with Lab(tmp_path, workers=limits) as lab:
        usual, first = await lab.create(), await lab.create(queue="special")
        await lab.idle(usual)
        await lab.idle(first)
        second = await lab.create(diary, queue="special")
        await lab.ended(await lab.send(second, "1"))
        assert not lab.pools.workers_of(first.id)
        await lab.idle(usual)


async def test_an_actor_that_moves_to_another_queue_takes_its_workers_along(tmp_path: Path, diary: Diary) -> None:
    limits = WorkerSettings(queues={"special": QueueSettings(max_workers=1)})
    async with Lab(tmp_path, workers=limits) as lab:
        actor = await lab.create(diary)
        await lab.idle(actor)
        lab.pools.grow(actor, 3)
        await lab.idle(actor, 3)
        await lab.actors.update(ADMIN, actor.id, definition(queue="special"), force=False)
        await lab.idle(actor, 1)
        now = await lab.actor(actor)
        assert now is not None
        assert now.revision == 1
        assert lab.pools.grow(now, 2) == 0


async def test_a_starved_actor_that_is_deleted_leaves_its_turn_to_the_next(tmp_path: Path) -> None:
    diary = OneStepAtATime()
    async with Lab(tmp_path, workers=WorkerSettings(max_per_host=1)) as lab:
        busy, gone, last = await lab.create(diary), await lab.create(diary), await lab.create(diary)
        sent = await lab.send(busy, "b1", "b2")
        await lab.until(lambda: diary.messages == ["b1"])
        for actor, text in ((gone, "g1"), (last, "l1")):
            sent += await lab.send(actor, text)
            await lab.until(lambda actor=actor: actor.id in lab.pools._starved)  # type: ignore[misc]
        assert await lab.actors.delete(gone)
        assert await one_after_the_other(lab, diary, 3) == ["b1", "l1", "b2"]
        await lab.ended(sent)


@pytest.mark.parametrize("seed", range(6))
async def test_nobody_is_forgotten_whatever_comes_together(tmp_path: Path, diary: Diary, seed: int) -> None:
    chance = random.Random(seed)
    host = chance.randint(1, 4)
    queues = {name: QueueSettings(max_workers=chance.randint(1, 3)) for name in ("default", "special")}
    async with Lab(tmp_path, workers=WorkerSettings(max_per_host=host, queues=queues)) as lab:
        made: list[Actor] = []
        sent = []
        for number in range(60):
            if number % 10 == 0:
                queue = chance.choice(["default", "special"])
                made.append(await lab.create(diary, stateless=chance.random() < 0.5, queue=queue))
            actor = chance.choice(made)
            sent += await lab.send(actor, f"{actor.id} {number}")
            match chance.randrange(8):
                case 0:
                    await lab.autoscaler.run_once()
                case 1 if workers := lab.pools.all_workers():
                    chance.choice(workers).stop()
                case 2:
                    now = await lab.actor(actor)
                    assert now is not None
                    given = definition(stateless=now.definition.stateless, queue=now.definition.queue)
                    await lab.actors.update(ADMIN, actor.id, given, force=True)
        await lab.ended(sent)
        assert diary.most_at_once <= host
        assert Counter(diary.messages).most_common(1)[0][1] == 1
        for actor in made:
            if not actor.definition.stateless:
                mine = [int(text.split()[1]) for text in diary.messages if text.startswith(actor.id)]
                assert mine == sorted(mine)
