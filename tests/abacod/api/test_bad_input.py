"""Hostile requests against every address: each is refused with a 4xx, and nothing is written."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from abacod.api.calls import ANY_JSON, Content
from abacod.api.catalog import RECORDS
from abacod.api.identity import Login
from abacod.api.openapi import V3
from abacod.config_pipelines import PipelineSettings
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import MAX_BINARY, MAX_TEXT, Client, Serving, checked_envelope, serving
from tests.described import TABLES

# One daemon for all: no request here changes anything.
pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
BINARY = "application/octet-stream"
MULTIPART = "multipart/form-data; boundary=x"


@dataclass(frozen=True)
class Target:
    """The daemon, who attacks it (an administrator, to whom most is open) and an actor that there is."""

    served: Serving
    client: Client
    actor: str

    def path(self, template: str) -> str:
        """The address with the ids of what there is; nothing else is there."""
        named = {
            "actor": self.actor,
            "alias": "kept",
            "config": "kept",
            "tenant": "dev",
            "username": "root",
            "database": "actors",
        }
        return re.sub("{(.*?)}", lambda match: named.get(match[1], "x"), template)

    def request(self, line: str, *lines: str, body: bytes = b"", host: str = "Host: x") -> bytes:
        """A request as bytes; `line` without its version."""
        head = [f"{line} HTTP/1.1", host, f"X-Tapis-Token: {self.client.token}", *lines, "", ""]
        return "\r\n".join(head).encode("latin-1") + body


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prepared(tmp_path_factory: pytest.TempPathFactory, signing_key: SigningKey) -> AsyncIterator[Target]:
    async with serving(tmp_path_factory.mktemp("hostile"), signing_key, pipelines=PipelineSettings()) as served:
        client = await served.user("root", "abaco_admin")
        actor = await client.register(stateless=False, name="kept")
        await served.until_status(client, f"/v3/actors/{actor['id']}", "READY")
        await client.post("/v3/actors/aliases", json={"alias": "kept", "actor_id": actor["id"]}, expect=201)
        config = {"name": "kept", "value": "x", "is_secret": False, "actors": actor["id"]}
        await client.post("/v3/actors/configs", json=config, expect=200)
        yield Target(served, client, actor["id"])


@pytest_asyncio.fixture(loop_scope="module")
async def target(prepared: Target) -> AsyncIterator[Target]:
    """The target; afterwards nothing may have changed."""
    path = f"/v3/actors/{prepared.actor}"
    before = await prepared.served.contents(), (await prepared.client.get(path)).result
    yield prepared
    assert (await prepared.served.contents(), (await prepared.client.get(path)).result) == before


# Every address that takes a body, those of a registration first; and every address whose answer is an envelope.
REGISTRATIONS = [("POST", "/v3/actors"), ("POST", "/actors/v2"), ("PUT", "/v3/actors/{actor}")]
PLACED = [*((V3 + route.path.rstrip("/"), route) for route in TABLES[0]), *((route.path, route) for route in TABLES[1])]
BODIES = [("POST", "/actors/v2")] + [
    (route.method, path) for path, route in PLACED if route.takes is not None and route.method in ("POST", "PUT")
]
ADDRESSES = [(route.method, path) for path, route in PLACED if not isinstance(route.gives, Content)]
# Addresses where other values than objects have a meaning, and those where a body of megabytes is too large long before the
# server's limit.
ANY_VALUE = {path for path, route in PLACED if route.takes in (ANY_JSON, RECORDS) or isinstance(route.takes, tuple)}
LOGINS = {path for path, route in PLACED if route.takes is Login}


def refusals(template: str) -> set[int]:
    """How what makes no sense is refused: where the path names something that there is not, perhaps with that."""
    return {400} if set(re.findall("{(.*?)}", template)) <= {"actor", "alias", "config"} else {400, 404}


# Bodies that nobody can read, with their labels.
UNREADABLE: dict[str, tuple[str, bytes]] = {
    "nothing but a brace": (JSON, b"{"),
    "a comma at the end": (JSON, b'{"image": "a",}'),
    "single quotes": (JSON, b"{'image': 'a'}"),
    "two values": (JSON, b"{} {}"),
    "not a number": (JSON, b'{"image": NaN}'),
    "infinity": (JSON, b'{"image": -Infinity}'),
    "a number beyond all": (JSON, b'{"image": "a", "log_ex": 1e999}'),
    "a number of 5000 digits": (JSON, b'{"log_ex": ' + b"9" * 5000 + b"}"),
    "half a surrogate pair": (JSON, rb'{"image": "\ud800", "username": "\ud800", "password": "x"}'),
    "half a surrogate pair in a name": (JSON, rb'{"\udfff": 1}'),
    "a raw control character": (JSON, b'{"image": "\x00"}'),
    "no UTF-8": (JSON, b'{"image": "\xff\xfe"}'),
    "UTF-16": (JSON, '{"image": "a"}'.encode("utf-16")),
    "a name twice": (JSON, b'{"image": "a", "image": "b"}'),
    "a name twice inside": (JSON, b'[{"image": "a", "hints": [{"a": 1, "a": 1}]}]'),
    "a name twice in a form": (FORM, b'{"image": "a", "image": "a"}'),
    "a name twice, once escaped": (JSON, rb'{"image": "a", "im\u0061ge": "a"}'),
    "too deep": (JSON, b"[" * 250 + b"]" * 250),
    "a nesting bomb": (JSON, b"[" * 10_000_000),
    "a nesting bomb of objects": (JSON, b'{"a":' * 2_000_000),
    "a nesting bomb in a form": (FORM, b'{"a":' * 2_000_000),
    "an escaped byte that is no text": (FORM, b"message=%ff&image=%ff"),
    "a byte that is no text": (FORM, b"message=\xff&image=\xff"),
    "thousands of fields": (FORM, b"&".join([b"image=a"] * 5000)),
    "a form without a boundary": ("multipart/form-data", b"--x\r\n"),
    "a form that does not end": (MULTIPART, b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\na\r\n'),
    "a form with a file": (
        MULTIPART,
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\na\r\n--x--\r\n',
    ),
    "a form of very many parts": (
        MULTIPART,
        b'--x\r\nContent-Disposition: form-data; name="message"\r\n\r\na\r\n' * 100_000 + b"--x--\r\n",
    ),
    "a form of nothing but boundaries": (MULTIPART, b"--x\r\n" * 1_000_000),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_body_that_nobody_can_read_is_refused_everywhere(target: Target, name: str) -> None:
    label, body = UNREADABLE[name]
    for method, template in BODIES:
        if template in LOGINS and len(body) > 60_000:
            continue  # far too large for a login: see below
        answer = await target.client.send(method, target.path(template), data=body, headers={"Content-Type": label})
        assert answer.status in refusals(template), (method, template, answer.message)
        assert "Traceback" not in answer.message


@pytest.mark.parametrize("label", [JSON, FORM, MULTIPART, "text/plain"])
async def test_too_large_a_body_is_refused_everywhere(target: Target, label: str) -> None:
    for method, template in BODIES:
        size = 70_000 if template in LOGINS else MAX_TEXT + 1
        answer = await target.client.send(
            method, target.path(template), data=b" " * size, headers={"Content-Type": label}
        )
        assert answer.status == 413, (method, template)


@pytest.mark.parametrize("value", ["[]", "[1]", '"text"', "1", "true", "null", "[[]]"])
async def test_a_body_that_must_be_an_object_is_refused_if_it_is_none(target: Target, value: str) -> None:
    for method, template in BODIES:
        if template not in ANY_VALUE:
            await target.client.send(
                method, target.path(template), data=value.encode(), headers={"Content-Type": JSON}, expect=400
            )


# Values that each field of a registration must refuse, in JSON.
_NO_BOOLEANS: list[Any] = [1, 0, "yes", "", "2", [True], {}, 1.0]
_NO_NUMBERS: list[Any] = [1.5, "1.5", "one", "", True, [1], {}, 2**60, -(2**60), "9" * 30, 10**300, "1e3", "1_0"]
_NO_TEXTS: list[Any] = [1, True, ["a"], {}, 1.5]
WRONG: dict[str, list[Any]] = {
    "image": [*_NO_TEXTS, "", " ", "a b", "a\0", "a\n", None],
    "name": [*_NO_TEXTS, "a\0b"],
    "description": [*_NO_TEXTS, "a\0b"],
    "default_environment": [
        1,
        "A=1",
        "",
        ["A"],
        {"A": 1},
        {"A": None},
        {"A": True},
        {"A": {"B": "1"}},
        {"": "1"},
        {"A=B": "1"},
        {"A\0": "1"},
        {"A": "\0"},
        {"A": "x" * 131_072},
        {"MSG": "1"},
        {"_abaco_username": "x"},
    ],
    "hints": [1, True, {}, [[]], [{}], [None], [True], ["{a"], ["a'"], '["a"]'],
    "link": [*_NO_TEXTS, "no-such-actor", "a\0b", "JWpkNmBwKewYo"],
    "webhook": [*_NO_TEXTS, "ftp://x", "x", "http://", "http://[", "http://a b", "http://a\n", "javascript:1"],
    "stateless": _NO_BOOLEANS,
    "token": _NO_BOOLEANS,
    "privileged": _NO_BOOLEANS,
    "use_container_uid": _NO_BOOLEANS,
    "run_as_executor": [*_NO_BOOLEANS, True],
    "cron_on": _NO_BOOLEANS,
    "force": _NO_BOOLEANS,
    "max_workers": [*_NO_NUMBERS, 0, -1],
    "max_cpus": [*_NO_NUMBERS, 0, -2],
    "log_ex": _NO_NUMBERS,
    "mem_limit": [*_NO_TEXTS, "", "much", "-2", "0", "1.5g", "1t", "9" * 5000, "9" * 30, "99999999999g"],
    "queue": [*_NO_TEXTS, "", "unknown"],
    "cron_schedule": [*_NO_TEXTS, "", "soon", "2000-01-01 00 + 1 hour", "now + 0 hours", "now + 1 blink", "now+1 hour"],
    "type": _NO_TEXTS,
}


@pytest.mark.parametrize("field", WRONG)
async def test_a_wrong_value_is_refused_and_its_field_named(target: Target, field: str) -> None:
    for value in WRONG[field]:
        body = {"image": "image", field: value}
        for method, template in REGISTRATIONS:
            refused = await target.client.send(method, target.path(template), json=body)
            assert refused.status == 400, (field, value, refused)
            assert field.rpartition("_")[2] in refused.message.lower(), (field, value, refused.message)


# Requests with one thing wrong, and the word in the answer that tells which. `{actor}` is the actor that there is.
NAMED: list[tuple[str, str, Any, str]] = [
    ("PUT", "/v3/actors/{actor}", {"image": "image", "link": "{actor}"}, "link"),
    ("POST", "/v3/actors/aliases", {"alias": "a b", "actor_id": "{actor}"}, "alias"),
    ("POST", "/v3/actors/aliases", {"alias": "a/b", "actor_id": "{actor}"}, "alias"),
    ("POST", "/v3/actors/aliases", {"alias": "a\0", "actor_id": "{actor}"}, "alias"),
    ("POST", "/v3/actors/aliases", {"alias": "search", "actor_id": "{actor}"}, "alias"),
    ("POST", "/v3/actors/aliases", {"alias": "", "actor_id": "{actor}"}, "alias"),
    ("POST", "/v3/actors/aliases", {"alias": 1, "actor_id": "{actor}"}, "alias"),
    ("POST", "/v3/actors/aliases", {"alias": "fine", "actor_id": ["{actor}"]}, "actor_id"),
    ("PUT", "/v3/actors/aliases/kept", {"alias": "kept", "actor_id": "{actor}"}, "alias"),
    ("POST", "/v3/actors/{actor}/permissions", {"user": "a\0b", "level": "READ"}, "user"),
    ("POST", "/v3/actors/{actor}/permissions", {"user": "bob", "level": ["READ"]}, "level"),
    ("POST", "/v3/actors/{actor}/workers", {"num": -1}, "num"),
    ("POST", "/v3/actors/{actor}/workers", {"num": 2**64}, "num"),
    ("GET", "/v3/actors/search/nothing", None, "nothing"),
    ("GET", "/v3/actors/search/actors?limit=-2", None, "limit"),
    ("GET", "/v3/actors/search/actors?limit=x", None, "limit"),
    ("GET", f"/v3/actors/search/actors?limit={2**70}", None, "limit"),
    ("GET", "/v3/actors/search/actors?skip=-1", None, "skip"),
    ("GET", "/v3/actors/search/executions?start_time.gt=soon", None, "start_time"),
    ("GET", "/v3/actors/search/executions?start_time.between=2020,soon", None, "start_time"),
]


@pytest.mark.parametrize(("method", "path", "body", "named"), NAMED)
async def test_what_is_wrong_is_named(target: Target, method: str, path: str, body: Any, named: str) -> None:
    if body is not None:
        body = {name: target.actor if value == "{actor}" else value for name, value in body.items()}
    refused = await target.client.send(method, target.path(path), json=body)
    assert 400 <= refused.status < 500, refused
    assert named in refused.message.lower(), refused


async def test_a_wrong_variable_is_refused_by_its_field_and_its_name(target: Target) -> None:
    for value in ({"GOOD": "1", "BAD": 2}, {"BAD": "\0"}):
        refused = await target.client.post(
            "/v3/actors", json={"image": "image", "default_environment": value}, expect=400
        )
        assert "default_environment" in refused.message
        assert "BAD" in refused.message
        assert "GOOD" not in refused.message


async def test_a_wrong_value_in_the_query_is_refused_too(target: Target) -> None:
    for query in (
        "stateless=maybe",
        "max_workers=-1",
        "maxWorkers=x",
        "log_ex=1&log_ex=2",
        "name=a&name=b",
        "default_environment=%7B",
        "default_environment=%7B%22A%22%3A1%7D",
        "default_environment=" + "%5B" * 5000,
        "default_environment=" + "%7B%22a%22%3A" * 1000,
        "hints=%7B",
        "image=%00",
    ):
        for method, template in REGISTRATIONS:
            # A form, whose fields come behind those of the query.
            await target.client.send(method, f"{target.path(template)}?{query}", data={"image": "image"}, expect=400)


async def test_a_name_that_stands_twice_is_told(target: Target) -> None:
    for method, template in BODIES:
        body = b'{"image": "a", "twofold": 1, "inner": {"twofold": 1}, "twofold": 2}'
        refused = await target.client.send(
            method, target.path(template), data=body, headers={"Content-Type": JSON}, expect=400
        )
        assert "'twofold' stands twice" in refused.message


async def test_both_spellings_of_a_field_at_once_are_refused(target: Target) -> None:
    body: dict[str, Any] = {"image": "image", "log_ex": 1, "logEx": 2}
    for method, template in REGISTRATIONS:
        refused = await target.client.send(method, target.path(template), json=body, expect=400)
        assert "log_ex" in refused.message
        await target.client.send(method, f"{target.path(template)}?log_ex=1&logEx=1", data={"image": "a"}, expect=400)


UNKNOWN = [
    "JWpkNmBwKewYo",
    "unknown",
    "x" * 5000,
    "%00",
    "a%00b",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "a%2Fb",
    "%20",
    "%zz",
    "%",
    "%0a",
    "%F0%9F%98%80",
    "';--",
    "*",
    "{actor}%00",
    "{actor}%20",
]


@pytest.mark.parametrize("identifier", UNKNOWN)
async def test_an_identifier_that_names_nothing_is_not_found(target: Target, identifier: str) -> None:
    named = target.path(identifier)
    for method, template in ADDRESSES:
        if "{actor}" in template:
            await target.client.send(method, template.replace("{actor}", named), json={"image": "image"}, expect=404)
    for what in ("executions", "workers"):
        for method in ("GET", "DELETE"):
            await target.client.send(method, f"/v3/actors/{target.actor}/{what}/{named}", expect=404)
    await target.client.get(f"/v3/actors/{target.actor}/executions/{'kA1P1m8NkkolK'}/logs", expect=404)


@pytest.mark.parametrize("part", ["%ff", "%c3%28", "%ed%a0%80"])
async def test_what_is_no_text_once_decoded_is_refused_in_paths_and_queries(target: Target, part: str) -> None:
    for method, template in ADDRESSES:
        path = target.path(template)
        await target.client.send(method, f"{path}?a={part}", json={}, expect=400)
        await target.client.send(method, f"{path}?{part}=a", json={}, expect=400)
        await target.client.send(method, f"{path}/{part}", json={}, expect=400)
        await target.client.send(method, template.replace("{actor}", part) + f"/{part}", json={}, expect=400)


async def test_thousands_of_parameters_are_refused_everywhere(target: Target) -> None:
    query = "&".join(f"a{number}=1" for number in range(2000))
    for method, template in ADDRESSES:
        await target.client.send(method, f"{target.path(template)}?{query}", json={}, expect=400)


async def test_absurd_queries_harm_no_reader(target: Target) -> None:
    for query in ("a=" + "x" * 60_000, "&" * 900, "=" * 60_000, "%zz&%&%%", "a" * 60_000, "?#&;=+"):
        for method, template in ADDRESSES:
            if method == "GET":
                answer = await target.client.get(f"{target.path(template)}?{query}")
                assert answer.status in (200, 400, 404)


# --- on the wire -----------------------------------------------------------------------------------------------------

WIRE: dict[str, tuple[str, list[str], bytes]] = {
    "a length that is no number": ("POST /v3/actors", ["Content-Length: ten"], b"x"),
    "a negative length": ("POST /v3/actors", ["Content-Length: -1"], b""),
    "a length of 5000 digits": ("POST /v3/actors", ["Content-Length: " + "9" * 5000], b""),
    "two lengths": ("POST /v3/actors", ["Content-Length: 1", "Content-Length: 2"], b"xx"),
    "a length and chunks": ("POST /v3/actors", ["Content-Length: 4", "Transfer-Encoding: chunked"], b"0\r\n\r\n"),
    "an unknown transfer encoding": ("POST /v3/actors", ["Transfer-Encoding: magic"], b"x"),
    "a header of 70 KB": ("GET /v3/actors", ["X-Long: " + "x" * 70_000], b""),
    "very many headers": ("GET /v3/actors", [f"X-{number}: x" for number in range(5000)], b""),
    "a header without a name": ("GET /v3/actors", [": x"], b""),
    "a header without a colon": ("GET /v3/actors", ["nonsense"], b""),
    "a NUL in a header": ("GET /v3/actors", ["X-Nul: a\0b"], b""),
    "a request line of 70 KB": ("GET /v3/actors?" + "x" * 70_000, [], b""),
    "an unknown method": ("BREW /v3/actors", [], b""),
    "a known but unusual method": ("PROPFIND /v3/actors", [], b""),
    "a space in the address": ("GET /v3/actors?a=b c", [], b""),
    "a control character in the address": ("GET /v3/actors?a=\x01", [], b""),
    "an address that is none": ("GET *", [], b""),
    "an address without a slash": ("GET v3/actors", [], b""),
    "another server's address": ("GET http://[/v3/actors", [], b""),
    "bytes in the address that are no text": ("GET /v3/actors/\xff?\xff=\xff", [], b""),
    "chunks of nonsense": ("POST /v3/actors", ["Transfer-Encoding: chunked"], b"zz\r\nxx\r\n"),
    "a chunk longer than announced": (
        "POST /v3/actors/{actor}/messages",
        ["Transfer-Encoding: chunked", f"Content-Type: {BINARY}"],
        b"2\r\nabcdef\r\n0\r\n\r\n",
    ),
    "a body that is not compressed as it says": (
        "POST /v3/actors/{actor}/messages",
        ["Content-Length: 5", "Content-Encoding: gzip", f"Content-Type: {BINARY}"],
        b"12345",
    ),
    "an unknown token in another alphabet": ("GET /v3/actors/x", ["X-Tapis-Token: \xff"], b""),
    "an unknown tenant in another alphabet": (
        "POST /v3/oauth2/tokens",
        ["X-Tapis-Tenant: \xff", "Content-Length: 29", f"Content-Type: {FORM}"],
        b"username=carol&password=xxxxx",
    ),
    "a page whose address is no text": ("GET /nothing", ["Origin: \xff\xfe"], b""),
}


@pytest.mark.parametrize("name", WIRE)
async def test_garbage_on_the_wire_is_refused(target: Target, name: str) -> None:
    line, lines, body = WIRE[name]
    answer = await target.served.raw(target.request(target.path(line), *lines, body=body))
    assert 400 <= answer.status < 500, answer
    if answer.is_json:
        checked_envelope(answer.status, answer.headers, answer.body)
    else:
        assert answer.headers["Content-Type"].startswith("text/plain")


async def test_what_is_no_http_at_all_is_refused(target: Target) -> None:
    for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"hello\r\n\r\n", b"GET\r\n\r\n"):
        assert (await target.served.raw(data)).status == 400


async def test_a_request_without_a_host_is_answered_or_refused(target: Target) -> None:
    for line in ("GET /v3/actors", "GET /v3/tenants"):
        answer = await target.served.raw(target.request(line, host="X-Other: x"))
        assert answer.status in (200, 400)


async def test_headers_that_are_no_text_do_not_harm_a_preflight(target: Target) -> None:
    lines = ["Origin: \xff", "Access-Control-Request-Headers: \xff"]
    answer = await target.served.raw(target.request("OPTIONS /v3/actors", *lines))
    assert answer.status in (200, 400)


@pytest.mark.parametrize("label", [JSON, FORM, BINARY, MULTIPART])
async def test_a_client_that_breaks_off_leaves_nothing(target: Target, label: str) -> None:
    body = {JSON: b'{"image": "image"}', FORM: b"image=image&message=a", BINARY: b"bytes", MULTIPART: b"--x\r\n"}[label]
    for method, template in BODIES:
        path = target.path(template)
        for lines, sent in (
            ([f"Content-Length: {len(body) + 100}"], body),
            (["Transfer-Encoding: chunked"], b"%x\r\n%s\r\n" % (len(body), body)),
        ):
            for query in ("", "?message=a&image=image"):
                request = target.request(f"{method} {path}{query}", f"Content-Type: {label}", *lines, body=sent)
                answer = await target.served.raw(request, then_close=True)
                assert answer.status in (0, 400)


async def test_a_compression_bomb_is_refused(target: Target) -> None:
    for label, size in ((BINARY, 100 * MAX_BINARY), (JSON, 3 * MAX_TEXT)):
        body = gzip.compress(bytes(size))
        headers = {"Content-Type": label, "Content-Encoding": "gzip"}
        await target.client.post(f"/v3/actors/{target.actor}/messages", data=body, headers=headers, expect=413)
