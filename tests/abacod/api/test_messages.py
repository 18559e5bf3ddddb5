from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from abacod.models.message import BINARY_OMITTED
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import MAX_BINARY, Client, Serving, multipart, serving
from tests.fakes import FakeContainer

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
BINARY = "application/octet-stream"
# The longest text of which `MSG=…` and its closing NUL still fit into the environment, in bytes.
LONGEST = 131_072 - len("MSG=") - 1


def labelled(label: str | None, body: bytes) -> dict[str, Any]:
    return {"data": body, "headers": {"Content-Type": label} if label else {}}


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


# --- what the container gets -----------------------------------------------------------------------------------------


# Query, body; kind and text in the container; what the reply shows. The rules are those of spec/actors-api 3.1.
RULES: list[tuple[str, dict[str, Any], str, str, Any]] = [
    # Rule 1: the field `message`, in JSON, then in the query, then in a form.
    ("", labelled(JSON, b'{"message": "a b", "x": 1}'), "str", "a b", "a b"),
    ("?message=q", labelled(JSON, b'{"message": "json"}'), "str", "json", "json"),
    ("?message=q", labelled(JSON, b'{"other": 1}'), "str", "q", "q"),
    ("?message=q", labelled(JSON, b'{"message": ""}'), "str", "q", "q"),
    ("?message=q", labelled(FORM, b"message=form"), "str", "q", "q"),
    ("?message=q", labelled(BINARY, b"\xff"), "str", "q", "q"),
    ("?message=q", labelled(None, b""), "str", "q", "q"),
    ("?message=&message=%C3%BC+%2B", labelled(None, b""), "str", "ü +", "ü +"),
    ("", labelled(FORM, b"message=a+b%26%C3%BC&other=1"), "str", "a b&ü", "a b&ü"),
    ("", labelled(FORM, b"message='a b'"), "str", "'a b'", "'a b'"),
    ("", labelled(FORM, b"message=&message=second"), "str", "second", "second"),
    ("", labelled(None, b"message=a"), "str", "a", "a"),
    ("", multipart({"message": "a\r\nb"}), "str", "a\r\nb", "a\r\nb"),
    ("?message=q", multipart({"message": "form"}), "str", "q", "q"),
    ("", labelled(JSON, b'{"message": {"a": [1, "\xc3\xbc"]}}'), JSON, '{"a": [1, "ü"]}', {"a": [1, "ü"]}),
    ("", labelled(JSON, b'{"message": [1]}'), JSON, "[1]", [1]),
    ("", labelled(JSON, b'{"message": 0}'), JSON, "0", 0),
    ("", labelled(JSON, b'{"message": false}'), JSON, "false", False),
    ("?message=q", labelled(JSON, b'{"message": {"a": 1}}'), JSON, '{"a": 1}', {"a": 1}),
    # Rule 3: JSON that is something, byte for byte.
    ("", labelled(JSON, b' {"b":1,  "a":"\\u00fc"}\n'), JSON, ' {"b":1,  "a":"\\u00fc"}\n', {"b": 1, "a": "ü"}),
    ("", labelled("application/vnd.x+json; charset=utf-8", b'{"a":1}'), JSON, '{"a":1}', {"a": 1}),
    ("", labelled("Application/JSON", b'{"a":1}'), JSON, '{"a":1}', {"a": 1}),
    ("", labelled(JSON, b'{"message": ""}'), JSON, '{"message": ""}', {"message": ""}),
    ("", labelled(JSON, b'{"message": null}'), JSON, '{"message": null}', {"message": None}),
    ("", labelled(JSON, b"[1,[2]]"), JSON, "[1,[2]]", [1, [2]]),
    ("", labelled(JSON, b"42"), JSON, "42", 42),
    ("", labelled(JSON, b'"text"'), JSON, '"text"', "text"),
    ("", labelled(JSON, b"true"), JSON, "true", True),
    # Rule 4: any other text that reads as JSON, and JSON that is nothing.
    ("", labelled(JSON, b"{}"), "str", "{}", {}),
    ("", labelled(JSON, b"[]"), "str", "[]", []),
    ("", labelled(JSON, b"0"), "str", "0", 0),
    ("", labelled(JSON, b'""'), "str", '""', ""),
    ("", labelled(JSON, b"null"), "str", "null", None),
    ("", labelled(FORM, b'{"a": "b=c&d+%zz"}'), "str", '{"a": "b=c&d+%zz"}', {"a": "b=c&d+%zz"}),
    ("", labelled(FORM, b'{"message": "in JSON"}'), "str", '{"message": "in JSON"}', {"message": "in JSON"}),
    ("", labelled(FORM, b'["a"]'), "str", '["a"]', ["a"]),
    ("", labelled(FORM, b'"a=b"'), "str", '"a=b"', "a=b"),
    ("", labelled(FORM, b"42"), "str", "42", 42),
    ("", labelled(None, b'{"a": 1}'), "str", '{"a": 1}', {"a": 1}),
    ("", labelled("text/plain", b"[1]"), "str", "[1]", [1]),
    ("", labelled(";;;", b"[1]"), "str", "[1]", [1]),
]


