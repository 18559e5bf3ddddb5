"""Commands about nonces, aliases and search, on a served daemon."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.abacod.api.serving import Client, Serving
from tests.abacod.client.conftest import Abaco


async def test_an_alias_names_an_actor_until_it_is_deleted(abaco: Abaco, alice: Client) -> None:
    first, second = await alice.register(name="a"), await alice.register(name="b")
    assert (await abaco("aliases", "create", "a", "zähler")).err == f"zähler means {first['id']}.\n"
    assert (await abaco("show", "zähler", "--json")).result["id"] == first["id"]
    assert (await abaco("aliases", "update", "zähler", "b", "--json")).result["actor_id"] == second["id"]
    for arguments in ((), ("list",)):
        lines = (await abaco("aliases", *arguments)).out.splitlines()
        assert [line.split() for line in lines] == [["ALIAS", "ACTOR", "OWNER"], ["zähler", second["id"], "alice"]]
    assert (await abaco("aliases", "--json")).result[0]["alias"] == "zähler"
    assert (await abaco("aliases", "list", "zähler", "--json")).result["owner"] == "alice"
    assert (await abaco("permissions", "zähler", "--alias", "-u", "bob", "-p", "READ", "--json")).result[
        "bob"
    ] == "READ"
    assert (await abaco("aliases", "delete", "zähler", "--json")).result is None
    assert (await abaco.fails("show", "zähler")).code == 4
    assert (await abaco.fails("aliases", "delete", "zähler")).code == 4


async def test_an_alias_goes_before_a_name(abaco: Abaco, alice: Client) -> None:
    aliased, _ = await alice.register(), await alice.register(name="counter")
    await abaco("aliases", "create", aliased["id"], "counter")
    assert (await abaco("show", "counter", "--json")).result["id"] == aliased["id"]


async def test_an_alias_that_is_taken_or_forbidden_is_refused(abaco: Abaco, alice: Client) -> None:
    await alice.register(name="a")
    await abaco("aliases", "create", "a", "x")
    for alias in ("x", "a b", "nonces"):
        refused = await abaco.fails("aliases", "create", "a", alias)
        assert (refused.code, refused.err.count("\n")) == (1, 1)


async def test_a_nonce_lets_somebody_without_an_account_send(
    served: Serving, abaco: Abaco, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = (await alice.register(name="a"))["id"]
    flags = ("--level", "execute", "--max-uses", "2", "-d", "für dich")
    nonce = (await abaco("nonces", "create", "a", *flags)).out.strip()
    assert (await abaco("nonces", "show", "a", nonce, "--json")).result["description"] == "für dich"
    assert nonce in (await abaco("nonces", "list", "a")).out

    monkeypatch.delenv("ABACO_TOKEN")
    sent = (await abaco("run", "-Z", nonce, "-m", "x", actor)).out.strip()
    assert (await served.until_ended(alice, actor, sent))["status"] == "COMPLETE"
    await abaco("run", "-Z", nonce, "-m", "x", actor)
    used_up = await abaco.fails("run", "-Z", nonce, "-m", "x", actor)
    assert used_up.code == 3
    assert "login" not in used_up.err

    monkeypatch.setenv("ABACO_TOKEN", str(alice.token))
    assert (await abaco("nonces", "list", "a", "--json")).result[0]["remaining_uses"] == 0
    assert (await abaco("nonces", "delete", "a", nonce)).err == f"Deleted nonce {nonce}.\n"
    assert (await abaco.fails("nonces", "show", "a", nonce)).code == 4


async def test_a_nonce_may_be_bound_to_an_alias(abaco: Abaco, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await alice.register(name="a")
    await abaco("aliases", "create", "a", "x")
    nonce = (await abaco("nonces", "create", "--alias", "x", "--json")).result
    assert nonce["alias"] == "x"
    assert (await abaco("nonces", "list", "-A", "x", "--json")).result[0]["id"] == nonce["id"]
    monkeypatch.delenv("ABACO_TOKEN")
    await abaco("run", "-Z", nonce["id"], "-m", "x", "x")


async def test_records_are_found_by_their_fields(abaco: Abaco, alice: Client) -> None:
    one = await alice.register(name="Zähler eins")
    for name in ("b", "c"):
        await alice.register(name=name)
    found = await abaco("search", "actors", "name.like=^Z", "status.in=['READY', 'SUBMITTED']")
    assert [line.split()[0] for line in found.out.splitlines()] == ["ID", one["id"]]
    limited = await abaco("search", "actors", "--limit", "1", "--skip", "1")
    assert limited.err == "1 of 3; --limit and --skip show others.\n"
    as_json = (await abaco("search", "actors", "--limit", "1", "--json")).result
    assert as_json["_metadata"]["total_count"] == 3
    assert (await abaco("search", "actors", "--search", "eins", "--json")).result["search"][0]["id"] == one["id"]
    assert (await abaco("search", "workers", "status=NONE")).out.startswith("ID")


@pytest.mark.parametrize(
    ("arguments", "code"), [(("actors", "x"), 2), (("planets",), 1), (("actors", "create_time.gt=soon"), 1)]
)
async def test_a_search_that_cannot_be_is_refused(abaco: Abaco, arguments: tuple[str, ...], code: int) -> None:
    refused = await abaco.fails("search", *arguments)
    assert (refused.code, refused.err.count("\n")) == (code, 1)


async def test_others_do_not_get_what_is_not_theirs(
    served: Serving, alice: Client, as_user: Callable[[Client], Abaco]
) -> None:
    actor = (await alice.register())["id"]
    bob = as_user(await served.user("bob"))
    for arguments in (("nonces", "create", actor), ("aliases", "create", actor, "x"), ("run", "-m", "x", actor)):
        assert (await bob.fails(*arguments)).code == 3
