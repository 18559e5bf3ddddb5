from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from abacod.errors import MethodNotAllowed
from abacod.ids import new_actor_id
from abacod.models.user import User
from abacod.services.access import Access
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import CREATED, DEV, MAX_BINARY, MAX_TEXT, Client, Serving, read_answer, serving

# One address of every kind, and the methods it has.
ADDRESSES = {
    "": ("GET", "POST"),
    "/{actor}": ("GET", "PUT", "DELETE"),
    "/{actor}/state": ("GET", "POST"),
    "/{actor}/messages": ("GET", "POST", "DELETE"),
    "/{actor}/executions": ("GET",),
    "/{actor}/executions/x": ("GET", "DELETE"),
    "/{actor}/executions/x/logs": ("GET",),
    "/{actor}/workers": ("GET", "POST"),
    "/{actor}/workers/x": ("GET", "DELETE"),
}
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")


# --- who calls -------------------------------------------------------------------------------------------------------


async def test_every_address_wants_to_know_who_calls(served: Serving) -> None:
    actor_id = new_actor_id()
    for path, methods in ADDRESSES.items():
        for method in methods:
            await served.nobody.send(method, "/v3/actors" + path.format(actor=actor_id), json={}, expect=401)


BAD_CREDENTIALS: list[dict[str, str]] = [
    {},
    {"X-Tapis-Token": ""},
    {"X-Tapis-Token": "nonsense"},
    {"X-Tapis-Token": "a.b.c"},
    {"X-Tapis-Token": "ü.ü.ü"},
    {"X-Tapis-Token": "x" * 20_000},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer  "},
    {"Authorization": "Bearer nonsense"},
    {"Authorization": "Basic YTpi"},
    {"Authorization": "nonsense"},
]


async def test_no_or_bad_credentials_are_401_for_all_clients(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key, compat="abaco") as served:
        for headers in BAD_CREDENTIALS:
            refused = await served.nobody.get("/v3/actors", headers=headers, expect=401)
            assert refused.result is None


async def test_a_token_is_taken_from_either_header_and_the_first_one_counts(served: Serving, alice: Client) -> None:
    for headers in (
        {"X-Tapis-Token": alice.token},
        {"Authorization": f"Bearer {alice.token}"},
        {"Authorization": f"bearer   {alice.token}  "},
        {"X-Tapis-Token": alice.token, "Authorization": "Bearer nonsense"},
        {"X-Tapis-Token": alice.token, "X-Tapis-Tracking-ID": "a.b"},
    ):
        for path in ("/v3/actors", "/actors", "/actors/v2"):
            await served.nobody.get(path, headers=headers, expect=200)
    wrong_first = {"X-Tapis-Token": "nonsense", "Authorization": f"Bearer {alice.token}"}
    await served.nobody.get("/v3/actors", headers=wrong_first, expect=401)


async def test_an_expired_token_and_one_of_a_user_who_is_gone_are_401(served: Serving) -> None:
    tokens = served.daemon.core.tokens
    alice = await served.user("alice")
    assert alice.token
    user = User(DEV, tokens.verify(alice.token).username, frozenset(), CREATED)
    expired = Client(served.session, served.url, tokens.issue(user, "access", ttl_seconds=-1).text)
    assert "expired" in (await expired.get("/v3/actors", expect=401)).message
    stranger = User(DEV, type(user.username)("stranger"), frozenset(), CREATED)
    gone = Client(served.session, served.url, tokens.issue(stranger, "access").text)
    assert "no account" in (await gone.get("/v3/actors", expect=401)).message


# --- what they may do ------------------------------------------------------------------------------------------------


async def test_another_tenant_sees_nothing_whatever_its_roles(alice: Client, zoe: Client) -> None:
    actor = await alice.register()
    for path, methods in ADDRESSES.items():
        for method in methods:
            if path:
                await zoe.send(method, "/v3/actors" + path.format(actor=actor["id"]), json={"image": "a"}, expect=404)


@pytest.mark.parametrize(("compat", "denied", "unknown"), [("documented", 403, 404), ("abaco", 400, 400)])
async def test_denials_and_unknown_actors_have_a_status_for_each_kind_of_client(
    tmp_path: Path, signing_key: SigningKey, compat: str, denied: int, unknown: int
) -> None:
    async with serving(tmp_path, signing_key, compat=compat) as served:
        alice, bob, root = (
            await served.user("alice"),
            await served.user("bob"),
            await served.user("root", "abaco_admin"),
        )
        created = await alice.post("/v3/actors", json={"image": "image"}, expect=200 if compat == "abaco" else 201)
        refused = await bob.get(f"/v3/actors/{created.result['id']}", expect=denied)
        assert refused.message == "Not authorized -- you do not have access to this actor."
        missing = await alice.get(f"/v3/actors/{new_actor_id()}", expect=unknown)
        assert ("you do not have access to this actor" in missing.message) == (compat == "abaco")
        await root.get(f"/v3/actors/{new_actor_id()}", expect=404)
        assert "'no-id'" in (await alice.get("/v3/actors/no-id", expect=404)).message
        await bob.post("/v3/actors", json={"image": "image", "privileged": True}, expect=denied)


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["/v3/actors", "/actors", "/actors/v2"])
async def test_a_method_that_an_address_lacks_is_405(alice: Client, prefix: str) -> None:
    actor = await alice.register()
    for path, methods in ADDRESSES.items():
        for method in set(METHODS) - set(methods):
            refused = await alice.send(method, prefix + path.format(actor=actor["id"]), json={}, expect=405)
            assert refused.message == MethodNotAllowed().message


