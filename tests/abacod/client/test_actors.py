"""Commands about actors, on a served daemon."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.abacod.api.serving import Client, Serving
from tests.abacod.client.conftest import Abaco


async def test_an_actor_is_registered_with_all_that_is_given(abaco: Abaco, alice: Client) -> None:
    flags = ["--name", "Zählwerk", "--description", "zählt", "--stateful", "--hint", "a", "--hint", "b", "-e", "A=1"]
    flags += ["--env", "B=x=y", "--webhook", "http://127.0.0.1:1/", "--token", "--log-ex", "60", "--queue", "special"]
    flags += ["--cron-schedule", "now + 1 day", "--cron-off", "--type", "json", "--privileged", "--use-container-uid"]
    flags += ["--max-cpus", "1000000000", "--mem-limit", "512m"]
    made = (await abaco("create", "image", *flags, "--json")).result
    assert made == (await alice.get(f"/v3/actors/{made['id']}")).result | {
        field: made[field] for field in ("status", "status_message", "last_update_time")
    }
    expected = {
        "name": "Zählwerk",
        "description": "zählt",
        "stateless": False,
        "hints": ["a", "b"],
        "default_environment": {"A": "1", "B": "x=y"},
        "webhook": "http://127.0.0.1:1/",
        "token": True,
        "log_ex": 60,
        "queue": "special",
        "cron_schedule": "now + 1 day",
        "cron_on": False,
        "type": "json",
        "privileged": True,
        "use_container_uid": True,
        "max_cpus": 1000000000,
        "mem_limit": "512m",
    }
    assert {name: made[name] for name in expected} == expected


async def test_fields_come_from_a_file_in_either_spelling_and_flags_win(abaco: Abaco, tmp_path: Path) -> None:
    file = tmp_path / "actor.json"
    fields = {"image": "image", "maxWorkers": 3, "name": "a", "default_environment": {"A": "1", "B": "2"}, "id": "x"}
    file.write_text(json.dumps(fields))
    made = (await abaco("create", "--from-file", str(file), "--name", "b", "-e", "B=3", "--json")).result
    assert (made["image"], made["max_workers"], made["name"]) == ("image", 3, "b")
    assert made["default_environment"] == {"A": "1", "B": "3"}


async def test_a_shown_actor_can_be_registered_again(abaco: Abaco) -> None:
    shown = await abaco("create", "image", "-n", "a", "-e", "A=1", "--json")
    again = (await abaco("create", "--from-file", "-", "--json", typed=shown.bytes_out)).result
    assert again["id"] != shown.result["id"]
    assert (again["name"], again["default_environment"]) == ("a", {"A": "1"})


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "Give the image"),
        (("a", "--image", "b"), "Give the image once"),
        (("a", "-e", "x"), "not KEY=VALUE"),
        (("a", "-e", "{"), "nor JSON"),
        (("a", "--from-file", "/no/such"), "Cannot read /no/such"),
        (("a", "--log-ex", "x"), "valid integer"),
        (("a", "b"), "unexpected extra argument"),
        (("a", "--colour", "red"), "No such option: --colour"),
    ],
)
def test_wrong_usage_is_one_line(nobody: Abaco, arguments: tuple[str, ...], problem: str) -> None:
    refused = nobody.now("create", *arguments)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.count("\n") == 1
    assert refused.err.startswith("abaco: ")
    assert problem in refused.err


async def test_actors_are_listed(served: Serving, abaco: Abaco, alice: Client) -> None:
    assert (await abaco("ls")).out == "ID  NAME  IMAGE  OWNER  STATUS\n"
    one = await alice.register(name="ä b")
    other = await alice.register()
    lines = (await abaco("ls")).out.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", one["id"], other["id"]]
    for actor in (one, other):
        await served.until_status(alice, f"/v3/actors/{actor['id']}", "READY")
    assert (await abaco("list", "--json")).result == (await alice.get("/v3/actors")).result
    assert (await abaco("list", one["id"], "-v")).result["name"] == "ä b"


async def test_an_actor_is_meant_by_its_id_or_by_a_name_of_its_own(abaco: Abaco, alice: Client) -> None:
    for name in ("word counter", "ä/ö?", "aliases", "..", "abcdefghijklm"):
        made = await alice.register(name=name)
        for identifier in (name, made["id"]):
            assert (await abaco("show", identifier, "--json")).result["id"] == made["id"]


async def test_a_name_of_several_is_an_error_that_lists_them(abaco: Abaco, alice: Client) -> None:
    first, second = await alice.register(name="twin"), await alice.register(name="twin")
    refused = await abaco.fails("run", "-m", "x", "twin")
    assert refused.code == 4
    assert first["id"] in refused.err
    assert second["id"] in refused.err


@pytest.mark.parametrize("identifier", ["nope", "JWpkNmBwKewYo", "a/b", ".", "healthz", "ä"])
async def test_an_unknown_actor_is_not_found(abaco: Abaco, identifier: str) -> None:
    refused = await abaco.fails("logs", identifier)
    assert (refused.code, refused.out) == (4, "")
    assert refused.err == f"abaco: There is no actor with the id, alias or name {identifier}.\n"


async def test_an_actor_of_somebody_else_is_not_open(
    served: Serving, alice: Client, as_user: Callable[[Client], Abaco]
) -> None:
    made = await alice.register()
    refused = await as_user(await served.user("bob")).fails("show", made["id"])
    assert (refused.code, refused.out) == (3, "")


async def test_an_update_changes_only_what_is_given(abaco: Abaco, alice: Client) -> None:
    made = await alice.register(
        name="a", description="old", default_environment={"A": "1", "B": "2"}, stateless=False, log_ex=5, hints=["x"]
    )
    flags = ("-d", "new", "-e", "C=3", "--unset-env", "A", "--reset", "log-ex", "--reset", "hints")
    updated = (await abaco("update", "a", *flags, "--json")).result
    assert updated["description"] == "new"
    assert updated["default_environment"] == {"B": "2", "C": "3"}
    assert (updated["log_ex"], updated["hints"], updated["revision"]) == (None, [], 1)
    assert {name: updated[name] for name in ("id", "name", "image", "stateless")} == {
        name: made[name] for name in ("id", "name", "image", "stateless")
    }
    assert (await abaco("update", "a", "--force", "--json")).result["revision"] == 2
    assert (await abaco("update", "a", "other", "--json")).result["image"] == "other"


@pytest.mark.parametrize("field", ["name", "image", "colour"])
async def test_what_has_no_default_cannot_be_reset(abaco: Abaco, field: str) -> None:
    assert (await abaco.fails("update", "a", "--reset", field)).code == 2


async def test_actors_are_deleted_after_a_yes(abaco: Abaco, alice: Client) -> None:
    ids = [(await alice.register(name=name))["id"] for name in ("a", "b", "c")]
    unasked = await abaco.fails("rm", "a")
    assert unasked.code == 2
    assert "use --yes" in unasked.err
    gone = await abaco("rm", "-y", "a", ids[1])
    assert gone.err == f"Deleted actor {ids[0]} (a).\nDeleted actor {ids[1]} (b).\n"
    assert (await abaco("delete", "-y", "c", "--json")).result is None
    assert (await alice.get("/v3/actors")).result == []


async def test_nothing_is_deleted_if_one_is_not_there(abaco: Abaco, alice: Client) -> None:
    await alice.register(name="a")
    assert (await abaco.fails("rm", "-y", "a", "b")).code == 4
    assert len((await alice.get("/v3/actors")).result) == 1


async def test_the_state_is_set_and_shown(abaco: Abaco, alice: Client, tmp_path: Path) -> None:
    await alice.register(name="a", stateless=False)
    assert (await abaco("state", "a")).result == {}
    values: list[object] = [{"ä": [1, None]}, None, []]
    for value in values:
        await abaco("state", "a", json.dumps(value))
        assert (await abaco("state", "a")).result == value
    assert (await abaco("state", "a", "--json")).result == {"state": []}
    await abaco("state", "a", "-", typed=b"[1]\n")
    assert (await abaco("state", "a")).result == [1]
    (tmp_path / "state").write_text("2")
    assert (await abaco("state", "a", "-F", str(tmp_path / "state"), "--json")).result["state"] == 2
    assert (await abaco.fails("state", "a", "{")).code == 2
    assert (await abaco.fails("state", "a", "1", "-F", "x")).code == 2


async def test_a_stateless_actor_has_no_state_to_set(abaco: Abaco, alice: Client) -> None:
    await alice.register(name="a")
    refused = await abaco.fails("state", "a", "1")
    assert (refused.code, refused.err) == (4, "abaco: actor is stateless.\n")


async def test_users_get_a_level(abaco: Abaco, alice: Client) -> None:
    await alice.register(name="a")
    assert (await abaco("permissions", "a", "-u", "bob", "-p", "read", "--json")).result["bob"] == "READ"
    assert (await abaco("permissions", "a")).out.splitlines()[0].split() == ["USER", "LEVEL"]
    assert (await abaco.fails("permissions", "a", "-u", "bob")).code == 2
    refused = await abaco.fails("permissions", "a", "-u", "bob", "-p", "all")
    assert refused.code == 1
    assert "Invalid permission level: ALL" in refused.err


async def test_workers_are_listed_asked_for_and_stopped(abaco: Abaco, alice: Client) -> None:
    await alice.register(name="a")
    assert "worker(s)" in (await abaco("workers", "a", "-n", "2")).err
    listed = (await abaco("workers", "a", "--json")).result
    assert len(listed) == 2
    assert (await abaco("workers", "a")).out.count("\n") == 3
    worker = listed[0]["id"]
    assert (await abaco("workers", "a", "-w", worker, "--json")).result["id"] == worker
    assert (await abaco("workers", "a", "--stop", worker, "--json")).result is None
    assert (await abaco.fails("workers", "a", "-w", "nope")).code == 4
    assert (await abaco.fails("workers", "a", "-w", "x", "-n", "1")).code == 2
