"""Commands about configs. The server's side is played, so that only what is sent counts here."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from abacod.client.account import Account
from abacod.client.commands import more
from abacod.client.server import Server
from tests.abacod.client.conftest import Abaco

ID = "JWpkNmBwKewYo"
STORED = {
    "db": {"name": "db", "value": "host", "is_secret": False, "actors": ID},
    "pw": {"name": "pw", "value": "<secret>", "is_secret": True, "actors": ID},
}


class Played:
    """A server with the actor `ID`, called `counter`, its alias `wc`, and two configs."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v3/actors")
        if request.method != "GET":
            self.sent.append((request.method, path, json.loads(request.content or b"null")))
            return self._answer(self.sent[-1][2])
        if path.startswith("/configs/"):
            return self._answer(STORED.get(path.removeprefix("/configs/")))
        actor = {"id": ID, "name": "counter"}
        known = {
            "": [actor],
            f"/{ID}": actor,
            "/wc": actor,
            "/aliases": [{"alias": "wc"}],
            "/configs": [*STORED.values()],
        }
        return self._answer(known.get(path))

    @staticmethod
    def _answer(result: Any) -> httpx.Response:
        status = 404 if result is None else 200
        return httpx.Response(status, json={"message": "m", "result": result, "status": "s", "version": "1"})


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    server = Played()
    account = Account("http://abaco.example.org", access_token="x")
    monkeypatch.setattr(more, "connected", lambda: Server(account, transport=httpx.MockTransport(server)))
    return server


def test_a_config_names_actors_by_id_or_by_alias(nobody: Abaco, played: Played) -> None:
    made = nobody.now(
        "configs", "create", "new", "-", "--secret", "-a", "counter", "-a", "wc", "-a", ID, typed="ü\n".encode()
    )
    assert made.code == 0, made
    fields = {"name": "new", "value": "ü", "is_secret": True, "actors": f"{ID},wc,{ID}"}
    assert played.sent == [("POST", "/configs", fields)]
    assert nobody.now("configs", "create", "new", "x", "-a", "nope").code == 4


def test_an_update_changes_only_what_is_given(nobody: Abaco, played: Played) -> None:
    assert nobody.now("configs", "update", "db", "other").code == 0
    assert nobody.now("configs", "update", "db", "--secret", "-a", "wc").code == 0
    assert [fields for _, _, fields in played.sent] == [
        STORED["db"] | {"value": "other"},
        STORED["db"] | {"is_secret": True, "actors": "wc"},
    ]


def test_a_secret_value_must_be_given_again(nobody: Abaco, played: Played) -> None:
    refused = nobody.now("configs", "update", "pw", "-a", "wc")
    assert refused.code == 2
    assert played.sent == []
    assert nobody.now("configs", "update", "pw", "new").code == 0


def test_configs_are_listed_and_shown(nobody: Abaco, played: Played) -> None:
    assert nobody.now("configs").out.splitlines()[0].split() == ["NAME", "IS", "SECRET", "ACTORS", "VALUE"]
    assert nobody.now("configs", "list", "--json").result == list(STORED.values())
    assert nobody.now("configs", "show", "db", "--json").result == STORED["db"]
    assert nobody.now("configs", "show", "nope").code == 4