async def test_the_message_and_its_kind_follow_from_the_request(alice: Client, served: Serving) -> None:
    async def show(container: FakeContainer) -> int:
        container.write(json.dumps(dict(container.spec.environment)))
        return 0

    served.engine.programs["image"] = show
    path = f"/v3/actors/{(await alice.register())['id']}"
    for query, body, kind, message, shown in RULES:
        sent = (await alice.post(f"{path}/messages{query}", **body, expect=200)).result
        execution = f"{path}/executions/{sent['execution_id']}"
        await served.until_status(alice, execution, "COMPLETE", "ERROR")
        environment = json.loads((await alice.get(f"{execution}/logs")).result["logs"])
        assert (sent["msg"], environment["MSG"]) == (shown, message), (query, body)
        assert environment["_abaco_Content-Type"] == environment["_abaco_Content_Type"] == kind, (query, body)


NO_MESSAGES: list[dict[str, Any]] = [
    labelled(None, b""),
    labelled(JSON, b""),
    labelled(JSON, b"  "),
    labelled(FORM, b""),
    labelled(FORM, b"message="),
    labelled(FORM, b"text=hello"),
    labelled("text/plain", b"hello"),
    labelled(None, b"hello"),
    labelled(FORM, b'{"a": 1,}'),
    multipart({"text": "hello"}),
    multipart({"message": ""}),
]


