from __future__ import annotations

import asyncio

from abacod.queue.mailboxes import Mailboxes
from abacod.store import actors, executions, messages
from abacod.store.database import Database, Transaction
from tests.factories import actor, execution, message


async def test_loading_counts_what_waits_and_rings_for_it(database: Database) -> None:
    first, second, third = actor(), actor(), actor()

    def record(tx: Transaction) -> None:
        for each, count in ((first, 2), (second, 1), (third, 1)):
            actors.insert(tx, each)
            for _ in range(count):
                new = execution(each)
                executions.insert(tx, new)
                messages.append(tx, new, message())
        messages.mark_started(tx, new.id)

    await database.write(record)
    mailboxes = Mailboxes(database)
    await mailboxes.load()
    assert mailboxes.lengths() == {first.id: 2, second.id: 1}
    assert set(await mailboxes.arrivals()) == {first.id, second.id}


async def test_arrivals_name_each_actor_once_in_order(database: Database) -> None:
    mailboxes = Mailboxes(database)
    first, second = actor(), actor()
    for each in (second, first, second):
        mailboxes.ring(each.id)
    assert await mailboxes.arrivals() == [second.id, first.id]
    assert mailboxes.lengths() == {second.id: 2, first.id: 1}
    # and nothing more until somebody rings again
    waiting = asyncio.create_task(mailboxes.arrivals())
    await asyncio.sleep(0)
    mailboxes.wake(first.id)
    assert await waiting == [first.id]


async def test_a_dropped_mailbox_is_forgotten_with_its_bell(database: Database) -> None:
    mailboxes = Mailboxes(database)
    gone = actor()
    mailboxes.ring(gone.id)
    mailboxes.drop(gone.id)
    mailboxes.drop(gone.id)
    assert mailboxes.lengths() == {}
    assert await mailboxes.arrivals() == []


async def test_a_mailbox_is_made_once(database: Database) -> None:
    mailboxes = Mailboxes(database)
    one = actor()
    assert mailboxes.of(one.id) is mailboxes.of(one.id)
    assert len(mailboxes.of(one.id)) == 0
