from __future__ import annotations

import pytest

from abacod.runtime.joining.making import read_files

TOLD = b"10\n127.0.0.1\n" + b"5\nname\n" + b"0\n"


def test_a_holder_tells_its_files() -> None:
    assert read_files(TOLD) == {"hosts": b"127.0.0.1\n", "hostname": b"name\n", "resolv.conf": b""}


@pytest.mark.parametrize("length", range(len(TOLD)))
def test_what_is_not_told_to_its_end_is_waited_for(length: int) -> None:
    assert read_files(TOLD[:length]) is None


def test_what_is_no_file_is_none() -> None:
    assert read_files(b"nonsense\nmore\n") is None
