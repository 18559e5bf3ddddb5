"""The folder that a held container and its daemon share."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from abacod.errors import StorageUnavailable
from abacod.ids import ExecutionId
from abacod.runtime.run import Outcome
from abacod.runtime.warm.folder import Folder, Record, record_in

MOMENT = datetime(2026, 11, 22, 22, 16, 12, 34000, UTC)
RECORD = Record(ExecutionId("E1"), 1)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"a program")
    made = Folder.made(tmp_path / "held", busybox, log_bytes=100_000)
    yield made
    made.close()


def _written(folder: Folder, data: bytes) -> None:
    descriptor = os.open(folder.shown / "output", os.O_WRONLY)
    os.write(descriptor, data)
    os.close(descriptor)


def _outcome(error: str) -> Outcome:
    return Outcome(3, {"ExitCode": 3, "Error": error}, MOMENT, MOMENT, 5, 6)


def test_a_record_is_there_for_the_next_daemon(folder: Folder) -> None:
    folder.assign(RECORD, b"script", None)
    assert record_in(folder.place) == RECORD

    full = Record(ExecutionId("E1"), 1, MOMENT, 7, _outcome(""))
    folder.note(full)

    assert record_in(folder.place) == full
    assert (folder.place / "record").stat().st_size == 4096


def test_a_record_keeps_its_size_whatever_an_engine_tells(folder: Folder) -> None:
    folder.note(Record(ExecutionId("E1"), 1, MOMENT, 7, _outcome("x" * 10_000)))

    assert record_in(folder.place) == Record(ExecutionId("E1"), 1, MOMENT, 7)


def test_nothing_of_an_execution_stays(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(b"bytes")
    folder.assign(RECORD, b"a secret", tmp_path / "message")
    assert (folder.shown / "binary").read_bytes() == b"bytes"
    assert (folder.shown / "script").read_bytes() == b"a secret"

    folder.clear()

    assert record_in(folder.place) is None
    assert not (folder.shown / "binary").exists()
    assert (folder.shown / "script").read_bytes() == b""
    assert (tmp_path / "message").read_bytes() == b"bytes"


def test_output_is_kept_for_the_next_daemon_up_to_its_limit(folder: Folder) -> None:
    pieces = []
    for number in range(3):
        _written(folder, bytes([number]) * 60_000)
        pieces.append(folder.output())
    folder.close()

    later = Folder(folder.place, log_bytes=100_000)
    kept = later.kept(0)
    later.close()

    assert [len(piece) for piece in pieces] == [60_000] * 3
    assert kept == pieces[0] + pieces[1]


def test_each_execution_has_its_own_output(folder: Folder) -> None:
    _written(folder, b"first")
    folder.output()
    folder.clear()
    folder.assign(Record(ExecutionId("E2"), 2), b"script", None)

    _written(folder, b"second")

    assert (folder.output(), folder.output(), folder.kept(0)) == (b"second", b"", b"second")


def test_commands_that_nobody_took_are_counted(folder: Folder) -> None:
    assert folder.unread == 0
    folder.send(b"12\n")
    assert folder.unread == 3


def test_a_container_sees_no_pipes_once_its_supervisor_has_them(folder: Folder) -> None:
    before = {path.name for path in folder.shown.iterdir()}
    folder.hide()

    assert before - {path.name for path in folder.shown.iterdir()} == {"command", "answer"}
    assert stat.S_ISFIFO((folder.place / "command").stat().st_mode)


def test_answers_come_as_whole_lines(folder: Folder) -> None:
    os.write(folder.answer, b"+ 1 7\n= 1 0")
    assert folder.answers() == [b"+ 1 7"]
    os.write(folder.answer, b" 5\n")
    assert folder.answers() == [b"= 1 0 5"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"execution_id": 1}', b"\xff", b" " * 4096])
def test_a_record_that_is_none_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "record").write_bytes(content)
    assert record_in(tmp_path) is None
    assert record_in(tmp_path / "gone") is None


def test_a_folder_of_which_parts_are_missing_is_not_opened(folder: Folder) -> None:
    folder.close()
    (folder.place / "command").unlink()
    (folder.place / "command").write_text("no pipe")

    with pytest.raises(OSError, match="command"):
        Folder(folder.place, log_bytes=1)


def test_one_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        Folder.made(tmp_path / "held", tmp_path / "no-busybox", log_bytes=1)

    assert list(tmp_path.iterdir()) == []
