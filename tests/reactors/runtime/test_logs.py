"""Lines of the log, the end of a program, and what no log shows (spec/pipelinejobs 8.4)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reactors.runtime import Reactor
from tests.reactors.runtime.conftest import ACTOR, TOKEN
from tests.reactors.runtime.stub import Reply, Stub

Make = Callable[..., Reactor]


def test_lines_have_actor_level_and_text(reactor: Make, capsys: pytest.CaptureFixture[str]) -> None:
    rx = reactor()
    rx.logger.info("hello %s", "there")
    rx.loggers.screen.debug("two\nlines")
    written = capsys.readouterr()
    assert written.err == f"{ACTOR} INFO hello there\n{ACTOR} DEBUG two\n{ACTOR} DEBUG lines\n"
    assert written.out == ""


def test_the_level_is_that_of_the_settings(reactor: Make, capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.yml").write_text("logs: {level: warning}")
    rx = reactor()
    rx.logger.info("hidden")
    rx.logger.warning("shown")
    assert capsys.readouterr().err == f"{ACTOR} WARNING shown\n"


def test_success_and_failure_end_the_program(reactor: Make, capsys: pytest.CaptureFixture[str]) -> None:
    rx = reactor()
    ends: list[tuple[Callable[..., object], tuple[object, ...], int]] = [
        (rx.on_success, (), 0),
        (rx.on_success, ("Done in 100% of time",), 0),
        (rx.on_failure, ("Create failed", ValueError("why")), 1),
        (rx.on_failure, (), 1),
    ]
    for end, words, code in ends:
        with pytest.raises(SystemExit) as ended:
            end(*words)
        assert ended.value.code == code
    assert capsys.readouterr().err.splitlines() == [
        f"{ACTOR} INFO Success",
        f"{ACTOR} INFO Done in 100% of time",
        f"{ACTOR} CRITICAL Create failed : why",
        f"{ACTOR} CRITICAL Failure",
    ]


def test_secrets_are_hidden_also_in_tracebacks(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    environment |= {"_REACTOR_MONGODB_AUTHN": "mongo secret", "x-nonce": "TACC_abc", "_REACTOR_SHORT": "four"}
    rx = Reactor(["user/secret", "abc"], environment=environment)
    try:
        raise ValueError("user/secret")
    except ValueError:
        rx.logger.exception("%s, mongo secret, mongo%%20secret, %s, four, abc", TOKEN, "TACC_abc")
    err = capsys.readouterr().err
    assert f"{ACTOR} ERROR *****, *****, *****%secret" not in err
    for secret in (TOKEN, "mongo secret", "TACC_abc", "user/secret", "mongo%20secret"):
        assert secret not in err
    assert ", four, abc" in err
    assert "ValueError: *****" in err


def test_a_longer_secret_is_hidden_before_its_part(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Reactor(["12345", "1234567"], environment=environment).logger.info("1234567")
    assert capsys.readouterr().err == f"{ACTOR} INFO *****\n"


def test_lines_also_go_to_a_file_an_address_and_slack(reactor: Make, daemon: Stub) -> None:
    daemon.on("POST", "/lines", Reply())
    daemon.on("POST", "/slack", Reply())
    Path("config.yml").write_text(
        f"logs: {{file: rx.log, url: '{daemon.url}/lines', token: ~}}\nslack: {{webhook: '{daemon.url}/slack'}}"
    )
    rx = reactor(_REACTOR_LOGS_TOKEN="log token")
    rx.logger.info("one with log token")
    rx.loggers.slack.info("two")
    assert Path("rx.log").read_text() == f"{ACTOR} INFO one with *****\n"
    assert [(seen.path, seen.body, seen.token) for seen in daemon.seen] == [
        ("/lines", {"text": f"{ACTOR} INFO one with *****"}, "log token"),
        ("/slack", {"text": f"{ACTOR} INFO two"}, None),
    ]


def test_a_sink_that_is_away_stops_nothing(reactor: Make, capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.yml").write_text("logs: {url: 'http://127.0.0.1:1/x'}")
    reactor().logger.info("still here")
    assert f"{ACTOR} INFO still here" in capsys.readouterr().err


def test_slack_is_mute_without_a_webhook(reactor: Make, capsys: pytest.CaptureFixture[str]) -> None:
    reactor().loggers.slack.error("nobody hears")
    assert capsys.readouterr().err == ""
