from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import jwt
import pytest

from abacod.client.account import Account, checked_url, current, expiry, forget, load, place, save
from abacod.client.errors import ClientError, NotAuthorised, Usage

HERE = Account("http://127.0.0.1:8000", "alice", "access", "refresh", stored=True)
SECRET = "a secret that is long enough for a signature"


def test_what_is_stored_is_read_again_and_readable_by_its_owner_only(config_home: Path) -> None:
    earlier = os.umask(0)
    try:
        save(HERE)
        save(HERE)
    finally:
        os.umask(earlier)
    assert load() == HERE
    assert current() == HERE
    assert place() == config_home / "abaco" / "account.json"
    assert stat.S_IMODE(place().stat().st_mode) == 0o600
    assert stat.S_IMODE(place().parent.stat().st_mode) == 0o700
    assert list(place().parent.iterdir()) == [place()]


def test_a_file_that_was_open_to_others_is_not_when_it_is_written_again() -> None:
    save(HERE)
    place().chmod(0o644)
    save(HERE)
    assert stat.S_IMODE(place().stat().st_mode) == 0o600


def test_the_file_may_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABACO_CONFIG", str(tmp_path / "mine"))
    save(HERE)
    assert (tmp_path / "mine").is_file()


def test_without_a_setting_the_file_is_below_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place() == tmp_path / ".config" / "abaco" / "account.json"


def test_the_account_is_forgotten_once() -> None:
    save(HERE)
    assert forget()
    assert not forget()
    assert load() is None


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    save(HERE)
    monkeypatch.setenv("ABACO_TOKEN", "other")
    assert current() == Account(HERE.url, access_token="other")
    monkeypatch.setenv("ABACO_URL", "https://example.org/abaco/")
    assert current() == Account("https://example.org/abaco", access_token="other")


def test_a_stored_token_is_for_its_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    save(HERE)
    monkeypatch.setenv("ABACO_URL", "https://example.org")
    assert current() == Account("https://example.org")
    monkeypatch.setenv("ABACO_URL", f"{HERE.url}/")
    assert current() == HERE


def test_without_any_server_the_user_is_told_to_log_in() -> None:
    with pytest.raises(NotAuthorised, match="abaco login"):
        current()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"url": "nowhere"}', "{}", b"\xff"])
def test_a_file_that_cannot_be_understood_is_named(content: str | bytes) -> None:
    place().parent.mkdir(parents=True)
    place().write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ClientError, match=r"account\.json cannot be understood"):
        load()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ABACO_CONFIG", str(tmp_path / "file" / "account.json"))
    with pytest.raises(ClientError, match="Cannot write"):
        save(HERE)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        (" https://example.org/ ", "https://example.org"),
        ("https://example.org/abaco/", "https://example.org/abaco"),
        ("https://example.org/abaco/v3/actors/", "https://example.org/abaco"),
        ("http://[::1]:8000/v3", "http://[::1]:8000"),
    ],
)
def test_addresses(text: str, url: str) -> None:
    assert checked_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org",
        "ftp://example.org",
        "http://",
        "http://a:port",
        "http://u:p@a",
        "http://a?b=c",
        "http://a#b",
        "http://[",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Usage, match="no address"):
        checked_url(text)


def test_a_token_tells_its_end() -> None:
    end = int(time.time()) + 100
    assert expiry(jwt.encode({"exp": end}, SECRET)) == end
    assert not Account("", access_token=jwt.encode({"exp": end}, SECRET)).expires_soon
    assert Account("", access_token=jwt.encode({"exp": end - 90}, SECRET)).expires_soon


@pytest.mark.parametrize(
    "token", ["", "a", "a.b.c", "a.é.c", jwt.encode({}, SECRET), jwt.encode({"exp": "soon"}, SECRET), "a.W10.c"]
)
def test_a_token_that_does_not_tell_has_no_end(token: str) -> None:
    assert expiry(token) is None
    assert not Account("", access_token=token).expires_soon


def test_no_password_is_stored() -> None:
    save(HERE)
    assert set(json.loads(place().read_text())) == {"url", "username", "access_token", "refresh_token"}
