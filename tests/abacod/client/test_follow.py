from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from abacod.client.account import Account
from abacod.client.errors import NotFound, Unreachable
from abacod.client.follow import Follower
from abacod.client.server import Server

EXECUTION = {"id": "e", "status": "COMPLETE", "exit_code": 0}


def event(name: str, **data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


class Scripted(httpx.SyncByteStream):
    """The body of an answer that comes in pieces, and may break off."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def stream(*pieces: bytes | Exception) -> httpx.Response:
    return httpx.Response(200, headers={"Content-Type": "text/event-stream; charset=utf-8"}, stream=Scripted(*pieces))


class Fake:
    """A server that answers each request for the log with the next of its answers."""

    def __init__(self, *logs: httpx.Response | Exception) -> None:
        self._logs = list(logs)
        self.shown: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/logs"):
            return self.envelope(EXECUTION)
        answer = self._logs.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @staticmethod
    def envelope(result: object, status: int = 200) -> httpx.Response:
        return httpx.Response(status, json={"message": "m", "result": result, "status": "s", "version": "1"})

    def follow(self) -> dict[str, object]:
        account = Account("http://abaco.example.org", access_token="x")
        with Server(account, transport=httpx.MockTransport(self)) as server:
            return Follower(server, "a", "e", self.shown.append).to_the_end()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses, which are noted and not made; time passes with them only."""
    made: list[float] = []
    monkeypatch.setattr("abacod.client.follow.time.sleep", made.append)
    monkeypatch.setattr("abacod.client.follow.time.monotonic", lambda: sum(made))
    return made


def test_the_log_is_shown_as_it_comes_until_the_end() -> None:
    fake = Fake(
        stream(event("log", text="ä\n\u2028"), event("log", text="b"), event("end", status="COMPLETE", exit_code=0))
    )
    assert fake.follow() == EXECUTION
    assert fake.shown == ["ä\n\u2028", "b"]


def test_events_may_come_in_any_pieces() -> None:
    whole = b": a comment\n\n" + event("log", text="a\nb") + event("end")
    fake = Fake(stream(*(whole[at : at + 1] for at in range(len(whole)))))
    fake.follow()
    assert fake.shown == ["a\nb"]


@pytest.mark.parametrize(
    "end", [[], [httpx.ReadError("reset")], [httpx.ReadTimeout("silence")], [b"event: log\ndata: {"]]
)
def test_after_a_broken_connection_the_log_goes_on_where_it_was(
    end: list[bytes | Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    fake = Fake(
        stream(event("log", text="one "), event("log", text="two "), *end),
        stream(event("log", text="one two th"), event("log", text="ree"), event("end")),
    )
    fake.follow()
    assert "".join(fake.shown) == "one two three"
    assert capsys.readouterr().err == ""


def test_a_server_that_is_started_anew_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    gone = [httpx.ConnectError("refused") for _ in range(10)]
    fake = Fake(stream(event("log", text="a")), *gone, stream(event("log", text="ab"), event("end")))
    fake.follow()
    assert "".join(fake.shown) == "ab"
    assert capsys.readouterr().err.count("Waiting for it to come back") == 1


def test_a_server_that_stays_away_is_given_up(pauses: list[float]) -> None:
    fake = Fake(*(httpx.ConnectError("refused") for _ in range(1000)))
    with pytest.raises(Unreachable, match="refused"):
        fake.follow()
    assert 120 < sum(pauses) < 122


def test_short_troubles_do_not_add_up(pauses: list[float]) -> None:
    troubles: list[httpx.Response | Exception] = []
    for _ in range(300):
        troubles += [httpx.ConnectError("refused"), httpx.ConnectError("refused"), stream(event("log", text="a"))]
    Fake(*troubles, stream(event("end"))).follow()
    assert sum(pauses) > 120


def test_a_refusal_is_not_waited_out() -> None:
    with pytest.raises(NotFound):
        Fake(Fake.envelope(None, 404)).follow()


def test_servers_without_live_logs_are_asked_again_and_again(pauses: list[float]) -> None:
    """Each round asks whether the server follows, and then for the log as it is."""
    states = iter(["SUBMITTED", "RUNNING", "COMPLETE", "COMPLETE"])
    logs = iter(["", "", "a", "a", "ab", "ab"])
    shown: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/logs"):
            return Fake.envelope({"logs": next(logs)})
        return Fake.envelope({"status": next(states)})

    with Server(Account("http://x.example.org", access_token="x"), transport=httpx.MockTransport(answer)) as server:
        assert Follower(server, "a", "e", shown.append).to_the_end() == {"status": "COMPLETE"}
    assert shown == ["a", "b"]
    assert len(pauses) == 2