async def test_an_address_that_is_none_is_404(served: Serving, alice: Client) -> None:
    nowhere = [
        "/",
        "/v3",
        "/nothing",
        "/v3/actors/x/nothing",
        "/v3/actors/x/state/y",
        "/V3/actors",
        "/%0A",
        "/v3%2Factors",
    ]
    for path in nowhere:
        for client in (served.nobody, alice):
            for method in METHODS:
                await client.send(method, path, expect=404)


async def test_slashes_at_the_end_and_in_runs_make_no_difference(alice: Client) -> None:
    actor = await alice.register()
    for path in ("/v3/actors/{}/", "//v3//actors///{}", "/actors/{}//", "/actors/v2/{}/?", "/v3/actors/{}?&&"):
        assert (await alice.get(path.format(actor["id"]), expect=200)).result["id"] == actor["id"]
    for path in ("/v3/actors/", "/actors//", "/actors/v2/"):
        assert len((await alice.get(path, expect=200)).result) == 1


async def test_every_prefix_takes_both_spellings(alice: Client) -> None:
    for prefix in ("/v3/actors", "/actors", "/actors/v2"):
        for name in ("default_environment", "defaultEnvironment"):
            created = await alice.post(prefix, json={"image": "image", name: {"A_b": "1"}}, expect=201)
            shown = created.result["defaultEnvironment" if prefix == "/actors/v2" else "default_environment"]
            assert shown == {"A_b": "1"}


async def test_head_is_get_without_a_body(served: Serving, alice: Client) -> None:
    async with served.session.head(f"{served.url}/v3/actors", headers={"X-Tapis-Token": alice.token or ""}) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.headers["Content-Type"] == "application/json"
    async with served.session.head(f"{served.url}/v3/actors") as answer:
        assert answer.status == 401


# --- browsers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v3/actors", "/v3/actors/x/messages", "/nothing"])
async def test_a_preflight_needs_no_credentials(served: Serving, path: str) -> None:
    headers = {
        "Origin": "https://app.example.org",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "X-Tapis-Token, Content-Type",
    }
    async with served.session.options(served.url + path, headers=headers) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
        assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
        assert answer.headers["Access-Control-Allow-Headers"] == "X-Tapis-Token, Content-Type"


async def test_answers_and_refusals_may_be_read_by_any_page(served: Serving, alice: Client) -> None:
    for client in (alice, served.nobody):
        named = await client.get("/v3/actors", headers={"Origin": "https://app.example.org"})
        assert named.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
        assert named.headers["Vary"] == "Origin"
        assert (await client.get("/v3/actors")).headers["Access-Control-Allow-Origin"] == "*"


# --- on the wire -----------------------------------------------------------------------------------------------------


def head(request_line: str, client: Client, *lines: str) -> bytes:
    return "\r\n".join([request_line, "Host: x", f"X-Tapis-Token: {client.token}", *lines, "", ""]).encode()


async def test_unencoded_signs_in_a_query_are_tolerated(served: Serving, alice: Client) -> None:
    for query in ('status.in=["READY","BUSY"]', "a=%zz", "x={1}|<2>\\^`'", "a=" + "b" * 60_000):
        answer = await served.raw(head(f"GET /v3/actors?{query} HTTP/1.1", alice))
        assert (answer.status, answer.is_json) == (200, True), query


async def test_a_request_may_name_its_whole_url(served: Serving, alice: Client) -> None:
    answer = await served.raw(head("GET http://x/v3/actors?a=1 HTTP/1.1", alice))
    assert answer.status == 200


@pytest.mark.parametrize(("kind", "limit"), [("application/json", MAX_TEXT), ("application/octet-stream", MAX_BINARY)])
async def test_too_large_a_body_is_refused_before_it_is_sent(
    served: Serving, alice: Client, kind: str, limit: int
) -> None:
    actor = await alice.register()
    lines = (f"Content-Type: {kind}", f"Content-Length: {limit + 1}", "Expect: 100-continue")
    answer = await served.raw(head(f"POST /v3/actors/{actor['id']}/messages HTTP/1.1", alice, *lines))
    assert (answer.status, answer.headers["Connection"]) == (413, "close")


async def test_a_refusal_costs_nobody_the_body(served: Serving, alice: Client, bob: Client) -> None:
    actor = await alice.register()
    lines = ("Content-Type: application/octet-stream", "Content-Length: 10", "Expect: 100-continue")
    for path, client, status in (
        (f"/v3/actors/{actor['id']}/messages", bob, 403),
        ("/v3/actors/x/messages", alice, 404),
        ("/nothing", alice, 404),
    ):
        assert (await served.raw(head(f"POST {path} HTTP/1.1", client, *lines))).status == status


async def test_a_body_is_sent_once_it_is_wanted(served: Serving, alice: Client) -> None:
    actor = await alice.register()
    reader, writer = await asyncio.open_connection(*served.address)
    lines = ("Content-Type: application/json", "Content-Length: 2", "Expect: 100-continue")
    writer.write(head(f"POST /v3/actors/{actor['id']}/messages HTTP/1.1", alice, *lines))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"42")
    assert (await read_answer(reader)).status == 200
    writer.write(head("GET /v3/actors HTTP/1.1", alice))
    assert (await read_answer(reader)).status == 200
    writer.close()
    await writer.wait_closed()


# --- defects of ours -------------------------------------------------------------------------------------------------


async def test_a_defect_costs_its_request_only_and_its_details_stay_here(
    served: Serving, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("the secret detail")

    with monkeypatch.context() as patched:
        patched.setattr(Access, "named", broken)
        crashed = await alice.get(f"/v3/actors/{new_actor_id()}", expect=500, may_fail=True)
    assert "secret" not in crashed.message
    await alice.get("/v3/actors", expect=200)
