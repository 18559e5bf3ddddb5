from __future__ import annotations

import base64
import socket
from pathlib import Path
from typing import Any

import argon2
import jwt
import pytest

from abacod.config import RunSettings, ServerSettings
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import DEV, LAB, Client, Serving, serving

# The cost of checking a password is written in its hash: a cheap one keeps the tests fast.
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "a: pässword"
SITES, TENANTS, TOKENS, PROFILES = "/v3/sites", "/v3/tenants", "/v3/oauth2/tokens", "/v3/oauth2/profiles"


async def account(served: Serving, name: str, password: str = PASSWORD) -> Client:
    return await served.user(name, stored=CHEAP.hash(password))


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


async def test_a_client_starts_up_as_tapipy_does(served: Serving) -> None:
    await account(served, "carol")
    # given what it asks for in its constructor
    (site,) = (await served.nobody.get(SITES, expect=200)).result
    tenants = (await served.nobody.get(TENANTS, expect=200)).result
    *_, tenant = [tenant for tenant in tenants if tenant["base_url"] == served.url]
    assert (tenant["tenant_id"], tenant["site_id"]) == ("dev", site["site_id"])
    # when it logs in
    login = {"username": "carol", "password": "a: pässword", "grant_type": "password"}
    granted = await served.nobody.post(TOKENS, json=login, expect=200)
    token = granted.result["access_token"]["access_token"]
    # then the token can be read and checked with the published key, and used
    claims = jwt.decode(token, tenant["public_key"], algorithms=["RS256"])
    assert (claims["sub"], claims["tapis/tenant_id"], claims["tapis/username"]) == ("carol@dev", "dev", "carol")
    assert granted.result["access_token"]["expires_in"] == claims["exp"] - claims["iat"]
    carol = Client(served.session, served.url, token)
    assert (await carol.get("/v3/actors", expect=200)).result == []
    assert (await carol.get(f"{PROFILES}/carol", expect=200)).result["username"] == "carol"


WRONG_LOGINS: list[dict[str, str]] = [
    {"username": "carol", "password": "wrong"},
    {"username": "nobody", "password": "a: pässword"},
    {"username": "ABACO_WORLD", "password": "a: pässword"},
    {"username": "../carol", "password": "a: pässword"},
]


async def test_a_wrong_login_is_refused_without_telling_what_is_wrong(served: Serving) -> None:
    await account(served, "carol")
    for login in WRONG_LOGINS:
        refused = await served.nobody.post(TOKENS, json=login, expect=401)
        assert refused.message == "Invalid username or password."
        assert refused.result is None


INCOMPLETE_LOGINS: list[dict[str, Any]] = [
    {},
    {"username": "carol"},
    {"password": "x"},
    {"username": "", "password": "x"},
    {"username": 1, "password": "x"},
    {"username": "carol", "password": ["x"]},
    {"username": "carol", "password": None},
    {"username": "carol", "password": "x", "grant_type": "magic"},
    {"grant_type": "refresh_token"},
    {"grant_type": ["password"]},
]


async def test_an_incomplete_login_is_a_bad_request(served: Serving) -> None:
    for login in INCOMPLETE_LOGINS:
        await served.nobody.post(TOKENS, json=login, expect=400)


async def test_a_login_may_be_a_form_and_needs_no_grant_type(served: Serving) -> None:
    await account(served, "carol")
    await served.nobody.post(TOKENS, data={"username": "carol", "password": "a: pässword"}, expect=200)


async def test_credentials_do_not_belong_into_the_query(served: Serving) -> None:
    await account(served, "carol", "x")
    await served.nobody.post(f"{TOKENS}?username=carol&password=x", expect=400)


async def test_http_basic_names_the_user_when_the_body_does_not(served: Serving) -> None:
    await account(served, "carol")
    grant = {"grant_type": "password"}
    await served.nobody.post(TOKENS, json=grant, headers=basic("carol", "a: pässword"), expect=200)
    for headers in (
        basic("carol", "wrong"),
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic"},
        {"Authorization": "Basic /w=="},
        {"Authorization": "Digest x"},
    ):
        await served.nobody.post(TOKENS, json=grant, headers=headers, expect=401)


