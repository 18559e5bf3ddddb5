"""Searches: the index behind the records, and their bounds."""

from __future__ import annotations

import asyncio

import pytest

from abacod.errors import SearchTooSlow
from abacod.models.search import Limits, Query, read_query
from abacod.services.search import Search, index_all
from abacod.store import executions
from abacod.store.database import Transaction
from tests.factories import ADMIN, actor, execution
from tests.harness import Diary, Lab


def search_in(lab: Lab, *, timeout: float = 5, at_once: int = 2) -> Search:
    return Search(
        lab.database, lab.pools, lab.executor, lab.clock, timeout=timeout, at_once=at_once, default_token=False
    )


def query(*pairs: tuple[str, str]) -> Query:
    return read_query(pairs, Limits(10, 100, 10))


async def fill(lab: Lab, count: int) -> None:
    """Add executions that were never indexed."""

    def insert(tx: Transaction) -> None:
        of = actor()
        for _ in range(count):
            executions.insert(tx, execution(of))

    await lab.database.write(insert)


async def waiting(lab: Lab) -> int:
    """How many executions are still to be indexed."""
    found = await lab.database.read(lambda tx: tx.execute("SELECT count(*) FROM executions_to_index").fetchone())
    return int(found[0])


async def test_a_search_finds_what_was_committed_before_it(lab: Lab, diary: Diary) -> None:
    of = await lab.create(diary, name="counter")
    (sent,) = await lab.ended(await lab.send(of, "x"))
    search = search_in(lab)
    assert [each.id for each in (await search.executions(ADMIN, query(("search", "complete")))).records] == [sent.id]
    assert [each.text for each in (await search.logs(ADMIN, query(("search", "did")))).records] == ["did x\n"]
    assert [each.id for each in (await search.actors(ADMIN, query(("search", "counters")))).records] == [of.id]


async def test_only_a_search_for_words_writes_the_index(lab: Lab) -> None:
    await fill(lab, 3)
    await search_in(lab).executions(ADMIN, query(("id", "x")))
    assert await waiting(lab) == 3
    await search_in(lab).executions(ADMIN, query(("search", "x")))
    assert await waiting(lab) == 0


async def test_the_janitor_keeps_the_index_from_falling_behind(lab: Lab) -> None:
    await fill(lab, 450)
    await lab.janitor.run_once()
    assert await waiting(lab) == 0


async def test_a_search_does_not_wait_for_ever_for_the_index(lab: Lab) -> None:
    await fill(lab, 450)
    with pytest.raises(SearchTooSlow, match="still being written"):
        await search_in(lab, timeout=-1).executions(ADMIN, query(("search", "x")))
    # What has been done is kept.
    assert 0 < await waiting(lab) < 450
    await index_all(lab.database, "executions")
    assert await waiting(lab) == 0


async def test_the_log_of_a_running_container_shows_what_is_not_on_disk_yet(lab: Lab, diary: Diary) -> None:
    diary.gate.clear()
    of = await lab.create(diary)
    (sent,) = await lab.send(of, "x")
    await lab.until(lambda: bool(diary.messages))
    progress = lab.executor.progress_of(sent.id)
    assert progress
    await progress.log(b"only in memory")
    (found,) = (await search_in(lab).logs(ADMIN, query(("id", sent.id)))).records
    assert found.text == await lab.log(sent)
    assert "only in memory" in found.text
    diary.gate.set()
    await lab.ended([sent])


async def test_only_so_many_searches_go_on_at_once(lab: Lab) -> None:
    await fill(lab, 1)
    search = search_in(lab, at_once=1)
    reading, most = 0, 0
    go_on = asyncio.Event()
    asked: list[asyncio.Task[object]] = []

    async def note() -> None:
        nonlocal reading, most
        if asyncio.current_task() not in asked:
            return  # some other part of the daemon
        reading += 1
        most = max(most, reading)
        await go_on.wait()
        reading -= 1

    lab.database.before_read = note
    asked += [asyncio.create_task(search.executions(ADMIN, query(("id", "x")))) for _ in range(4)]
    await lab.until(lambda: most > 0)
    go_on.set()
    await asyncio.gather(*asked)
    lab.database.before_read = None
    assert most == 1
