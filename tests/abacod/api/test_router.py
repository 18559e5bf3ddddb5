from __future__ import annotations

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from abacod.api.calls import Call, Need, Route
from abacod.api.router import Router
from abacod.errors import BadRequest, MethodNotAllowed, NoSuchRoute


async def nothing(_: Call) -> web.StreamResponse:
    return web.Response()


def route(method: str, path: str) -> Route:
    return Route(method, path, nothing, Need.NOTHING, gives=None)


LIST, SHOW, UPDATE = route("GET", "/"), route("GET", "/{actor}"), route("PUT", "/{actor}")
SEND = route("POST", "/{actor}/messages")
LOG = route("GET", "/{actor}/executions/{execution}/logs")
WORD = route("GET", "/aliases")
ALIVE = route("GET", "/healthz")
ROUTER = Router([LIST, SHOW, UPDATE, SEND, LOG, WORD], [ALIVE])

slashes = st.integers(1, 6).map(lambda count: "/" * count)


@pytest.mark.parametrize("prefix", ["/v3/actors", "/actors", "/actors/v2"])
def test_one_table_serves_all_prefixes(prefix: str) -> None:
    assert ROUTER.find("GET", prefix)[0] is LIST
    assert ROUTER.find("GET", f"{prefix}/x")[0] is SHOW
    found, dialect, parameters = ROUTER.find("GET", f"{prefix}/x/executions/y/logs")
    assert (found, dialect.prefix, parameters) == (LOG, prefix, {"actor": "x", "execution": "y"})


def test_only_the_second_version_speaks_camel_case() -> None:
    spoken = {prefix: ROUTER.find("GET", prefix)[1].camel_case for prefix in ("/v3/actors", "/actors", "/actors/v2")}
    assert spoken == {"/v3/actors": False, "/actors": False, "/actors/v2": True}


@given(st.lists(slashes, min_size=5, max_size=5), st.sampled_from(["", "/", "//"]))
def test_runs_of_slashes_count_as_one(runs: list[str], end: str) -> None:
    path = "".join(f"{run}{word}" for run, word in zip(runs, ["v3", "actors", "x", "messages"], strict=False)) + end
    found, _, parameters = ROUTER.find("POST", path)
    assert (found, parameters) == (SEND, {"actor": "x"})


def test_head_is_get_without_a_body() -> None:
    assert ROUTER.find("HEAD", "/v3/actors/x")[0] is SHOW
    with pytest.raises(MethodNotAllowed):
        ROUTER.find("HEAD", "/v3/actors/x/messages")


def test_a_fixed_word_wins_over_an_identifier_even_for_methods_it_lacks() -> None:
    assert ROUTER.find("GET", "/v3/actors/aliases")[0] is WORD
    with pytest.raises(MethodNotAllowed):
        ROUTER.find("PUT", "/v3/actors/aliases")


@pytest.mark.parametrize(
    "path",
    ["/", "", "/v3", "/v3/actor", "/V3/actors", "/v4/actors", "/v3/actors/x/nothing", "/v3/actors/x/executions", "*"],
)
def test_nothing_is_elsewhere(path: str) -> None:
    with pytest.raises(NoSuchRoute):
        ROUTER.find("GET", path)


def test_a_method_that_a_path_lacks_is_told_from_a_path_that_is_none() -> None:
    with pytest.raises(MethodNotAllowed) as refusal:
        ROUTER.find("DELETE", "/v3/actors")
    assert refusal.value.allowed == {"GET"}


def test_a_segment_is_decoded_after_the_path_is_split() -> None:
    assert ROUTER.find("GET", "/v3/actors/a%2Fb%20c%zz")[2] == {"actor": "a/b c%zz"}


def test_a_path_that_is_no_text_is_refused() -> None:
    with pytest.raises(BadRequest):
        ROUTER.find("GET", "/v3/actors/%ff")


@given(st.sampled_from(["GET", "POST", "BREW", ""]), st.text())
def test_any_path_is_found_or_refused(method: str, path: str) -> None:
    try:
        found, _, _ = ROUTER.find(method, path)
    except (BadRequest, NoSuchRoute, MethodNotAllowed):
        return
    assert found.method == method
