from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abacod.config import LogSettings, ResultSettings
from abacod.errors import StorageUnavailable
from abacod.ids import new_worker_id
from abacod.models.execution import Execution
from abacod.models.states import ExecutionStatus
from abacod.services.news import Answer, News
from abacod.services.progress import TRUNCATED, Progress, decode
from abacod.store import actors, executions, logs, messages, results
from abacod.store.database import Database, Transaction
from tests.factories import START, actor, execution, message
from tests.fakes import FakeClock


@pytest.fixture
async def waiting(database: Database) -> Execution:
    of = actor()
    new = execution(of)

    def record(tx: Transaction) -> None:
        actors.insert(tx, of)
        executions.insert(tx, new)
        messages.append(tx, new, message())

    await database.write(record)
    return new


class Kept:
    """A progress and what is on disk of it."""

    def __init__(self, database: Database, of: Execution, settings: LogSettings, most_results: int = 3) -> None:
        self.clock = FakeClock()
        self.news = News()
        self.database = database
        self.id = of.id
        self.progress = Progress(
            of.id,
            new_worker_id(),
            database,
            settings,
            self.clock,
            kept_results=ResultSettings(max_per_execution=most_results),
            news=self.news,
        )

    async def on_disk(self) -> bytes:
        return await self.database.read(lambda tx: logs.whole(tx, self.id, START))

    async def pieces(self) -> int:
        return await self.database.read(lambda tx: len(tx.execute("SELECT 1 FROM log_pieces").fetchall()))

    async def shown(self) -> bytes:
        on_disk, in_memory = self.progress.snapshot()
        return (await self.on_disk())[:on_disk] + in_memory

    async def finish(self) -> bytes:
        await self.database.write(self.progress.finish)
        return await self.on_disk()


async def test_the_start_is_marked_on_disk(database: Database, waiting: Execution) -> None:
    kept = Kept(database, waiting, LogSettings())
    await kept.progress.starting()
    stored = await database.read(lambda tx: executions.find(tx, waiting.id))
    assert stored is not None
    assert (stored.status, stored.start_time) == (ExecutionStatus.RUNNING, kept.progress.started_at)
    assert await database.read(messages.waiting_counts) == {}


async def test_the_log_is_flushed_when_its_time_has_come(database: Database, waiting: Execution) -> None:
    kept = Kept(database, waiting, LogSettings(flush_seconds=1))
    await kept.progress.log(b"one ")
    assert await kept.on_disk() == b""
    await kept.clock.advance(1)
    await kept.progress.log(b"two ")
    assert await kept.on_disk() == b"one two "
    await kept.progress.log(b"three")
    assert await kept.on_disk() == b"one two "
    assert await kept.shown() == await kept.finish() == b"one two three"


async def test_a_large_log_is_flushed_in_pieces(database: Database, waiting: Execution) -> None:
    kept = Kept(database, waiting, LogSettings())
    for _ in range(10):
        await kept.progress.log(b"x" * 30_000)
    assert await kept.pieces() == 3
    assert await kept.finish() == b"x" * 300_000


@pytest.mark.parametrize(("size", "cut"), [(99, False), (100, False), (101, True), (1000, True)])
async def test_a_log_is_cut_at_the_limit_with_a_notice(
    database: Database, waiting: Execution, size: int, cut: bool
) -> None:
    kept = Kept(database, waiting, LogSettings(max_bytes=100, flush_seconds=1e-9))
    for _ in range(size):
        await kept.progress.log(b"x")
    expected = b"x" * min(size, 100) + (TRUNCATED.encode() if cut else b"")
    assert await kept.shown() == expected
    assert await kept.finish() == expected


@pytest.mark.parametrize("again", [b"", b"one", b"one two three", b"one two three four"])
async def test_a_log_that_restarts_has_no_byte_twice(database: Database, waiting: Execution, again: bytes) -> None:
    kept = Kept(database, waiting, LogSettings(flush_seconds=1e-9, max_bytes=12))
    for piece in (b"one ", b"two ", b"three"):
        await kept.clock.advance(1)
        await kept.progress.log(piece)
    await kept.progress.log_restarts()
    assert await kept.shown() == b""
    await kept.clock.advance(1)
    await kept.progress.log(again)
    expected = again if len(again) <= 12 else again[:12] + TRUNCATED.encode()
    assert await kept.shown() == expected
    assert await kept.finish() == expected


