"""Logs that are put away: the same bytes, fewer of them on disk, and no words left of what is forgotten."""

from __future__ import annotations

import random
import sqlite3
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abacod.ids import ExecutionId
from abacod.store import executions, log_archive, logs
from abacod.store.log_archive import PIECE, unpacked
from tests.factories import START, actor, execution

LINE = b"the quick brown fox jumps over the lazy dog\n"


def kept(tx: sqlite3.Connection, *pieces: bytes) -> tuple[int, ExecutionId]:
    """An execution that wrote these pieces and has ended: its `seq` and id."""
    one = execution(actor())
    executions.insert(tx, one)
    position = 0
    for piece in pieces:
        logs.append(tx, one.id, position, piece)
        position += len(piece)
    executions.fail(tx, one.id, {}, START, None)
    return tx.execute("SELECT seq FROM executions WHERE id = ?", (one.id,)).fetchone()[0], one.id


def put_away(tx: sqlite3.Connection, seq: int, execution_id: ExecutionId) -> list[int]:
    """Put all of the log away; the sizes of its pieces, in bytes."""
    steps = [log_archive.put_away(tx, seq, execution_id)]
    while not steps[-1].done:
        steps.append(log_archive.put_away(tx, seq, execution_id))
    return [step.size for step in steps if step.size]


def sizes_on_disk(tx: sqlite3.Connection) -> list[int]:
    return [row[0] for row in tx.execute("SELECT length(data) FROM log_archive ORDER BY position")]


def found(tx: sqlite3.Connection, word: str) -> int:
    rows = tx.execute("SELECT count(*) FROM log_words WHERE log_words MATCH ?", (word,))
    return int(rows.fetchone()[0])


def test_small_pieces_become_one_and_what_repeats_becomes_short(tx: sqlite3.Connection) -> None:
    seq, one = kept(tx, *[LINE] * 100)
    assert put_away(tx, seq, one) == [len(LINE) * 100]
    assert logs.whole(tx, one, START) == LINE * 100
    assert sizes_on_disk(tx)[0] < 10 * len(LINE)
    assert tx.execute("SELECT count(*) FROM log_pieces").fetchone()[0] == 0


def test_what_packing_makes_no_shorter_stays_as_it_is(tx: sqlite3.Connection) -> None:
    seq, one = kept(tx, b"hello\n")
    assert put_away(tx, seq, one) == [6]
    assert [bytes(row[0]) for row in tx.execute("SELECT data FROM log_archive")] == [b"hello\n"]
    assert logs.whole(tx, one, START) == b"hello\n"


def test_nothing_is_put_away_of_an_empty_log(tx: sqlite3.Connection) -> None:
    seq, one = kept(tx)
    assert put_away(tx, seq, one) == []
    assert logs.whole(tx, one, START) == b""


def test_a_large_log_is_cut_behind_lines_and_a_step_takes_one_piece(tx: sqlite3.Connection) -> None:
    log = LINE * (3 * PIECE // len(LINE))
    seq, one = kept(tx, log[:200_000], log[200_000:])
    first = log_archive.put_away(tx, seq, one)
    assert (first.size % len(LINE), first.done) == (0, False)
    assert PIECE - len(LINE) < first.size <= PIECE
    # Half of it is put away: it reads as before.
    assert logs.whole(tx, one, START) == log
    assert sum(put_away(tx, seq, one)) == len(log) - first.size
    assert logs.whole(tx, one, START) == log
    assert logs.size_of(tx, [seq]) == len(log)
    assert found(tx, '"lazy dog"') == len(sizes_on_disk(tx))


@pytest.mark.parametrize("sign", ["ä", "€", "😀"])
@pytest.mark.parametrize("shift", range(4))
def test_a_log_without_lines_is_cut_between_signs(tx: sqlite3.Connection, sign: str, shift: int) -> None:
    log = b"x" * shift + sign.encode() * PIECE
    seq, one = kept(tx, log)
    put_away(tx, seq, one)
    assert logs.whole(tx, one, START) == log
    pieces = [unpacked(row["data"], row["size"]) for row in tx.execute("SELECT * FROM log_archive")]
    assert len(pieces) > 1
    assert "\ufffd" not in "".join(piece.decode(errors="replace") for piece in pieces)


def test_a_log_is_read_from_any_position_while_it_is_put_away(tx: sqlite3.Connection) -> None:
    log = LINE * (2 * PIECE // len(LINE))
    seq, one = kept(tx, log)
    for _ in range(3):
        for position in (0, 5, PIECE - 1, PIECE, len(log) - 1):
            piece = logs.behind(tx, one, position, START)
            assert piece
            assert log[position:].startswith(piece)
        assert logs.behind(tx, one, len(log), START) == b""
        log_archive.put_away(tx, seq, one)


def test_a_log_is_forgotten_a_little_at_a_time_and_so_are_its_words(tx: sqlite3.Connection) -> None:
    log = LINE * (3 * PIECE // len(LINE))
    seq, one = kept(tx, log)
    number = len(put_away(tx, seq, one))
    assert not log_archive.remove(tx, seq, 1).done
    assert found(tx, "fox") == number - 1
    rest = log_archive.remove(tx, seq, len(log))
    assert rest.done
    assert found(tx, "fox") == 0
    assert logs.whole(tx, one, START) == b""
    tx.execute("INSERT INTO log_words (log_words) VALUES ('integrity-check')")


def test_words_of_other_logs_stay(tx: sqlite3.Connection) -> None:
    (seq, one), (other_seq, other) = kept(tx, LINE), kept(tx, LINE)
    put_away(tx, seq, one)
    put_away(tx, other_seq, other)
    log_archive.remove(tx, seq, 1)
    assert found(tx, "fox") == 1
    assert logs.whole(tx, other, START) == LINE


def test_what_is_as_long_packed_stays_as_it_is(tx: sqlite3.Connection) -> None:
    logs_of_all_lengths = (random.Random(1).randbytes(64) + bytes(zeros) for zeros in range(100))
    log = next(log for log in logs_of_all_lengths if len(zlib.compress(log, 3)) == len(log))
    seq, one = kept(tx, log)
    put_away(tx, seq, one)
    assert logs.whole(tx, one, START) == log


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(min_size=1, max_size=70_000), max_size=6))
def test_whatever_was_written_is_read_again(tx: sqlite3.Connection, pieces: list[bytes]) -> None:
    seq, one = kept(tx, *pieces)
    put_away(tx, seq, one)
    assert logs.whole(tx, one, START) == b"".join(pieces)
    assert log_archive.remove(tx, seq, 10**9).done
