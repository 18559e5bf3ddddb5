from __future__ import annotations

import asyncio

import pytest

from abacod.errors import Stopping
from abacod.ids import new_execution_id
from abacod.services.news import Answer, News

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


async def test_an_answer_is_handed_over_once_and_to_nobody_who_has_gone() -> None:
    news = News()
    assert not news.give(ONE, Answer(b"early"))
    news.expect(ONE)
    with news.answer_to(ONE) as reply:
        assert news.expects(ONE)
        assert news.give(ONE, Answer(b"first"))
        assert not news.expects(ONE)
        assert not news.give(ONE, Answer(b"second"))
        assert reply.answer == Answer(b"first")
    assert not news.give(ONE, Answer(b"late"))
    assert news.watched == 0


async def test_who_began_to_wait_too_late_is_handed_nothing() -> None:
    news = News()
    with news.answer_to(ONE) as reply:
        assert not news.give(ONE, Answer(b"maybe not the first"))
        news.tell_course(ONE)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await reply.wait()
        news.tell(ONE)
        await reply.wait()


async def test_a_message_that_was_not_sent_is_not_waited_for() -> None:
    news = News()
    news.expect(ONE)
    news.expect_no_more(ONE)
    assert news.watched == 0
