"""Searches as clients send them."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from abacod.config import LogSettings, SearchSettings
from abacod.ids import ActorId, Username, new_execution_id
from abacod.models.permission import Subject
from abacod.models.user import WORLD, Level
from abacod.services.tokens import SigningKey
from abacod.store import permissions
from tests.abacod.api.serving import Client, Serving, serving
from tests.fakes import FakeContainer, echo, obey

SEARCH = "/v3/actors/search"


async def run(client: Client, served: Serving, actor_id: str, message: str = "1") -> dict[str, Any]:
    """One execution from its message to its end; it, as shown."""
    sent = await client.post(f"/v3/actors/{actor_id}/messages", json={"message": message}, expect=200)
    return await served.until_ended(client, actor_id, sent.result["execution_id"])


async def ready(client: Client, served: Serving, **fields: Any) -> dict[str, Any]:
    """An actor whose image is there."""
    served.engine.images.add(fields.get("image", "image"))
    actor = await client.register(**fields)
    return await served.until_status(client, f"/v3/actors/{actor['id']}", "READY")


async def found(client: Client, path: str) -> list[dict[str, Any]]:
    """The records that a search finds."""
    return list((await client.get(path, expect=200)).result["search"])


async def ids(client: Client, path: str) -> list[str]:
    return [record["id"] for record in await found(client, path)]


# --- the documentation's examples -------------------------------------------------------------------------------------


async def test_the_example_of_actors_works_as_curl_sends_it(alice: Client, served: Serving) -> None:
    actor = await ready(alice, served, image="abacosamples/test")
    await ready(alice, served, image="abacosamples/other")
    line = (
        f'GET {SEARCH}/actors?image=abacosamples/test&create_time.gt=2020-04-29&status.in=["READY","BUSY"] HTTP/1.1\r\n'
    )
    head = f"Host: x\r\nX-Tapis-Token: {alice.token}\r\n\r\n"
    answer = await served.raw((line + head).encode())
    envelope = json.loads(answer.body)
    assert (answer.status, envelope["message"]) == (200, "Search completed successfully.")
    assert envelope["result"]["_metadata"] == {
        "count_returned": 1,
        "record_limit": 10,
        "records_skipped": 0,
        "total_count": 1,
    }
    assert envelope["result"]["search"] == [actor]


async def test_the_example_of_executions_works_as_printed_and_as_meant(
    alice: Client, bob: Client, served: Serving
) -> None:
    actor = await alice.register()
    execution = await run(alice, served, actor["id"])
    expected = {name: value for name, value in execution.items() if name != "api_server"}
    for path in (f"{SEARCH}/actors/{actor['id']}/executions", f"/v3/actors/{actor['id']}/executions"):
        answer = await alice.get(f"{path}?status=COMPLETE&start_time.gt=2019", expect=200)
        assert answer.message == "Executions search completed successfully."
        assert answer.result["search"] == [expected]
        assert (await alice.get(f"{path}?status=ERROR&start_time.gt=2019", expect=200)).result["search"] == []
        await bob.get(f"{path}?status=COMPLETE", expect=403)
    await alice.get(f"{SEARCH}/logs/{actor['id']}/executions?status=COMPLETE", expect=404)
    await alice.get(f"{SEARCH}/actors/{new_execution_id()}/executions?status=COMPLETE", expect=404)


def printed(actor_id: str) -> list[tuple[str, str, bool]]:
    """The table of parameters: a database, a query as printed, and whether it finds the one record there."""
    return [
        ("actors", "search=stringToSearchFor", True),
        ("actors", "exactsearch=stringToMatchExactly", True),
        ("actors", f"id.eq={actor_id}", True),
        ("actors", f"id.neq={actor_id}", False),
        ("actors", "id.eq=AKY5o4Z847lB3", False),
        ("actors", "id.neq=AKY5o4Z847lB3", True),
        ("executions", "start_time.gt=2020-04-29+06:00", True),
        ("executions", "runtime.gte=423", False),
        ("executions", "message_received_time.lt=2020", False),
        ("executions", "final_state.FinishedAt.lte=2020-04-29", False),
        ("executions", "final_state.FinishedAt.gte=2020-04-29", True),
        ("workers", "status.in=[\u201cBUSY\u201d,\u201dREQUESTED\u201d,\u201dREADY\u201d]", True),
        ("workers", 'status.in=["BUSY","REQUESTED","READY"]', True),
        ("executions", "status.nin=[\u201cCOMPLETED\u201d,%20\u201cREADY\u201d]", True),
        ("actors", "image.like=abaco_docker_username", True),
        ("actors", "image.nlike=abaco_test", True),
        ("executions", "start_time.between=%202020-04-29T20:15:52:246Z,%202021-06-24-05:00", False),
        ("executions", "start_time.between=%202020-04-29T20:15:52:246Z,%209021-06-24-05:00", True),
        ("actors", "limit=20", True),
        ("actors", "skip=4", False),
        ("actors", "hints=['test']", True),
        ("actors", 'hints=["test"]', True),
        ("actors", "stateless=True", True),
        ("actors", "stateless=false", False),
    ]


async def test_the_examples_of_all_parameters_work_as_printed(alice: Client, served: Serving) -> None:
    actor = await ready(
        alice,
        served,
        image="abaco_docker_username/x",
        description="stringToSearchFor stringToMatchExactly",
        hints=["test"],
    )
    await run(alice, served, actor["id"])

    async def idle() -> bool:
        workers = (await alice.get(f"/v3/actors/{actor['id']}/workers", expect=200)).result
        return [worker["status"] for worker in workers] == ["READY"]

    await served.until(idle)
    for database, query, expected in printed(actor["id"]):
        # As they are, which HTTP allows for ASCII only, and with everything escaped but what separates.
        for target in filter(str.isascii, (query, quote(query, safe="=%+&"))):
            request = f"GET {SEARCH}/{database}?{target} HTTP/1.1\r\nHost: x\r\nX-Tapis-Token: {alice.token}\r\n\r\n"
            answer = await served.raw(request.encode())
            assert answer.status == 200, (query, answer.body)
            assert len(json.loads(answer.body)["result"]["search"]) == expected, query


# --- the form of answers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["limit=5", "offset=0", "x=none", "search=image"])
async def test_lists_become_searches_with_any_parameter(alice: Client, served: Serving, query: str) -> None:
    actor = await ready(alice, served)
    execution = await run(alice, served, actor["id"])
    path = f"/v3/actors/{actor['id']}"
    (worker,) = (await alice.get(f"{path}/workers", expect=200)).result
    log = (await alice.get(f"{path}/executions/{execution['id']}/logs", expect=200)).result
    del execution["api_server"]
    for list_path, message, record in (
        ("/v3/actors", "Actors search completed successfully.", actor),
        (f"{path}/workers", "Workers search completed successfully.", worker),
        (f"{path}/executions", "Executions search completed successfully.", execution),
        (f"{path}/executions/{execution['id']}/logs", "Log search completed successfully.", log),
    ):
        for nonce in ("", "x-nonce=abc&"):
            answer = await alice.get(f"{list_path}?{nonce}{query}", expect=200)
            assert answer.message == message
            assert set(answer.result) == {"_metadata", "search"}
            if query != "search=image" or "worker" in list_path or list_path == "/v3/actors":
                shown = [{**each, "status": None} for each in answer.result["search"]]
                assert [each["_links"] if "_links" in each else each["id"] for each in shown] == [
                    record.get("_links", record.get("id"))
                ]
                assert set(answer.result["search"][0]) == set(record)


async def test_a_nonce_alone_and_following_a_log_are_no_search(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    execution = await run(alice, served, actor["id"])
    assert isinstance((await alice.get("/v3/actors?x-nonce=abc", expect=200)).result, list)
    path = f"/v3/actors/{actor['id']}/executions"
    assert "total_executions" in (await alice.get(f"{path}?x-nonce=abc", expect=200)).result
    assert "logs" in (await alice.get(f"{path}/{execution['id']}/logs?follow=false&x-nonce=a", expect=200)).result
    followed = await alice.fetch("GET", f"{path}/{execution['id']}/logs?follow=true&x-nonce=a")
    assert followed.headers["Content-Type"] == "text/plain; charset=utf-8"
    # Beside a condition neither is one.
    assert len(await found(alice, f"{path}/{execution['id']}/logs?follow=true&x-nonce=a&limit=1")) == 1
    assert len(await found(alice, f"{SEARCH}/executions?x-nonce=abc")) == 1
    assert await found(alice, f"{path}?follow=true") == []


async def test_a_database_that_is_none_is_refused_with_the_four(alice: Client, served: Serving) -> None:
    for name in ("nonces", "Actors", "actors%20", "%27"):
        answer = await alice.get(f"{SEARCH}/{name}", expect=400)
        assert "Give actors, workers, executions or logs." in answer.message
    await alice.get(SEARCH, expect=404)
    await alice.post(f"{SEARCH}/actors", expect=405)
    await served.nobody.get(f"{SEARCH}/actors", expect=401)
    await served.nobody.get(f"{SEARCH}/actors?x-nonce=dev_abc", expect=401)


async def test_names_are_spelled_as_the_prefix_wants_and_read_in_both_ways(alice: Client, served: Serving) -> None:
    actor = await alice.register(max_workers=None)
    await run(alice, served, actor["id"])
    for query in ("create_time.gt=2020", "createTime.gt=2020"):
        for prefix in ("/v3/actors", "/actors", "/actors/v2"):
            answer = (await alice.get(f"{prefix}/search/actors?{query}", expect=200)).result
            camel = prefix == "/actors/v2"
            assert set(answer["_metadata"]) == (
                {"countReturned", "recordLimit", "recordsSkipped", "totalCount"}
                if camel
                else {"count_returned", "record_limit", "records_skipped", "total_count"}
            )
            (record,) = answer["search"]
            assert ("createTime" in record) == camel
            assert ("create_time" in record) != camel
    for query in ("exitCode=0", "exit_code=0", "finalState.ExitCode=0", "final_state.ExitCode=0"):
        assert len(await found(alice, f"{SEARCH}/executions?{query}")) == 1, query
    assert await found(alice, f"{SEARCH}/executions?final_state.exit_code=0") == []


async def test_old_clients_get_a_hundred_records(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key, compat="abaco") as served:
        alice = await served.user("alice")
        await alice.register()
        answer = await alice.get(f"{SEARCH}/actors?token=false", expect=200)
        assert answer.result["_metadata"]["record_limit"] == 100
        assert answer.result["search"][0]["token"] == "false"


async def test_pages_follow_one_another_oldest_first(alice: Client) -> None:
    names = [(await alice.register(name=f"n{number}"))["name"] for number in range(12)]
    first = (await alice.get("/v3/actors?skip=0", expect=200)).result
    assert [actor["name"] for actor in first["search"]] == names[:10]
    second = (await alice.get("/v3/actors?limit=4&offset=9", expect=200)).result
    assert [actor["name"] for actor in second["search"]] == names[9:]
    assert second["_metadata"] == {"count_returned": 3, "record_limit": 4, "records_skipped": 9, "total_count": 12}


BAD = [
    ("limit=-1", "limit"),
    ("limit=1001", "limit"),
    ("limit=1&limit=2", "limit"),
    ("skip=1&offset=1", "skip"),
    ("skip=x", "skip"),
    ("start_time.gt=yesterday", "start_time.gt"),
    ("startTime.gt=yesterday", "start_time.gt"),
    ("status.in=READY", "status.in"),
    ('status={"$gt":""}', "status"),
    ("image.like=a*)(", "image.like"),
    ("runtime.between=1", "runtime.between"),
    ("state.a%22=1", "state.a"),
    ("state.%00=1", "state."),
    ("&".join(["a=1"] * 101), "more than 100 parameters"),
]


@pytest.mark.parametrize(("query", "named"), BAD)
async def test_bad_parameters_are_refused_by_name_on_every_search(alice: Client, query: str, named: str) -> None:
    actor = await alice.register()
    for path in (
        "/v3/actors",
        f"/v3/actors/{actor['id']}/executions",
        f"/v3/actors/{actor['id']}/workers",
        *(f"{SEARCH}/{database}" for database in ("actors", "workers", "executions", "logs")),
    ):
        answer = await alice.get(f"{path}?{query}", expect=400)
        assert named in answer.message


# --- visibility -------------------------------------------------------------------------------------------------------


async def test_a_search_finds_what_the_caller_may_read(
    alice: Client, bob: Client, root: Client, zoe: Client, served: Serving
) -> None:
    actor = await ready(alice, served)
    await run(alice, served, actor["id"])

    async def sees(client: Client) -> set[int]:
        return {len(await found(client, f"{SEARCH}/{name}")) for name in ("actors", "workers", "executions", "logs")}

    assert [await sees(client) for client in (alice, bob, root, zoe)] == [{1}, {0}, {0}, {0}]
    # An administrator reaches what belongs to an actor by its name, as without a search.
    assert len(await found(root, f"/v3/actors/{actor['id']}/executions?limit=1")) == 1
    await bob.get(f"/v3/actors/{actor['id']}/executions?limit=1", expect=403)
    for user in (Username("bob"), WORLD):
        await served.database.write(
            partial(permissions.grant, subject=Subject.actor(ActorId(actor["id"])), username=user, level=Level.READ)
        )
        assert [await sees(client) for client in (alice, bob, zoe)] == [{1}, {1}, {0}]
        await served.database.write(
            partial(permissions.grant, subject=Subject.actor(ActorId(actor["id"])), username=user, level=Level.NONE)
        )
        assert await sees(bob) == {0}
    await alice.delete(f"/v3/actors/{actor['id']}", expect=200)
    assert await sees(alice) == {0}


# --- executions and logs on their way ---------------------------------------------------------------------------------


async def test_executions_are_found_before_they_end_and_logs_while_they_are_written(
    alice: Client, served: Serving
) -> None:
    wrote = asyncio.Event()

    async def work(container: FakeContainer) -> int:
        container.write("first lines\n")
        wrote.set()
        return await obey(container)

    served.engine.programs["image"] = work
    actor = await alice.register()
    path = f"/v3/actors/{actor['id']}"
    sent = [(await alice.post(f"{path}/messages", json={"message": "x"}, expect=200)).result for _ in range(2)]
    one, two = [each["execution_id"] for each in sent]
    running = one
    await wrote.wait()

    async def runs() -> bool:
        return await ids(alice, f"{SEARCH}/executions?status=RUNNING&limit=1") != []

    await served.until(runs)
    (running,) = await ids(alice, f"{SEARCH}/executions?status=RUNNING&limit=1")
    assert set(await ids(alice, f"{SEARCH}/executions?status.in=['RUNNING','SUBMITTED']")) == {one, two}
    assert set(await ids(alice, f"{SEARCH}/executions?search=alice")) == {one, two}

    async def written() -> bool:
        return [log["logs"] for log in await found(alice, f"{SEARCH}/logs?id={running}")] == ["first lines\nready\n"]

    await served.until(written)
    link = f"{served.url}/v3/actors/{actor['id']}/executions/{running}"
    (log,) = await found(alice, f"{path}/executions/{running}/logs?execution_id={running}")
    assert log == {
        "logs": "first lines\nready\n",
        "_links": {"self": f"{link}/logs", "owner": f"{served.url}/v3/oauth2/profiles/alice", "execution": link},
    }
    await alice.get(f"{path}/executions/{new_execution_id()}/logs?limit=1", expect=404)
    await alice.delete(f"{path}/executions/{running}", expect=200)
    await served.until_ended(alice, actor["id"], running)
    assert running in [
        each["_links"]["execution"].split("/")[-1] for each in await found(alice, f"{SEARCH}/logs?search=line")
    ]


async def test_logs_are_searched_by_words_until_they_expire(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key, logs=LogSettings(ttl_seconds=3600)) as served:
        alice = await served.user("alice")
        served.engine.programs["image"] = echo
        actor = await alice.register()
        execution = await run(alice, served, actor["id"], "Connection ERRORS")
        for query in ("search=error", "exactsearch=connection%20errors", "logs.like=ERR", f"id={execution['id']}"):
            assert len(await found(alice, f"{SEARCH}/logs?{query}")) == 1, query
        await served.database.write(lambda tx: tx.execute("UPDATE executions SET log_expires_ms = 1").rowcount)
        for query in ("search=error", "logs.like=ERR", f"id={execution['id']}", "limit=1"):
            assert await found(alice, f"{SEARCH}/logs?{query}") == []
        assert await found(alice, f"/v3/actors/{actor['id']}/executions/{execution['id']}/logs?limit=1") == []


# --- bounds -----------------------------------------------------------------------------------------------------------


async def test_a_search_that_takes_too_long_is_broken_off_and_others_go_on(
    tmp_path: Path, signing_key: SigningKey
) -> None:
    async with serving(tmp_path, signing_key, search=SearchSettings(timeout_seconds=0.2)) as served:
        alice = await served.user("alice")
        actor = await alice.register()
        await served.database.write(
            lambda tx: (
                tx.execute(
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO executions "
                    "(id, actor_id, tenant, executor, status, revision, received_ms, final_state) "
                    "SELECT 'x' || i, ?, 'dev', 'ada', 'SUBMITTED', 1, i, ? FROM n",
                    (actor["id"], json.dumps({"x": ["a" * 50] * 50})),
                ).rowcount
            )
        )
        slow = "&".join(f"final_state.x.nlike=({letter}%2B)%2Bb" for letter in "abcdefghij")
        searches = [asyncio.create_task(alice.get(f"{SEARCH}/executions?{slow}")) for _ in range(4)]
        # Readers are left for others meanwhile.
        await alice.get(f"/v3/actors/{actor['id']}", expect=200)
        assert not all(search.done() for search in searches)
        for answer in await asyncio.gather(*searches):
            assert (answer.status, "took too long" in answer.message) == (400, True)
        assert len(await found(alice, f"{SEARCH}/executions?id=x7")) == 1


async def test_hostile_parameters_harm_nothing(alice: Client, served: Serving) -> None:
    served.engine.programs["image"] = echo
    actor = await alice.register()
    await run(alice, served, actor["id"], "a" * 20_000)
    before = {name: await found(alice, f"{SEARCH}/{name}") for name in ("actors", "executions", "logs")}
    texts = [
        "'",
        '"',
        "'; DROP TABLE actors; --",
        '" OR 1=1',
        "a* AND NOT (",
        "\0",
        "\\",
        "$gt",
        "(a+)+$",
        "[" * 5000,
        "\ufffd" * 999,
    ]
    for text in texts:
        for name in (
            "id",
            "search",
            "exactsearch",
            "logs.like",
            "state.x.in",
            "default_environment.a.gt",
            "create_time.lt",
        ):
            for database in ("actors", "workers", "executions", "logs"):
                answer = await alice.get(f"{SEARCH}/{database}?{name}={quote(text)}")
                assert answer.status in (200, 400)
        for database in ("actors", "workers", "executions", "logs"):
            assert (await alice.get(f"{SEARCH}/{database}?{quote(text)}=1")).status in (200, 400)
            assert (await alice.get(f"{SEARCH}/{database}?final_state.{quote(text)}.neq=1")).status in (200, 400)
    assert {name: await found(alice, f"{SEARCH}/{name}") for name in before} == before
