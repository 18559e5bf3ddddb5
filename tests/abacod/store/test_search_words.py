"""Words and phrases in a search, and the index that finds them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from abacod.ids import ExecutionId, WorkerId
from abacod.models.states import ActorStatus
from abacod.store import actors, executions, logs, words
from tests.abacod.store.shelf import NOW, Shelf
from tests.factories import START


def test_words_are_found_in_any_form_and_case_and_the_best_come_first(shelf: Shelf) -> None:
    a = shelf.actor("one", description="Counts the words of a text")
    shelf.actor("two", description="nothing of interest")
    shelf.actor("three", description="word word word", image="lab/counting")
    assert shelf.find("actors", ("search", "WORD counted")) == ["three", "one"]
    assert shelf.find("actors", ("search", "word"), ("search", "texts")) == ["one"]
    assert shelf.find("actors", ("search", "absent words")) == ["three", "one"]
    assert shelf.find("actors", ("search", "word"), ("name", "one")) == ["one"]
    assert shelf.find("actors", ("search", "lab")) == ["three"]
    assert shelf.find("actors", ("search", a)) == ["one"]
    assert shelf.find("actors", ("search", "definition")) == []
    page = shelf.page("actors", [("search", "word"), ("limit", "1"), ("skip", "1")])
    assert (len(page.numbers), page.total) == (1, 2)


def test_a_phrase_is_found_as_it_is_written(shelf: Shelf) -> None:
    shelf.actor("one", description="the running total, lab/image:1")
    shelf.actor("two", description="the run in total; lab image 1")
    assert shelf.find("actors", ("exactsearch", "Running Total")) == ["one"]
    assert shelf.find("actors", ("exactsearch", "run")) == ["two"]
    assert shelf.find("actors", ("exactsearch", "lab/image:1")) == ["one"]
    assert shelf.find("actors", ("exactsearch", "total")) == ["one", "two"]
    assert shelf.find("actors", ("exactsearch", "the total")) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        '"',
        "''",
        "*",
        "AND",
        "NOT x",
        "text:x",
        "a* OR",
        "NEAR(a b, 2)",
        "^a",
        "{a b}:c",
        "(",
        "\0",
        "-",
        "+x",
        "é\u0301",
    ],
)
@pytest.mark.parametrize("parameter", ["search", "exactsearch"])
def test_nothing_in_a_text_is_an_operator(shelf: Shelf, parameter: str, text: str) -> None:
    shelf.actor("one", description="nothing")
    assert shelf.find("actors", (parameter, text)) == []


def test_many_texts_are_looked_for_at_once(shelf: Shelf) -> None:
    shelf.actor("one", description=" ".join(f"word{number}" for number in range(100)))
    shelf.actor("two", description=" ".join(f"word{number}" for number in range(99)))
    words_and_phrases = [("search" if number % 2 else "exactsearch", f"word{number}") for number in range(100)]
    assert shelf.find("actors", *words_and_phrases) == ["one"]


def test_what_changes_is_found_as_it_is_now(shelf: Shelf) -> None:
    a = shelf.actor("one", description="x")
    assert shelf.find("actors", ("search", "submitted")) == ["one"]
    actors.set_status(shelf.tx, a, ActorStatus.ERROR, "image missing")
    assert shelf.find("actors", ("search", "submitted")) == []
    assert shelf.find("actors", ("search", "missing")) == ["one"]
    shelf.execution(a, "e1", end=False)
    assert shelf.find("executions", ("search", "submitted")) == ["e1"]
    executions.start(shelf.tx, ExecutionId("e1"), WorkerId("w"), START)
    assert shelf.find("executions", ("search", "running")) == ["e1"]
    executions.fail(shelf.tx, ExecutionId("e1"), {"reason": "Lost the container."}, START, None)
    assert shelf.find("executions", ("search", "running")) == []
    assert shelf.find("executions", ("search", "reason")) == []
    assert shelf.find("executions", ("search", "lost")) == ["e1"]
    actors.delete(shelf.tx, a)
    assert shelf.find("actors", ("search", "missing")) == []
    assert shelf.find("executions", ("search", "lost")) == []


def test_a_log_is_found_by_its_words_until_its_time_is_over(shelf: Shelf) -> None:
    a = shelf.actor("one")
    shelf.execution(a, "e1", "größer ist \ud7ff ERRORS".encode() + b"\xff\0 end")
    shelf.execution(a, "e2", b"running still", end=False)
    for text in ("error", "GROSSER", "größer", "end"):
        assert shelf.find("logs", ("search", text)) == (["e1"] if text != "GROSSER" else [])
    assert shelf.find("logs", ("search", "still")) == []  # only logs that have ended are indexed
    assert shelf.find("logs", ("logs.like", "still")) == ["e2"]
    shelf.tx.execute("UPDATE executions SET log_expires_ms = 1 WHERE id = 'e1'")
    assert shelf.find("logs") == ["e2"]
    assert not logs.remove_expired(shelf.tx, NOW)
    assert shelf.find("logs") == ["e2"]
    assert shelf.find("logs", ("search", "error")) == []
    assert shelf.tx.execute("SELECT count(*) FROM log_words").fetchone()[0] == 0


def test_texts_are_found_in_a_log_of_any_length(shelf: Shelf) -> None:
    a = shelf.actor("one")
    filler = b"nothing to see here\n" * 20_000
    shelf.execution(a, "long", b"first light\n" + filler + b"second thoughts\n" + filler + b"last orders\n")
    shelf.execution(a, "short", b"first orders, and second ones\n")
    shelf.execution(a, "other", filler)
    assert shelf.find("logs", ("search", "first"), ("search", "orders")) == ["short", "long"]
    assert shelf.find("logs", ("search", "light"), ("exactsearch", "second thoughts")) == ["long"]
    assert shelf.find("logs", ("exactsearch", "last orders"), ("exactsearch", "first light")) == ["long"]
    assert shelf.find("logs", ("exactsearch", "orders first")) == []
    assert shelf.find("logs", ("logs.like", "thoughts\nnothing")) == ["long"]
    assert shelf.page("logs", [("search", "nothing")]).total == 2


def test_the_logs_of_a_deleted_actor_leave_no_words(shelf: Shelf) -> None:
    a = shelf.actor("one")
    shelf.execution(a, "e1", b"secret")
    assert shelf.find("logs", ("search", "secret")) == ["e1"]
    assert logs.remove_some_of_actor(shelf.tx, a, 0) is not None
    actors.delete(shelf.tx, a)
    assert shelf.tx.execute("SELECT count(*) FROM log_words").fetchone()[0] == 0


def test_the_index_is_written_a_little_at_a_time(shelf: Shelf) -> None:
    a = shelf.actor("one")
    for number in range(3):
        shelf.execution(a, f"e{number}", b"word " * 60_000)
    steps = []
    while words.catch_up(shelf.tx, "executions"):
        steps.append(shelf.tx.execute("SELECT sum(size) FROM log_archive").fetchone()[0])
    assert len(steps) > 1
    assert all(0 < later - earlier < 500_000 for earlier, later in pairwise([0, *steps, 900_000]))
    assert shelf.find("logs", ("search", "words")) == ["e0", "e1", "e2"]
