"""Telling a statically linked program from others."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from abacod.runtime.busybox import placed, problem_of

_STATIC = Path("/bin/busybox")


def test_a_static_one_serves() -> None:
    assert problem_of(_STATIC) is None


def test_one_that_needs_libraries_does_not() -> None:
    assert "not statically linked" in str(problem_of(Path(sys.executable).resolve()))


@pytest.mark.parametrize(
    "content", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 100, b"\x7fELF\x02\x01"]
)
def test_other_files_do_not(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "busybox"
    path.write_bytes(content)
    path.chmod(0o755)

    assert "not statically linked" in str(problem_of(path))


def test_none_at_all_does_not(tmp_path: Path) -> None:
    assert "No such file" in str(problem_of(tmp_path / "none"))


def test_one_that_may_not_be_run_does_not(tmp_path: Path) -> None:
    (tmp_path / "busybox").write_bytes(_STATIC.read_bytes())

    assert "not executable" in str(problem_of(tmp_path / "busybox"))


def test_it_is_placed_once_and_again_when_it_changes(tmp_path: Path) -> None:
    source, directory = tmp_path / "source", tmp_path / "directory"
    directory.mkdir()
    source.write_bytes(b"one")
    first = placed(source, directory).stat().st_ino
    assert placed(source, directory).stat().st_ino == first

    source.write_bytes(b"other")

    assert placed(source, directory).read_bytes() == b"other"
    assert os.access(directory / "busybox", os.X_OK)


def test_threads_that_want_it_at_once_all_get_it(tmp_path: Path) -> None:
    source, directory = tmp_path / "source", tmp_path / "directory"
    directory.mkdir()
    source.write_bytes(b"x" * 1_000_000)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: placed(source, directory).read_bytes(), range(8)))
    assert found == [source.read_bytes()] * 8
