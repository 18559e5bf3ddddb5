from __future__ import annotations

import os
from pathlib import Path

import pytest

from abacod.errors import ConfigError, DataDirInUse
from abacod.store.datadir import held


def test_directories_are_made_for_this_user_only_and_the_lock_tells_whose_it_is(tmp_path: Path) -> None:
    data, inner = tmp_path / "deep" / "data", tmp_path / "deep" / "data" / "messages"
    with held(data / "lock", data, inner):
        assert (data / "lock").read_text() == f"{os.getpid()}\n"
        assert {path.stat().st_mode & 0o777 for path in (data, inner)} == {0o700}
        assert (data / "lock").stat().st_mode & 0o777 == 0o600


def test_two_daemons_do_not_share_a_directory(tmp_path: Path) -> None:
    with held(tmp_path / "lock", tmp_path):
        with pytest.raises(DataDirInUse, match=str(tmp_path)), held(tmp_path / "lock", tmp_path):
            pass
        # the loser has not taken the owner's name away
        assert (tmp_path / "lock").read_text()
    with held(tmp_path / "lock", tmp_path):
        pass


def test_a_directory_that_cannot_be_made_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    data = tmp_path / "file" / "data"
    with pytest.raises(ConfigError, match="Cannot use the data directory"), held(data / "lock", data):
        pass