async def test_http_basic_beside_a_user_in_the_body_names_an_oauth_client(served: Serving) -> None:
    await account(served, "carol")
    login = {"username": "carol", "password": "a: pässword"}
    await served.nobody.post(TOKENS, json=login, headers=basic("client", "key"), expect=200)


async def test_a_refresh_token_gives_a_new_pair(served: Serving, alice: Client) -> None:
    await account(served, "carol", "x")
    first = (await served.nobody.post(TOKENS, json={"username": "carol", "password": "x"}, expect=200)).result
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]["refresh_token"]}
    headers = basic("client", "key") | {"X-Tapis-Token": "an expired one"}
    second = (await served.nobody.post(TOKENS, json=refresh, headers=headers, expect=200)).result
    assert second["access_token"]["jti"] != first["access_token"]["jti"]
    carol = Client(served.session, served.url, second["access_token"]["access_token"])
    assert (await carol.get("/v3/oauth2/userinfo", expect=200)).result["username"] == "carol"
    # and nothing else does
    for wrong in (first["access_token"]["access_token"], alice.token, "x", "a.b.c"):
        await served.nobody.post(TOKENS, json={"grant_type": "refresh_token", "refresh_token": wrong}, expect=401)
    refresher = Client(served.session, served.url, first["refresh_token"]["refresh_token"])
    await refresher.get("/v3/actors", expect=401)


async def test_the_tenant_of_a_login_follows_from_a_header_or_the_host(served: Serving) -> None:
    await served.user("carol", tenant=DEV, stored=CHEAP.hash("in dev"))
    await served.user("carol", tenant=LAB, stored=CHEAP.hash("in lab"))
    for headers, tenant in (
        ({}, "dev"),
        ({"X-Tapis-Tenant": "lab"}, "lab"),
        ({"Host": "lab.example.org"}, "lab"),
        ({"Host": "LAB.example.org:8000"}, "lab"),
        ({"Host": "lab.example.org", "X-Tapis-Tenant": "dev"}, "dev"),
    ):
        for other in ("dev", "lab"):
            login = {"username": "carol", "password": f"in {other}"}
            answer = await served.nobody.post(TOKENS, json=login, headers=headers)
            assert answer.status == (200 if tenant == other else 401)
    login = {"username": "carol", "password": "in dev"}
    await served.nobody.post(TOKENS, json=login, headers={"X-Tapis-Tenant": "unknown"}, expect=401)


async def test_tenants_show_the_address_by_which_the_client_came(tmp_path: Path, signing_key: SigningKey) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    server = ServerSettings(port=port, drain_seconds=0, public_url="https://public.example.org/")
    runs = RunSettings(api_server="https://for-containers.example.org:8443/")
    async with serving(tmp_path, signing_key, server=server, runs=runs) as served:
        client = Client(served.session, address, None)
        for headers, expected in (
            ({}, address),
            ({"Host": "public.example.org"}, "https://public.example.org"),
            ({"Host": "for-containers.example.org:8443"}, "https://for-containers.example.org:8443"),
            ({"Host": "lab:81"}, "http://lab:81"),
        ):
            for path in (SITES, TENANTS):
                shown = (await client.get(path, headers=headers, expect=200)).result
                assert shown[0]["base_url"] == expected


@pytest.mark.parametrize(("host", "last"), [("127.0.0.1", "dev"), ("lab.example.org", "lab")])
async def test_the_tenant_of_logins_comes_last_for_tapipy_takes_that_for_its_own(
    served: Serving, host: str, last: str
) -> None:
    shown = (await served.nobody.get(TENANTS, headers={"Host": host})).result
    assert sorted(tenant["tenant_id"] for tenant in shown) == ["dev", "lab"]
    assert shown[-1]["tenant_id"] == last


async def test_tenants_can_be_looked_up_one_by_one(served: Serving) -> None:
    assert (await served.nobody.get(f"{TENANTS}/lab", expect=200)).result["tenant_id"] == "lab"
    await served.nobody.get(f"{TENANTS}/unknown", expect=404)


async def test_profiles_are_those_of_the_tenant(alice: Client, bob: Client, zoe: Client) -> None:
    profiles = (await alice.get(PROFILES, expect=200)).result
    assert [profile["username"] for profile in profiles] == ["alice", "bob"]
    shown = (await bob.get(f"{PROFILES}/alice", expect=200)).result
    assert (shown["uid"], shown["gid"]) == (1001, 1002)
    assert "email" in shown
    await alice.get(f"{PROFILES}/zoe", expect=404)
    await alice.get(f"{PROFILES}/%00", expect=404)
    assert (await zoe.get("/v3/oauth2/userinfo", expect=200)).result["username"] == "zoe"


