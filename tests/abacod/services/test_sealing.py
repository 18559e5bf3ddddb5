from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from abacod.errors import ConfigError, SealBroken
from abacod.services.sealing import Seal

SEAL = Seal(Fernet.generate_key())


@given(st.text())
def test_what_was_sealed_can_be_read_again(text: str) -> None:
    assert SEAL.unseal(SEAL.seal(text)) == text


def test_what_is_sealed_gives_nothing_away() -> None:
    assert "secret" not in SEAL.seal("secret")
    assert SEAL.seal("secret") != SEAL.seal("secret")


@pytest.mark.parametrize(
    "sealed",
    ["", "no seal", "ü", Seal(Fernet.generate_key()).seal("secret")],
    ids=["empty", "short", "not ASCII", "of another key"],
)
def test_what_another_key_sealed_cannot_be_read(sealed: str) -> None:
    with pytest.raises(SealBroken):
        SEAL.unseal(sealed)


def test_what_was_changed_cannot_be_read() -> None:
    sealed = SEAL.seal("secret")
    with pytest.raises(SealBroken):
        SEAL.unseal(f"{sealed[:20]}{'A' if sealed[20] != 'A' else 'B'}{sealed[21:]}")


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "sealing-key"
    assert Seal.at(path).unseal(Seal.at(path).seal("secret")) == "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["sealing-key"]


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(Seal.at, [tmp_path / "data" / "sealing-key"] * 4)
    sealed = first.seal("secret")
    assert {other.unseal(sealed) for other in others} == {"secret"}


def test_a_file_without_a_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sealing-key"
    path.write_text("no key")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="does not hold a sealing key"):
        Seal.at(path)


def test_a_place_where_no_key_can_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a directory")
    with pytest.raises(ConfigError, match="sealing key"):
        Seal.at(tmp_path / "data" / "sealing-key")
