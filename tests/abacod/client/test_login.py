"""login, logout, whoami, on a served daemon."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import typer

from abacod.client import account as accounts
from abacod.client.errors import Usage
from abacod.services.accounts import hash_password
from tests.abacod.api.serving import LAB, Serving
from tests.abacod.client.conftest import Abaco


@pytest.fixture
async def with_password(served: Serving) -> None:
    await served.user("emil", stored=hash_password("geheim"))


@pytest.mark.usefixtures("with_password")
async def test_after_a_login_commands_work_until_the_logout(served: Serving, nobody: Abaco) -> None:
    logged_in = await nobody("login", f"{served.url}/v3/actors/", "-u", "emil", "--password-stdin", typed=b"geheim\n")
    assert logged_in.err == f"Logged in as emil at {served.url}.\n"
    assert "geheim" not in accounts.place().read_text()
    assert (await nobody("whoami", "--json")).result["username"] == "emil"
    assert (await nobody("whoami")).out.startswith("user               emil\n")
    await nobody("ls")
    assert (await nobody("logout")).err == "Logged out.\n"
    assert (await nobody("logout")).err == "Nobody was logged in.\n"
    assert (await nobody.fails("ls")).code == 3


@pytest.mark.usefixtures("with_password")
async def test_an_expired_token_is_renewed_by_itself(served: Serving, nobody: Abaco) -> None:
    await nobody("login", served.url, "-u", "emil", "--password-stdin", typed=b"geheim\n")
    before = accounts.load()
    assert before
    accounts.save(before.with_tokens("worn.out.token", before.refresh_token))
    await nobody("ls")
    after = accounts.load()
    assert after
    assert after.access_token.count(".") == 2
    assert after.access_token not in ("worn.out.token", before.access_token)


@pytest.mark.usefixtures("with_password")
@pytest.mark.parametrize(("user", "password"), [("emil", "falsch"), ("ämil", "geheim"), ("emil", "")])
async def test_a_wrong_password_stores_nothing(served: Serving, nobody: Abaco, user: str, password: str) -> None:
    refused = await nobody.fails("login", served.url, "-u", user, "--password-stdin", typed=f"{password}\n".encode())
    assert refused.code == 3 if password else refused.code != 0
    assert not accounts.place().exists()


async def test_a_login_in_another_tenant(served: Serving, nobody: Abaco) -> None:
    await served.user("zoe", tenant=LAB, stored=hash_password("geheim"))
    arguments = ("login", served.url, "-u", "zoe", "--password-stdin")
    assert (await nobody.fails(*arguments, typed=b"geheim\n")).code == 3
    await nobody(*arguments, "--tenant", "lab", typed=b"geheim\n")
    assert (await nobody("whoami", "--json")).result["username"] == "zoe"


def test_what_is_missing_is_asked_for_on_a_terminal_only(nobody: Abaco, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (("login",), ("login", "http://127.0.0.1:1"), ("login", "http://127.0.0.1:1", "-u", "x")):
        refused = nobody.now(*arguments)
        assert refused.code == 2
        assert "no terminal to ask" in refused.err

    class Terminal:
        def isatty(self) -> bool:
            return True

    asked: list[tuple[str, dict[str, Any]]] = []

    def answer(text: str, **how: Any) -> str:
        asked.append((text, how))
        return "http://127.0.0.1:1" if text == "URL" else text

    from abacod.client.commands import account  # noqa: PLC0415 - its parts are what this test is about

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(typer, "prompt", answer)
    assert account._asked("URL", accounts.DEFAULT_URL) == "http://127.0.0.1:1"
    assert account._asked("Password", hidden=True) == "Password"
    assert asked == [
        ("URL", {"default": accounts.DEFAULT_URL, "hide_input": False, "err": True}),
        ("Password", {"default": None, "hide_input": True, "err": True}),
    ]
    monkeypatch.undo()
    with pytest.raises(Usage):
        account._asked("URL")
