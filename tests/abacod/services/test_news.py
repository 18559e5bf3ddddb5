from __future__ import annotations

import asyncio

import pytest

from abacod.errors import Stopping
from abacod.ids import new_execution_id
from abacod.services.news import News

ONE, OTHER = new_execution_id(), new_execution_id()


async def test_what_comes_between_clearing_and_waiting_is_not_missed() -> None:
    news = News()
    with news.of(ONE) as watch:
        watch.clear()
        news.tell(ONE)
        await watch.wait()


async def test_all_who_wait_are_told_and_no_others() -> None:
    news = News()
    with news.of(ONE) as first, news.of(ONE) as second, news.of(OTHER) as other:
        news.tell(ONE)
        await first.wait()
        await second.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await other.wait()
        assert news.watched == 3
    assert news.watched == 0


async def test_the_end_of_the_daemon_ends_all_waits() -> None:
    news = News()
    with news.of(ONE) as watch:
        wait = asyncio.create_task(watch.wait(), name="wait")
        await asyncio.sleep(0)
        news.close()
        with pytest.raises(Stopping):
            await wait
    with news.of(OTHER) as late, pytest.raises(Stopping):
        await late.wait()
