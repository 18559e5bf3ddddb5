from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abacod.config import StoreSettings
from abacod.errors import StorageUnavailable
from abacod.ids import ExecutionId, WorkerId
from abacod.models.actor import Actor
from abacod.models.message import Queued
from abacod.models.states import ExecutionStatus
from abacod.queue.mailbox import Mailbox, Reservation
from abacod.store import actors, executions, messages
from abacod.store.database import Database
from tests.factories import START, execution, message
from tests.factories import actor as an_actor

T = TypeVar("T")


class Post:
    """A mailbox with its store, and what everybody does with them."""

    def __init__(self, database: Database, actor: Actor) -> None:
        self.database = database
        self.actor = actor
        self.mailbox = Mailbox(actor.id, database)
        self.sent = 0

    @classmethod
    async def opened(cls, path: Path) -> Post:
        database = Database(path, StoreSettings(synchronous="OFF"))
        await database.open()
        owner = an_actor()
        await database.write(lambda tx: actors.insert(tx, owner))
        return cls(database, owner)

    async def send(self, count: int = 1) -> list[ExecutionId]:
        """Put messages in, numbered."""
        return [await self._send() for _ in range(count)]

    async def _send(self) -> ExecutionId:
        put = await self.put()
        self.mailbox.ring()
        return put.execution_id

    async def put(self) -> Queued:
        """Put a message in without telling the mailbox."""
        self.sent += 1
        new, text = execution(self.actor), message(str(self.sent))

        def record(tx: sqlite3.Connection) -> Queued:
            executions.insert(tx, new)
            return messages.append(tx, new, text)

        return await self.database.write(record)

    async def deliver(self, count: int = 1) -> list[ExecutionId]:
        """Put messages in, numbered, and hand them to the mailbox."""
        new = [await self.put() for _ in range(count)]
        for each in new:
            self.mailbox.deliver(each)
        return [each.execution_id for each in new]

    async def drop(self, *ids: ExecutionId) -> None:
        """Cancel these."""

        def remove(tx: sqlite3.Connection) -> None:
            for each in ids:
                messages.remove(tx, each)

        await self.database.write(remove)
        self.mailbox.forget(ids)

    async def purge(self) -> None:
        """Drop all that wait."""
        removed = await self.database.write(lambda tx: messages.remove_waiting(tx, self.actor.id))
        self.mailbox.forget(removed)

    async def settle(self, taken: Queued) -> None:
        """End the execution of a message."""
        await self.database.write(lambda tx: messages.remove(tx, taken.execution_id))
        self.mailbox.done(taken)

    async def take(self, count: int = 1) -> list[Queued]:
        """The next messages."""
        return [await self.mailbox.take() for _ in range(count)]


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    opened = await Post.opened(tmp_path / "abacod.db")
    yield opened
    await opened.database.close()


def bodies(taken: list[Queued]) -> list[str | None]:
    return [each.body for each in taken]


async def soon_waiting(task: asyncio.Task[Queued]) -> None:
    """Let a take go as far as it comes; it has asked the store and found nothing."""
    done, _ = await asyncio.wait([task], timeout=0.02)
    assert not done


async def test_messages_come_out_in_order_also_beyond_what_is_fetched_at_once(post: Post) -> None:
    await post.send(100)
    assert len(post.mailbox) == 100
    assert bodies(await post.take(100)) == [str(number) for number in range(1, 101)]
    assert len(post.mailbox) == 0