async def test_profiles_need_a_login(served: Serving) -> None:
    for path in (PROFILES, f"{PROFILES}/alice", "/v3/oauth2/userinfo"):
        await served.nobody.get(path, expect=401)


async def test_a_login_body_is_small(served: Serving) -> None:
    await served.nobody.post(TOKENS, json={"username": "x" * 70_000, "password": "x"}, expect=413)


# --- the second version ----------------------------------------------------------------------------------------------

BARE, PROFILES_V2 = "/token", "/profiles/v2"


async def bare_tokens(served: Serving, headers: dict[str, str] | None = None, **form: str) -> dict[str, Any]:
    """What agavepy gets for this form; without the envelope."""
    async with served.session.post(served.url + BARE, data=form, headers=headers) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
        assert response.headers["Cache-Control"] == "no-store"
        return dict(await response.json())


async def test_a_client_of_the_second_version_logs_in_refreshes_and_looks_at_its_profile(served: Serving) -> None:
    await account(served, "carol")
    # given a login as agavepy sends it, whose basic credentials are those of a client that nobody registered
    client = basic("api_key", "api_secret")
    form = {"grant_type": "password", "username": "carol", "password": PASSWORD, "scope": "PRODUCTION"}
    first = await bare_tokens(served, client, **form)
    assert set(first) == {"access_token", "refresh_token", "expires_in", "token_type"}
    assert (first["expires_in"], first["token_type"]) == (14_400, "bearer")
    # when it refreshes
    again = {"grant_type": "refresh_token", "scope": "PRODUCTION", "refresh_token": first["refresh_token"]}
    second = await bare_tokens(served, client, **again)
    # then the new token is good
    bearer = {"Authorization": f"Bearer {second['access_token']}"}
    assert (await served.nobody.get("/actors/v2", headers=bearer, expect=200)).result == []
    me = await served.nobody.get(f"{PROFILES_V2}/me", headers=bearer, expect=200)
    assert (me.result["username"], me.result["email"], me.result["firstName"]) == ("carol", None, None)


async def test_basic_credentials_are_never_a_users_at_the_bare_address(served: Serving) -> None:
    await account(served, "carol")
    await served.nobody.post(BARE, data={"grant_type": "password"}, headers=basic("carol", PASSWORD), expect=400)


async def test_refusals_of_bare_tokens_are_in_the_envelope(served: Serving) -> None:
    await account(served, "carol")
    for login in WRONG_LOGINS:
        assert (await served.nobody.post(BARE, data=login, expect=401)).message == "Invalid username or password."
    for incomplete in INCOMPLETE_LOGINS:
        await served.nobody.post(BARE, json=incomplete, expect=400)
    await served.nobody.post(BARE, data={"grant_type": "refresh_token", "refresh_token": "x"}, expect=401)
    for body in (b"\xff", b"{", b"[]", b'{"username": "\\ud800", "password": "x"}'):
        headers = {"Content-Type": "application/json"}
        await served.nobody.post(BARE, data=body, headers=headers, expect=400)
    await served.nobody.post(BARE, data={"username": "x" * 70_000}, expect=413)
    await served.nobody.get(BARE, expect=405)


async def test_profiles_of_the_second_version_are_where_its_links_lead(served: Serving, alice: Client) -> None:
    await served.user("dan", tenant=LAB)
    actor = (await alice.post("/actors/v2", json={"image": "image"}, expect=201)).result
    owner = (await alice.get(actor["_links"]["owner"].removeprefix(served.url), expect=200)).result
    assert (owner["username"], owner["uid"], owner["gid"]) == ("alice", 1001, 1002)
    assert "createTime" in owner
    assert [each["username"] for each in (await alice.get(PROFILES_V2, expect=200)).result] == ["alice"]
    for unknown in ("dan", "nobody", "%00", "..", "x" * 1000):
        await alice.get(f"{PROFILES_V2}/{unknown}", expect=404)
    for path in (PROFILES_V2, f"{PROFILES_V2}/me"):
        await served.nobody.get(path, expect=401)
