"""What a reactor knows of its execution (spec/pipelinejobs 8.4)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactors.runtime import Reactor, get_context
from reactors.runtime.messages import parsed
from reactors.runtime.names import nickname
from tests.reactors.runtime.conftest import ACTOR, EXECUTION

Make = Callable[..., Reactor]


def test_the_context_has_the_fields_and_the_whole_environment(reactor: Make) -> None:
    rx = reactor(uuid="107", _abaco_actor_name="counter", _abaco_container_repo="lab/counter", _abaco_worker_id="w")
    assert (rx.uid, rx.execid, rx.username) == (ACTOR, EXECUTION, "ada")
    assert (rx.actor_name, rx.container_repo, rx.worker_id, rx.workerid) == ("counter", "lab/counter", "w", "w")
    assert rx.context.uuid == rx.context["uuid"] == "107"
    assert rx.context.raw_message == '{"a": true}'
    assert rx.context.message_dict.a is True
    assert rx.context.content_type is None


def test_a_parameter_named_state_is_shadowed_by_the_state_of_the_actor(reactor: Make) -> None:
    assert reactor(state="FINISHED", _abaco_actor_state="{}").context.state == "{}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [true, null]}', {"a": [True, None]}),
        ("{'a': [True, None]}", {"a": [True, None]}),
        ("[1, null]", [1, None]),
        ("[1, None]", [1, None]),
        ("42", {}),
        ("plain text", {}),
        ("", {}),
        ("[" * 100_000, {}),
    ],
)
def test_a_message_is_read_as_json_first_and_as_a_python_literal_second(text: str, value: Any) -> None:
    context = get_context({"_abaco_actor_id": "a", "MSG": text})
    assert context.message_dict == value
    assert context.raw_message == text


def test_the_log_of_the_parsing_says_what_did_not_work() -> None:
    assert get_context({"MSG": "{}"}).raw_message_parse_log == ""
    assert get_context({"MSG": "{'a': 1}"}).raw_message_parse_log == "message is not JSON: JSONDecodeError"
    assert len(get_context({"MSG": "hello there"}).raw_message_parse_log.splitlines()) == 2


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON)
def test_whatever_was_sent_as_json_or_as_a_literal_comes_out_the_same(value: Any) -> None:
    assert parsed(json.dumps(value)).value == value
    assert parsed(repr(value)).value == value


def test_outside_a_container_ids_are_invented(environment: dict[str, str]) -> None:
    first, second = (Reactor(environment={"MSG": "{'a': 1}"}) for _ in range(2))
    assert first.uid
    assert first.uid != second.uid
    assert first.execid != first.uid
    assert first.context.message_dict == {"a": 1}
    assert not first.in_container


@pytest.mark.parametrize(
    ("variables", "session"),
    [({"x_session": "fond-bug", "SESSION": "other"}, "fond-bug"), ({"SESSION": "solid-snake"}, "solid-snake")],
)
def test_a_session_is_inherited(reactor: Make, variables: dict[str, str], session: str) -> None:
    rx = reactor(**variables)
    assert rx.session == session
    assert rx.nickname != session


def test_without_one_the_session_is_the_nickname(reactor: Make) -> None:
    rx = reactor()
    assert rx.session == rx.nickname
    assert Reactor(session="given-name", environment={"x_session": "fond-bug"}).session == "given-name"


def test_nicknames_are_two_short_words() -> None:
    names = {nickname() for _ in range(200)}
    assert len(names) > 150
    for name in names:
        words = name.split("-")
        assert len(words) == 2
        assert all(word.isascii() and word.islower() and 2 <= len(word) <= 8 for word in words), name


@pytest.mark.parametrize(("text", "local"), [("1", True), ("True", True), ("0", False), ("", False), ("no", False)])
def test_local_mode(reactor: Make, text: str, local: bool) -> None:
    assert reactor(LOCALONLY=text).local is local


@pytest.mark.parametrize(
    ("text", "state"), [('{"n": 1}', {"n": 1}), ("{'n': None}", {"n": None}), ("plain", "plain"), ("", {})]
)
def test_the_state_is_read_as_a_value(reactor: Make, text: str, state: Any) -> None:
    assert reactor(_abaco_actor_state=text).state == state


def test_elapsed_is_in_microseconds_and_grows(reactor: Make) -> None:
    rx = reactor()
    first = rx.elapsed()
    assert 0 <= first <= rx.elapsed() < 10_000_000
    assert isinstance(first, int)
