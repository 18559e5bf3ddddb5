from __future__ import annotations

import json
from pathlib import Path

import pytest

from abacod.errors import ConfigError
from abacod.settings_file import load_settings

AGAVE = 'base_url = "https://api.example.org"\n'
LOGIN = 'username = "u"\npassword = "p"\n'
CLIENT = 'client_key = "k"\nclient_secret = "s"\n'


def problem(tmp_path: Path, text: str) -> str:
    file = tmp_path / "abacod.toml"
    file.write_text(text)
    try:
        load_settings(file)
    except ConfigError as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        LOGIN,
        AGAVE + 'token = "t"',
        AGAVE + 'token_file = "/t"',
        AGAVE + CLIENT + LOGIN,
        AGAVE + 'client_key = "k"\nclient_secret_file = "/s"\nusername = "u"\npassword_file = "/p"',
    ],
)
def test_a_service_needs_a_whole_login(tmp_path: Path, text: str) -> None:
    assert not problem(tmp_path, "[batch.agave]\n" + text)


@pytest.mark.parametrize("text", [AGAVE, AGAVE + LOGIN, AGAVE + CLIENT, AGAVE + CLIENT + 'username = "u"'])
def test_half_a_login_is_told(tmp_path: Path, text: str) -> None:
    assert "batch.agave: Value error, base_url needs a way to log in" in problem(tmp_path, "[batch.agave]\n" + text)


def test_tapis_needs_no_client(tmp_path: Path) -> None:
    assert not problem(tmp_path, "[batch.tapis]\n" + AGAVE + LOGIN)
    assert "batch.tapis: Value error, base_url needs" in problem(tmp_path, "[batch.tapis]\n" + AGAVE + 'username = "u"')


@pytest.mark.parametrize("name", ["token", "password", "client_secret"])
def test_a_secret_is_given_once_and_not_told_when_it_is_not(tmp_path: Path, name: str) -> None:
    text = problem(tmp_path, f'[batch.agave]\n{name} = "hush"\n{name}_file = "/x"\n')
    assert f"give {name} or {name}_file, not both" in text
    assert "hush" not in text


@pytest.mark.parametrize("url", ["api.example.org", "ftp://x", "https://user:hush@x", "https://x/?a=b", "https://x y"])
def test_an_address_is_one_of_http_without_login_and_query(tmp_path: Path, url: str) -> None:
    text = problem(tmp_path, f"[batch.agave]\nbase_url = {json.dumps(url)}\ntoken = 't'\n")
    assert "batch.agave.base_url" in text
    assert "hush" not in text


def test_a_secret_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABACOD_BATCH__AGAVE__BASE_URL", "https://api.example.org")
    monkeypatch.setenv("ABACOD_BATCH__AGAVE__TOKEN", "hush")
    agave = load_settings().batch.agave
    assert agave.token is not None
    assert agave.token.get_secret_value() == "hush"
    assert "hush" not in repr(agave)