async def test_what_is_no_message_is_refused(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    for body in NO_MESSAGES:
        refused = await alice.post(f"/v3/actors/{actor['id']}/messages", **body, expect=400)
        assert refused.message == (
            "message POST body could not be serialized. Pass JSON data or use the message attribute."
        )
    assert (await served.contents())["executions"] == 0


async def test_the_reply_names_the_execution_in_both_spellings(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    sent = await alice.post(f"/v3/actors/{actor['id']}/messages", json={"message": "a"}, expect=200)
    link = f"{served.url}/v3/actors/{actor['id']}"
    execution_id = sent.result["execution_id"]
    assert sent.message == "The request was successful"
    assert sent.result == {
        "execution_id": execution_id,
        "executionId": execution_id,
        "msg": "a",
        "_links": {
            "self": f"{link}/executions/{execution_id}",
            "owner": f"{served.url}/v3/oauth2/profiles/alice",
            "messages": f"{link}/messages",
        },
    }


async def test_messages_arrive_under_every_address_clients_use(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    for prefix in ("/v3/actors", "/actors", "/actors/v2", "//v3///actors"):
        for slashes in ("/", "//", "///"):
            path = f"{prefix}/{actor['id']}{slashes}messages"
            container = await served.run(alice, actor["id"], path, json={"message": "a"})
            assert container.spec.environment["MSG"] == "a"
            assert (await alice.post(f"{path}/?", json={"message": "a"}, expect=200)).result["executionId"]


async def test_old_clients_get_python_literals(tmp_path: Path, signing_key: SigningKey) -> None:
    async with serving(tmp_path, signing_key, compat="abaco") as served:
        alice = await served.user("alice")
        actor = await alice.register()
        structured = await served.run(alice, actor["id"], json={"a": True, "b": None})
        text = await served.run(alice, actor["id"], **labelled(FORM, b'{"a": true}'))
        assert structured.spec.environment["MSG"] == "{'a': True, 'b': None}"
        assert text.spec.environment["MSG"] == '{"a": true}'


# --- the query as environment ----------------------------------------------------------------------------------------


async def test_query_parameters_become_environment_over_the_defaults(alice: Client, served: Serving) -> None:
    actor = await alice.register(default_environment={"A": "default", "KEPT": "yes", "PATH": "/bin"})
    path = f"/v3/actors/{actor['id']}/messages?A=query&A=second&uuid=%C3%BC+1&event=&environment=x&environment=y"
    environment = (await served.run(alice, actor["id"], path, json=1)).spec.environment
    expected = {"A": "query", "KEPT": "yes", "PATH": "/bin", "uuid": "ü 1", "event": "", "environment": "x"}
    assert {name: environment[name] for name in expected} == expected


async def test_reserved_names_and_credentials_never_reach_the_container(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    names = ["_abaco_username", "_abaco_access_token", "_abaco_anything", "_abaco_synchronous", "_actor_configs", "MSG"]
    query = "&".join(f"{name}=stolen" for name in names) + "&x-nonce=secret&message=text"
    path = f"/v3/actors/{actor['id']}/messages?{query}"
    environment = (await served.run(alice, actor["id"], path, json=None)).spec.environment
    assert "stolen" not in str(environment)
    assert "secret" not in str(environment)
    assert "message" not in environment
    assert (environment["_abaco_username"], environment["MSG"]) == ("alice", "text")


async def test_keys_of_a_message_are_no_registration(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    container = await served.run(alice, actor["id"], json={"privileged": True, "queue": "special"})
    assert container.spec.privileged is False


async def test_what_cannot_be_a_variable_is_refused(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    for query in ("=value", "a%3Db=1", "a%00=1", "a=%00", "a=" + "x" * 60_000 + "%ff"):
        for body in (labelled(JSON, b"1"), labelled(BINARY, b"1")):
            await alice.post(f"/v3/actors/{actor['id']}/messages?{query}", **body, expect=400)
    contents = await served.contents()
    assert (contents["executions"], contents["files"]) == (0, 0)


# --- sizes -----------------------------------------------------------------------------------------------------------


async def test_a_text_may_be_as_long_as_an_environment_allows(alice: Client, served: Serving) -> None:
    actor = await alice.register()
    path = f"/v3/actors/{actor['id']}/messages"
    container = await served.run(alice, actor["id"], data={"message": "x" * LONGEST})
    assert len(container.spec.environment["MSG"]) == LONGEST
    for body in (
        {"data": {"message": "x" * (LONGEST + 1)}},
        {"data": {"message": "ü" * (LONGEST // 2 + 1)}},
        {"json": {"message": "x" * (LONGEST + 1)}},
        {"json": ["x" * LONGEST]},
    ):
        refused = await alice.post(path, **body, expect=413)
        assert str(LONGEST) in refused.message


async def test_a_nul_character_is_refused(alice: Client) -> None:
    actor = await alice.register()
    for body in ({"data": {"message": "a\0b"}}, {"json": {"message": "a\0b"}}):
        refused = await alice.post(f"/v3/actors/{actor['id']}/messages", **body, expect=400)
        assert "NUL" in refused.message


# --- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\r\n", b'{"message": "no"}', bytes(range(256)) * (MAX_BINARY // 256)]
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_bytes_reach_the_container_as_a_file(
    alice: Client, served: Serving, content: bytes, chunked: bool
) -> None:
    actor = await alice.register()
    found: list[bytes] = []

    async def read(container: FakeContainer) -> int:
        assert container.spec.binary_message is not None
        assert "MSG" not in container.spec.environment
        assert container.spec.environment["_abaco_Content-Type"] == BINARY
        found.append(container.spec.binary_message.read_bytes())
        return 0

    served.engine.programs["image"] = read
    path = f"/v3/actors/{actor['id']}//messages?A=1"
    body = pieces(content[:10], content[10:]) if chunked else content
    sent = await alice.post(path, data=body, headers={"Content-Type": BINARY}, expect=200)
    ended = await served.until_ended(alice, actor["id"], sent.result["execution_id"])
    assert sent.result["msg"] == BINARY_OMITTED
    assert (ended["status"], ended["exit_code"]) == ("COMPLETE", 0)
    assert found == [content]

    async def gone() -> bool:
        return (await served.contents())["files"] == 0

    await served.until(gone)


@pytest.mark.parametrize("chunked", [False, True])
async def test_too_many_bytes_are_refused_and_leave_nothing(alice: Client, served: Serving, chunked: bool) -> None:
    actor = await alice.register()
    content = b"x" * (MAX_BINARY + 1)
    body = pieces(content[:50_000], content[50_000:]) if chunked else content
    path = f"/v3/actors/{actor['id']}/messages"
    refused = await alice.post(path, data=body, headers={"Content-Type": BINARY}, expect=413)
    assert refused.message == f"Message exceeds max content length of: {MAX_BINARY}"
    contents = await served.contents()
    assert (contents["executions"], contents["messages"], contents["files"]) == (0, 0, 0)


# --- mailboxes -------------------------------------------------------------------------------------------------------


async def test_a_mailbox_counts_what_waits_but_not_what_runs(alice: Client, served: Serving) -> None:
    gate = served.engine.gates.setdefault("image", asyncio.Event())
    actor = await alice.register(stateless=False)
    path = f"/v3/actors/{actor['id']}"
    assert (await alice.get(f"{path}/messages", expect=200)).result["messages"] == 0
    sent = [
        (await alice.post(f"{path}/messages", json=number, expect=200)).result["execution_id"] for number in (1, 2, 3)
    ]
    await served.until_status(alice, f"{path}/executions/{sent[0]}", "RUNNING")
    counted = await alice.get(f"{path}/messages", expect=200)
    assert counted.message == "The request was successful"
    assert counted.result["messages"] == 2
    assert counted.result["_links"]["self"] == f"{served.url}{path}/messages"
    gate.set()
    await served.until_ended(alice, actor["id"], sent[2])
    assert (await alice.get(f"{path}/messages", expect=200)).result["messages"] == 0


async def test_a_purge_ends_what_waits_in_error_and_leaves_what_runs(alice: Client, served: Serving) -> None:
    gate = served.engine.gates.setdefault("image", asyncio.Event())
    actor = await alice.register(stateless=False)
    path = f"/v3/actors/{actor['id']}"
    running = (await alice.post(f"{path}/messages", json=1, expect=200)).result["execution_id"]
    await served.until_status(alice, f"{path}/executions/{running}", "RUNNING")
    waiting = [
        (await alice.post(f"{path}/messages", **body, expect=200)).result["execution_id"]
        for body in (labelled(JSON, b"2"), labelled(BINARY, b"bytes"))
    ]
    purged = await alice.delete(f"{path}/messages", expect=200)
    assert purged.message == "The request was successful"
    assert purged.result == {
        "msg": "Actor mailbox purged.",
        "_links": {
            "self": f"{served.url}{path}/messages",
            "owner": f"{served.url}/v3/oauth2/profiles/alice",
        },
    }
    assert (await alice.get(f"{path}/messages")).result["messages"] == 0
    assert (await served.contents())["files"] == 0
    for execution_id in waiting:
        ended = (await alice.get(f"{path}/executions/{execution_id}", expect=200)).result
        assert (ended["status"], ended["exit_code"]) == ("ERROR", None)
        assert "purged" in ended["final_state"]["reason"]
    gate.set()
    assert (await served.until_ended(alice, actor["id"], running))["status"] == "COMPLETE"


async def test_an_empty_mailbox_can_be_purged(alice: Client) -> None:
    actor = await alice.register()
    await alice.delete(f"/v3/actors/{actor['id']}/messages", expect=200)


async def test_messages_wait_for_an_engine_that_is_silent(alice: Client, served: Serving) -> None:
    served.engine.up = False
    actor = await alice.register()
    path = f"/v3/actors/{actor['id']}"
    sent = (await alice.post(f"{path}/messages", json=1, expect=200)).result["execution_id"]
    assert (await alice.get(f"{path}/executions/{sent}", expect=200)).result["status"] == "SUBMITTED"
    served.engine.up = True
    await served.nobody.get("/readyz", expect=200)
    assert (await served.until_ended(alice, actor["id"], sent))["status"] == "COMPLETE"


async def test_messages_to_an_actor_in_error_wait(alice: Client, served: Serving) -> None:
    actor = await alice.register(image="missing")
    path = f"/v3/actors/{actor['id']}"
    await served.until_status(alice, path, "ERROR")
    sent = (await alice.post(f"{path}/messages", json=1, expect=200)).result["execution_id"]
    assert (await alice.get(f"{path}/messages")).result["messages"] == 1
    await alice.put(path, json={"image": "image"}, expect=200)
    assert (await served.until_ended(alice, actor["id"], sent))["status"] == "COMPLETE"
