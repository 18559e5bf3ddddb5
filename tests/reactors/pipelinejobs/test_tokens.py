from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactors.pipelinejobs.tokens import admin_token, document_token, is_admin_token, matches

KEY: Final = b"k" * 32
MOMENT: Final = datetime(2018, 12, 1, 0, 38, 30, tzinfo=UTC)
"""The begin of a window of 30 s."""


def after(seconds: float) -> datetime:
    return MOMENT + timedelta(seconds=seconds)


def test_a_document_token_is_16_hexadecimal_digits_and_stable() -> None:
    token = document_token(KEY, "salt", "dev", "uuid")
    assert len(token) == 16
    assert set(token) <= set("0123456789abcdef")
    assert token == document_token(KEY, "salt", "dev", "uuid")


PARTS = st.tuples(st.text(max_size=3), st.text(max_size=3), st.text(max_size=3))


@settings(deadline=None)
@given(PARTS, PARTS)
def test_other_documents_have_other_tokens(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (document_token(KEY, *one) == document_token(KEY, *other)) == (one == other)
    assert document_token(KEY, *one) != document_token(b"other", *one)


def test_an_administrative_token_lives_for_one_to_two_windows() -> None:
    token = admin_token(KEY, after(29.9))
    assert token == admin_token(KEY, MOMENT)
    assert is_admin_token(KEY, token, after(29.9))
    assert is_admin_token(KEY, token, after(59.9))
    assert not is_admin_token(KEY, token, after(60))
    assert not is_admin_token(KEY, token, after(-0.1))
    assert not is_admin_token(b"other", token, MOMENT)


def test_the_lifetime_can_be_another() -> None:
    token = admin_token(KEY, MOMENT, lifetime=300)
    assert is_admin_token(KEY, token, after(299), lifetime=300)
    assert not is_admin_token(KEY, token, after(600), lifetime=300)
    assert not is_admin_token(KEY, token, MOMENT)


def test_a_document_token_is_no_administrative_token() -> None:
    window = str(int(MOMENT.timestamp() // 30))
    assert not is_admin_token(KEY, document_token(KEY, "administrator", "30", window), MOMENT)


@pytest.mark.parametrize("given", [None, 1, b"0" * 16, [], {}, True, "", "ü" * 16, "\ud800" * 16, "0" * 1_000_000])
def test_anything_else_is_no_token(given: Any) -> None:
    assert not matches("0" * 16, given)
    assert not is_admin_token(KEY, given, MOMENT)


def test_a_token_matches_itself_only() -> None:
    assert matches("0df45d5e9e0f31e2", "0df45d5e9e0f31e2")
    for wrong in ("0DF45D5E9E0F31E2", "0df45d5e9e0f31e", "0df45d5e9e0f31e20", "0df45d5e9e0f31e3"):
        assert not matches("0df45d5e9e0f31e2", wrong)
