from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from abacod import __version__
from abacod.api import reply
from abacod.api.calls import DIALECTS
from abacod.api.reply import Replies, camel_case, envelope
from abacod.errors import (
    AbacoError,
    ActorNotFound,
    ExecutionNotFound,
    MethodNotAllowed,
    NotAuthenticated,
    NotPermitted,
    StorageUnavailable,
)
from abacod.ids import ActorId, ExecutionId, Username

V3, V2, BARE = DIALECTS
DOCUMENTED = Replies("http://here:8000", "documented")
ABACO = Replies("http://here:8000", "abaco")


def read(response: web.Response) -> Mapping[str, Any]:
    assert isinstance(response.body, bytes)
    content: dict[str, Any] = json.loads(response.body)
    return content


def test_an_envelope_has_four_keys_and_a_content_type_without_parameters() -> None:
    response = envelope([1], "Done.", status=201)
    assert response.headers["Content-Type"] == "application/json"
    assert response.status == 201
    assert read(response) == {"message": "Done.", "result": [1], "status": "success", "version": __version__}


@pytest.mark.parametrize(
    ("error", "documented", "abaco"),
    [
        (NotPermitted(), 403, 400),
        (ExecutionNotFound(), 404, 400),
        (ActorNotFound(), 404, 404),
        (NotAuthenticated(), 401, 401),
        (AbacoError(), 500, 500),
    ],
)
def test_errors_have_a_status_for_each_kind_of_client(error: AbacoError, documented: int, abaco: int) -> None:
    assert DOCUMENTED.error(error).status == documented
    assert ABACO.error(error).status == abaco


def test_an_error_carries_its_message_and_what_the_caller_needs_to_go_on() -> None:
    answer = read(
        DOCUMENTED.error(StorageUnavailable("Too late.", result={"execution_id": "x"}, hint="for the operator"))
    )
    assert answer["status"] == "error"
    assert answer["message"] == "Too late."
    assert answer["result"] == {"execution_id": "x"}
    assert "operator" not in str(answer)


def test_links_follow_the_prefix() -> None:
    actor, execution, alice = ActorId("a"), ExecutionId("e"), Username("alice")
    for dialect in (V3, BARE):
        assert DOCUMENTED.execution_link(dialect, actor, execution) == "http://here:8000/v3/actors/a/executions/e"
        assert DOCUMENTED.profile_link(dialect, alice) == "http://here:8000/v3/oauth2/profiles/alice"
    assert DOCUMENTED.actor_link(V2, actor) == "http://here:8000/actors/v2/a"
    assert DOCUMENTED.profile_link(V2, alice) == "http://here:8000/profiles/v2/alice"


@pytest.mark.parametrize(
    ("snake", "camel"),
    [
        ("execution_id", "executionId"),
        ("_links", "_links"),
        ("use_container_uid", "useContainerUid"),
        ("id", "id"),
        ("cron_next_ex", "cronNextEx"),
    ],
)
def test_camel_case_keeps_a_leading_underscore(snake: str, camel: str) -> None:
    assert camel_case(snake) == camel


def test_refusals_tell_what_would_do() -> None:
    unauthenticated = DOCUMENTED.error(NotAuthenticated())
    assert unauthenticated.headers["WWW-Authenticate"] == 'Bearer realm="abacod"'
    assert int(DOCUMENTED.error(StorageUnavailable()).headers["Retry-After"]) > 0
    assert DOCUMENTED.error(MethodNotAllowed(allowed=["GET", "PUT"])).headers["Allow"] == "GET, HEAD, OPTIONS, PUT"
    assert DOCUMENTED.error(MethodNotAllowed(allowed=["POST"])).headers["Allow"] == "OPTIONS, POST"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.integers(1, 5))
def test_a_long_result_says_the_same_as_every_other(result: Any, step: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reply, "_STEP", step)
        long = asyncio.run(DOCUMENTED.long(result, "here"))
    other = envelope(result, "here", status=200).body
    assert isinstance(long.body, bytes)
    assert isinstance(other, bytes)
    assert json.loads(long.body) == json.loads(other) == {**json.loads(other), "result": result}


async def test_others_are_served_while_a_long_text_is_written() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    serving = asyncio.create_task(others())
    response = await DOCUMENTED.long({"logs": "ü" * 2_000_000}, "here")
    serving.cancel()
    assert turns >= 15
    assert not isinstance(response.body, bytes), "sent in pieces"
    assert response.headers["Content-Type"] == "application/json"