async def test_what_is_delivered_is_not_fetched_again(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = asyncio.create_task(post.mailbox.take())
    await soon_waiting(waiting)
    monkeypatch.setattr(post.database, "glance", None)
    await post.deliver(2)
    assert [(await waiting).body, *bodies(await post.take())] == ["1", "2"]
    assert len(post.mailbox) == 0


async def test_what_is_delivered_waits_for_those_before_it_of_which_nobody_told_yet(post: Post) -> None:
    waiting = asyncio.create_task(post.mailbox.take())
    await soon_waiting(waiting)
    silent = await post.put()
    await post.deliver()
    assert (await waiting).body == "1"
    post.mailbox.ring()
    assert bodies(await post.take()) == ["2"]
    assert silent.body == "1"


async def test_what_was_fetched_before_it_is_delivered_comes_once(post: Post) -> None:
    late = await post.put()
    assert bodies(await post.take()) == ["1"]
    post.mailbox.deliver(late)
    assert len(post.mailbox) == 0
    await post.send()
    assert bodies(await post.take()) == ["2"]


async def test_a_take_waits_for_the_next_message(post: Post) -> None:
    waiting = asyncio.create_task(post.mailbox.take())
    await soon_waiting(waiting)
    await post.send()
    assert (await waiting).body == "1"


async def test_every_waiting_taker_gets_a_message(post: Post) -> None:
    takers = [asyncio.create_task(post.mailbox.take()) for _ in range(5)]
    await soon_waiting(takers[0])
    await post.send(5)
    assert sorted(bodies(await asyncio.gather(*takers)), key=str) == ["1", "2", "3", "4", "5"]


async def test_a_cancelled_take_loses_nothing(post: Post) -> None:
    await post.send(40)
    taken: list[Queued] = []
    for steps in range(60):
        taker = asyncio.create_task(post.mailbox.take())
        for _ in range(steps % 7):
            await asyncio.sleep(0)
        taker.cancel()
        results = await asyncio.gather(taker, return_exceptions=True)
        taken += [result for result in results if isinstance(result, Queued)]
    taken += await post.take(40 - len(taken))
    assert bodies(taken) == [str(number) for number in range(1, 41)]


async def test_a_message_put_back_is_the_next_one_again(post: Post) -> None:
    await post.send(3)
    (first,) = await post.take()
    post.mailbox.put_back(first)
    assert len(post.mailbox) == 3
    assert bodies(await post.take(3)) == ["1", "2", "3"]


async def test_messages_put_back_out_of_turn_come_out_in_order(post: Post) -> None:
    await post.send(5)
    first, second, third = await post.take(3)
    for each in (first, third, second):
        post.mailbox.put_back(each)
    assert bodies(await post.take(5)) == ["1", "2", "3", "4", "5"]


async def test_a_message_put_back_wakes_a_taker(post: Post) -> None:
    await post.send()
    (first,) = await post.take()
    waiting = asyncio.create_task(post.mailbox.take())
    await soon_waiting(waiting)
    post.mailbox.put_back(first)
    assert await waiting == first


async def test_a_cancelled_message_is_not_handed_out(post: Post) -> None:
    ids = await post.send(4)
    await post.drop(ids[1])
    assert len(post.mailbox) == 3
    assert bodies(await post.take()) == ["1"]
    await post.drop(ids[2])
    assert len(post.mailbox) == 1
    assert bodies(await post.take()) == ["4"]


async def test_a_message_dropped_in_hand_does_not_come_back(post: Post) -> None:
    ids = await post.send(3)
    first, second = await post.take(2)
    await post.drop(ids[0])
    post.mailbox.put_back(first)
    await post.purge()
    post.mailbox.put_back(second)
    assert len(post.mailbox) == 0
    await post.send()
    assert bodies(await post.take()) == ["4"]


async def test_a_purge_told_after_the_message_was_put_back(post: Post) -> None:
    await post.send(2)
    (first,) = await post.take()
    removed = await post.database.write(lambda tx: messages.remove_waiting(tx, post.actor.id))
    post.mailbox.put_back(first)
    post.mailbox.forget(removed)
    assert len(post.mailbox) == 0


class Held(Database):
    """Holds the answers of reads back until told."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, StoreSettings(synchronous="OFF"))
        self.answered = asyncio.Event()
        self.go_on = asyncio.Event()

    async def glance(self, question: Callable[[sqlite3.Connection], T]) -> T:
        answer = await super().glance(question)
        self.answered.set()
        await self.go_on.wait()
        return answer


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[tuple[Held, Post]]:
    database = Held(tmp_path / "held.db")
    await database.open()
    owner = an_actor()
    await database.write(lambda tx: actors.insert(tx, owner))
    yield database, Post(database, owner)
    await database.close()


async def test_messages_dropped_while_they_are_fetched_are_not_handed_out(held: tuple[Held, Post]) -> None:
    database, post = held
    await post.send(3)
    taker = asyncio.create_task(post.mailbox.take())
    await database.answered.wait()
    await post.purge()
    assert len(post.mailbox) == 0
    await post.send()
    database.go_on.set()
    assert (await taker).body == "4"
    assert len(post.mailbox) == 0


async def test_a_message_that_rings_while_an_empty_store_answers_is_heard(held: tuple[Held, Post]) -> None:
    database, post = held
    taker = asyncio.create_task(post.mailbox.take())
    await database.answered.wait()
    await post.send()
    database.go_on.set()
    assert (await taker).body == "1"


async def test_the_count_is_never_negative_though_a_message_is_fetched_before_its_bell(post: Post) -> None:
    new = execution(post.actor)

    def record(tx: sqlite3.Connection) -> None:
        executions.insert(tx, new)
        messages.append(tx, new, message())

    await post.database.write(record)
    (taken,) = await post.take()
    assert len(post.mailbox) == 0
    post.mailbox.ring()
    assert len(post.mailbox) == 0
    post.mailbox.put_back(taken)
    assert len(post.mailbox) == 1


async def test_a_database_that_cannot_be_read_is_asked_again_by_the_next_take(held: tuple[Held, Post]) -> None:
    database, post = held
    await post.send()
    taker = asyncio.create_task(post.mailbox.take())
    await database.answered.wait()
    taker.cancel()
    database.go_on.set()
    assert bodies(await post.take()) == ["1"]
    await database.close()
    with pytest.raises(StorageUnavailable):
        await Mailbox(post.actor.id, database).take()


# What may happen to a mailbox; the number says to which message in hand.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["send", "deliver", "take", "take", "put back", "settle", "cancel waiting", "cancel in hand", "purge"]
        ),
        st.integers(0, 9),
    ),
    max_size=60,
)


@settings(max_examples=50, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 1000))
def test_whatever_happens_order_and_count_are_right(steps: list[tuple[str, int]], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(folder), steps, random.Random(seed)))


async def _play(folder: Path, steps: list[tuple[str, int]], chance: random.Random) -> None:
    post = await Post.opened(folder / "abacod.db")
    waiting: list[tuple[int, ExecutionId]] = []
    in_hand: dict[ExecutionId, tuple[int, Queued]] = {}
    gone: list[Queued] = []
    try:
        for what, which in steps:
            chosen = list(in_hand.values())[which % len(in_hand)] if in_hand else None
            if what in ("send", "deliver"):
                (new,) = await (post.send() if what == "send" else post.deliver())
                waiting.append((post.sent, new))
            elif what == "take" and waiting:
                number, expected = waiting.pop(0)
                taken = await post.mailbox.take()
                assert (taken.body, taken.execution_id) == (str(number), expected)
                in_hand[expected] = (number, taken)
            elif what == "put back" and chosen:
                post.mailbox.put_back(chosen[1])
                del in_hand[chosen[1].execution_id]
                waiting = sorted([*waiting, (chosen[0], chosen[1].execution_id)])
            elif what == "settle" and chosen:
                await post.settle(chosen[1])
                del in_hand[chosen[1].execution_id]
            elif what == "cancel waiting" and waiting:
                await post.drop(waiting.pop(chance.randrange(len(waiting)))[1])
            elif what == "cancel in hand" and chosen:
                await post.drop(chosen[1].execution_id)
                gone.append(in_hand.pop(chosen[1].execution_id)[1])
            elif what == "purge":
                await post.purge()
                gone += [taken for _, taken in in_hand.values()]
                waiting.clear()
                in_hand.clear()
            if gone and chance.random() < 0.5:
                post.mailbox.put_back(gone.pop())
            assert len(post.mailbox) == len(waiting)
        assert bodies(await post.take(len(waiting))) == [str(number) for number, _ in waiting]
    finally:
        await post.database.close()


WORKER = WorkerId("worker")


async def handed(post: Post, reservation: Reservation) -> Queued:
    """A message that was stored for a reserved worker."""
    post.sent += 1
    new = replace(
        execution(post.actor), status=ExecutionStatus.RUNNING, worker_id=reservation.worker_id, start_time=START
    )
    text = message(str(post.sent))

    def record(tx: sqlite3.Connection) -> Queued:
        executions.insert(tx, new)
        return messages.append(tx, new, text)

    queued = await post.database.write(record)
    post.mailbox.hand_over(reservation, queued)
    return queued


async def reserved(post: Post) -> tuple[asyncio.Task[Queued], Reservation]:
    """A worker that waits, and is reserved."""
    waiting = asyncio.create_task(post.mailbox.take(WORKER))
    await soon_waiting(waiting)
    reservation = post.mailbox.reserve()
    assert reservation is not None
    assert reservation.worker_id == WORKER
    return waiting, reservation


async def test_a_reserved_worker_gets_its_message_and_no_other(post: Post) -> None:
    waiting, reservation = await reserved(post)
    assert post.mailbox.takers == 0
    await post.send()
    await soon_waiting(waiting)
    assert len(post.mailbox) == 1
    queued = await handed(post, reservation)
    assert await waiting == queued
    assert queued.begun
    assert post.mailbox.in_hand == {queued.execution_id}
    assert len(post.mailbox) == 1
    assert bodies(await post.take()) == ["1"]
    await post.settle(queued)


async def test_a_worker_is_reserved_once_and_only_while_nothing_waits(post: Post) -> None:
    assert post.mailbox.reserve() is None
    waiting, reservation = await reserved(post)
    assert post.mailbox.reserve() is None
    reservation.release()
    nameless = asyncio.create_task(post.mailbox.take())
    await soon_waiting(nameless)
    assert post.mailbox.takers == 2
    again = post.mailbox.reserve()
    assert again is not None
    assert post.mailbox.reserve() is None, "a worker without a name is not reserved"
    again.release()
    await post.send(2)
    assert sorted(bodies([await waiting, await nameless]), key=str) == ["1", "2"]
    await post.send()
    assert post.mailbox.reserve() is None


async def test_a_worker_that_is_released_takes_what_came_meanwhile(post: Post) -> None:
    waiting, reservation = await reserved(post)
    await post.send()
    reservation.release()
    reservation.release()
    assert (await waiting).body == "1"


async def test_a_reserved_worker_that_is_to_end_still_gets_its_message(post: Post) -> None:
    assert not post.mailbox.let_go(WORKER)
    waiting, reservation = await reserved(post)
    assert post.mailbox.let_go(WORKER)
    queued = await handed(post, reservation)
    assert post.mailbox.let_go(WORKER), "it has not seen it yet"
    assert await waiting == queued
    assert not post.mailbox.let_go(WORKER)


@pytest.mark.parametrize("late", [True, False])
async def test_the_wait_of_a_reserved_worker_that_is_to_end_ends_without_a_message(post: Post, late: bool) -> None:
    waiting, reservation = await reserved(post)
    if late:
        reservation.release()
    assert post.mailbox.let_go(WORKER)
    reservation.release()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert post.mailbox.takers == 0


async def test_a_message_handed_to_nobody_is_not_in_hand(post: Post) -> None:
    waiting, reservation = await reserved(post)
    waiting.cancel()
    await asyncio.wait([waiting])
    await handed(post, reservation)
    assert not post.mailbox.in_hand


async def test_a_message_that_was_handed_over_and_is_put_back_comes_in_its_order(post: Post) -> None:
    waiting, reservation = await reserved(post)
    queued = await handed(post, reservation)
    assert await waiting == queued
    await post.send()
    await post.database.write(lambda tx: messages.mark_waiting(tx, queued.execution_id, failed=False))
    post.mailbox.put_back(queued.waiting)
    assert len(post.mailbox) == 2
    assert bodies(await post.take(2)) == ["1", "2"]
    assert len(post.mailbox) == 0


async def test_one_that_is_put_back_behind_what_was_fetched_comes_next(post: Post) -> None:
    waiting, reservation = await reserved(post)
    queued = await handed(post, reservation)
    await waiting
    await post.send(2)
    assert bodies(await post.take()) == ["2"]
    await post.database.write(lambda tx: messages.mark_waiting(tx, queued.execution_id, failed=False))
    post.mailbox.put_back(queued.waiting)
    assert bodies(await post.take(2)) == ["1", "3"]
    assert len(post.mailbox) == 0