async def test_a_flush_that_fails_or_is_cut_off_loses_nothing(database: Database, waiting: Execution) -> None:
    kept = Kept(database, waiting, LogSettings(flush_seconds=1e-9))
    await kept.clock.advance(1)
    flushing = asyncio.create_task(kept.progress.log(b"one "))
    await asyncio.sleep(0)
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    await kept.clock.advance(1)
    await kept.progress.log(b"two")
    assert await kept.finish() == b"one two"


async def test_a_flush_the_database_refuses_is_made_up_for(database: Database, waiting: Execution) -> None:
    kept = Kept(database, waiting, LogSettings(flush_seconds=1e-9))
    used = await database.read(lambda tx: int(tx.execute("PRAGMA page_count").fetchone()[0]))
    await database.write(lambda tx: tx.execute(f"PRAGMA max_page_count = {used + 1}").fetchone())
    await kept.clock.advance(1)
    await kept.progress.log(b"x" * 50_000)
    assert await kept.on_disk() == b""
    assert await kept.shown() == b"x" * 50_000
    await database.write(lambda tx: tx.execute("PRAGMA max_page_count = 1000000").fetchone())
    await kept.clock.advance(1)
    await kept.progress.log(b"y")
    assert await kept.on_disk() == b"x" * 50_000 + b"y"


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert decode(b"a\xffb\xc3\xbc") == "a\ufffdbü"
    assert decode(b"a\xc3") == "a\ufffd"


def test_a_character_cut_by_the_limit_is_left_out() -> None:
    assert decode("aü".encode()[:2] + TRUNCATED.encode()) == "a" + TRUNCATED
    assert decode(b"a\xff" + TRUNCATED.encode()) == "a\ufffd" + TRUNCATED


@given(st.binary())
def test_every_log_can_be_read(log: bytes) -> None:
    assert decode(log + TRUNCATED.encode()).endswith(TRUNCATED)
    assert decode(log).encode(errors="strict") or not log


async def test_results_wait_for_a_database_that_refuses(
    database: Database, waiting: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(database, waiting, LogSettings())
    write, refusals = database.write, [StorageUnavailable("full"), StorageUnavailable("full")]

    async def refuse(question: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return await write(question)

    monkeypatch.setattr(database, "write", refuse)
    storing = asyncio.create_task(kept.progress.results([b"1", b"2"]), name="storing")
    for _ in range(2):
        await kept.clock.until_asleep()
        assert not storing.done()
        await kept.clock.advance(1)
    await storing

    assert await database.read(lambda tx: results.waiting(tx, waiting.id, kept.clock.now()))


async def stored(kept: Kept) -> list[bytes]:
    popped: list[bytes] = []
    while (result := await kept.database.write(lambda tx: results.pop(tx, kept.id, START))) is not None:
        popped.append(result)
    return popped


async def test_an_answer_nobody_waits_for_is_stored_with_the_end(database: Database, waiting: Execution) -> None:
    kept = Kept(database, waiting, LogSettings())
    kept.progress.answer(b"result")
    kept.progress.settling()
    assert await stored(kept) == []
    await kept.finish()
    await kept.progress.answered()
    assert await stored(kept) == [b"result"]


async def test_an_answer_somebody_waits_for_goes_to_them_once_the_end_is_stored(
    database: Database, waiting: Execution
) -> None:
    kept = Kept(database, waiting, LogSettings())
    kept.news.expect(waiting.id)
    with kept.news.answer_to(waiting.id) as reply:
        kept.progress.answer(b"result")
        kept.progress.settling()
        await kept.finish()
        assert kept.news.expects(waiting.id)
        await kept.progress.answered()
        assert reply.answer == Answer(b"result")
    assert await stored(kept) == []


async def test_an_answer_whose_sender_goes_meanwhile_is_stored(database: Database, waiting: Execution) -> None:
    kept = Kept(database, waiting, LogSettings())
    kept.news.expect(waiting.id)
    with kept.news.answer_to(waiting.id):
        kept.progress.answer(b"result")
        kept.progress.settling()
        await kept.finish()
    await kept.progress.answered()
    assert await stored(kept) == [b"result"]


async def test_the_first_result_goes_to_who_waits_and_the_others_to_the_disk(
    database: Database, waiting: Execution
) -> None:
    kept = Kept(database, waiting, LogSettings())
    kept.news.expect(waiting.id)
    with kept.news.answer_to(waiting.id) as reply:
        await kept.progress.results([b"1", b"2"])
        await kept.progress.results([b"3"])
        assert reply.answer == Answer(b"1")
    assert await stored(kept) == [b"2", b"3"]
