"""Requests made from the OpenAPI document, and from what it forbids: none fails, hangs, or gets an answer it does not allow.

For a longer run: `FUZZ_EXAMPLES=2000 pytest tests/abacod/api/test_fuzz.py --timeout 0 -n 2`.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from abacod.api.openapi import V3
from abacod.api.reply import Compat, camel_case
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import Client, Serving, serving
from tests.described import check_answer, described

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES", "5"))
# Requests take milliseconds; one that takes that long hangs. In seconds.
PATIENCE: Final = 5

OPERATIONS: Final = [
    (method.upper(), path)
    for path, methods in described("documented")["paths"].items()
    for method in methods
    if not path.startswith("/actors/v2")
]

# --- what goes into requests ---------------------------------------------------------------------------------------------

ODD_TEXTS: Final = [
    *("", " ", "\0", "a\0b", "\n", "\r\n", "..", "../../etc/passwd", "%", "%zz", "%00", "a/b", "'", '"', "';--", "{}", "[]"),
    *("null", "None", "true", "False", "-1", "0", "1e999", "NaN", "Infinity", "9" * 400, "\ud800", "\udfff\ud800", "😀"),
    *("é", "e\u0301", "\ufeff", "\u202e", "MSG", "_abaco_actor_state", "ABACO_WORLD", "me", "now + 1 hour", "2999-01-01 00"),
    *("http://x", "http://[", "ftp://x", "{actor}", "a" * 300, "JWpkNmBwKewYo", "my-alias", "*", ".", "$(id)", "<b>"),
]  # fmt: skip
ODD_NUMBERS: Final = [-1, 0, 1, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**30, 1.5, -0.0, 1e308]

texts = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=20))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.sampled_from(ODD_NUMBERS), st.integers(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


PLAIN: Final[dict[str, st.SearchStrategy[Any]]] = {
    "string": texts,
    "integer": st.one_of(st.integers(-2, 100), st.integers()),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "null": st.none(),
}


def fitting(whole: dict[str, Any], schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema of ours allows."""
    if "$ref" in schema:
        return fitting(whole, whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return st.one_of([fitting(whole, each) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("type") == "array":
        return st.lists(fitting(whole, schema.get("items", {})), max_size=3)
    if "properties" in schema:
        named = {name: fitting(whole, each) for name, each in schema["properties"].items()}
        needed = {name: named.pop(name) for name in schema.get("required", ())}
        return st.fixed_dictionaries(needed, optional=named)
    if isinstance(schema.get("additionalProperties"), dict):
        return st.dictionaries(texts, fitting(whole, schema["additionalProperties"]), max_size=3)
    return PLAIN.get(schema.get("type", ""), values)


def misfitting(fields: Any, draw: st.DrawFn) -> Any:
    """The same with one field replaced, added or in the other spelling."""
    if not isinstance(fields, dict) or draw(st.booleans()):
        return fields
    name = draw(st.sampled_from([*fields, "unknown", "X", "__proto__"]))
    if draw(st.booleans()):
        return {camel_case(key): value for key, value in fields.items()} | {name: draw(values)}
    return fields | {name: draw(values)}


@dataclass(frozen=True)
class Sketch:
    """A request, but for the ids of what there is; `{actor}` and such in the path stand for those."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None
    who: str


def escaped(text: str, draw: st.DrawFn) -> str:
    """A text for the address: well or badly escaped."""
    good = quote(text.encode("utf-8", "surrogatepass"), safe="")
    return draw(st.sampled_from([good, good, good + "%", good + "%ff", good + "%00", good.replace("%", "%25")]))


@st.composite
def sketches(draw: st.DrawFn, method: str, path: str, compat: Compat) -> Sketch:
    """Requests for one operation."""
    whole = described(compat)
    operation = whole["paths"][path][method.lower()]
    if path.startswith(V3):
        path = draw(st.sampled_from([V3, "/actors", "/actors/v2", "//v3//actors"])) + path.removeprefix(V3)
    query = []
    for parameter in operation["parameters"]:
        if parameter["in"] == "path" and draw(st.integers(0, 3)) == 0:
            path = path.replace(f"{{{parameter['name']}}}", escaped(draw(texts), draw))
        if parameter["in"] == "query" and draw(st.booleans()):
            value = draw(st.one_of(fitting(whole, parameter["schema"]), values))
            shown = value if isinstance(value, str) else json.dumps(value)
            name = draw(st.sampled_from([parameter["name"], camel_case(parameter["name"])]))
            query += [f"{name}={escaped(shown, draw)}"] * draw(st.sampled_from([1, 1, 1, 2]))
    if draw(st.integers(0, 3)) == 0:
        query.append(
            draw(st.sampled_from(["unknown=1", "x-nonce=x", "a=%ff", "%00=1", "=", "&&", "limit=-1", "image=%zz"]))
        )
    body, headers = draw(bodies(whole, operation))
    if draw(st.integers(0, 9)) == 0:
        method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "PROPFIND"]))
    who = draw(st.sampled_from(["root", "root", "alice", "alice", "nobody", "stranger", "garbage", "nonce"]))
    return Sketch(method, path + ("?" + "&".join(query) if query else ""), headers, body, who)


@st.composite
def bodies(draw: st.DrawFn, whole: dict[str, Any], operation: dict[str, Any]) -> tuple[bytes | None, dict[str, str]]:
    """Bodies with their labels: what the operation wants, or nearly so, or anything else."""
    content = operation.get("requestBody", {}).get("content")
    if not content:
        return (draw(st.sampled_from([None, None, b"{}", b"junk"])), {})
    kind = draw(st.sampled_from(list(content)))
    value = misfitting(draw(fitting(whole, content[kind]["schema"])), draw)
    if kind == "application/x-www-form-urlencoded":
        pairs = value.items() if isinstance(value, dict) else ()
        body = "&".join(
            f"{quote(str(name), errors='replace')}={escaped(str(each), draw)}" for name, each in pairs
        ).encode()
    elif kind == "multipart/form-data":
        pairs = value.items() if isinstance(value, dict) else ()
        parts = (f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{each}\r\n' for name, each in pairs)
        body = ("".join(parts) + "--x--\r\n").encode("utf-8", "replace")
        return body, {"Content-Type": f"{kind}; boundary=x"}
    else:
        body = draw(spoiled(json.dumps(value)))
    return body, {
        "Content-Type": draw(st.sampled_from([kind, kind, kind, "text/plain", "application/json; charset=utf-16"]))
    }


@st.composite
def spoiled(draw: st.DrawFn, text: str) -> bytes:
    """A JSON text as it is, or damaged."""
    how = draw(
        st.sampled_from([*["whole"] * 6, "cut", "twice", "repeated", "deep", "utf-16", "bom", "nul", "bytes", "long"])
    )
    good = text.encode()
    return {
        "whole": good,
        "cut": good[: draw(st.integers(0, 20))],
        "twice": good + good,
        "repeated": good.replace(b"{", b'{"image": "a", "image": "b",', 1),
        "deep": b'{"image":' * 5000 + good,
        "utf-16": text.encode("utf-16"),
        "bom": b"\xef\xbb\xbf" + good,
        "nul": good.replace(b"a", rb"\u0000"),
        "bytes": good + b"\xff\xfe",
        "long": b'{"image": ' + b"9" * 5000 + b"}",
    }[how]


# --- where they go -------------------------------------------------------------------------------------------------------


@dataclass
class Target:
    """A daemon with something in it, and its clients by name."""

    served: Serving
    clients: dict[str, str | None]
    alice: Client
    compat: Compat
    ids: dict[str, str] = field(default_factory=dict)

    async def stock(self) -> None:
        """See to it that there is what paths name."""
        actor = self.ids.get("actor")
        if actor and (await self.alice.get(f"/v3/actors/{actor}")).status == 200:
            return
        self.ids["actor"] = (await self.alice.register(stateless=False))["id"]
        sent = await self.alice.post(f"/v3/actors/{self.ids['actor']}/messages", json={"message": "x"}, expect=200)
        self.ids["execution"] = sent.result["execution_id"]
        alias = {"alias": self.ids["alias"], "actor_id": self.ids["actor"]}
        await self.alice.post("/v3/actors/aliases", json=alias)
        config = {"name": self.ids["config"], "value": "x", "is_secret": True, "actors": self.ids["actor"]}
        await self.alice.post("/v3/actors/configs", json=config)
        nonce = await self.alice.post(
            f"/v3/actors/{self.ids['actor']}/nonces", json={"level": "UPDATE", "max_uses": -1}
        )
        self.ids["nonce"] = nonce.result["id"]

    async def send(self, sketch: Sketch) -> None:
        """Send a request and judge the answer."""
        path = sketch.path
        for name, value in self.ids.items():
            path = path.replace(f"{{{name}}}", value)
        path = path.replace("{", "%7B").replace("}", "%7D")
        if sketch.who == "nonce":
            path += f"{'&' if '?' in path else '?'}x-nonce={self.ids['nonce']}"
        token = self.clients[sketch.who]
        headers = sketch.headers | ({"X-Tapis-Token": token} if token else {})
        async with (
            asyncio.timeout(PATIENCE),
            self.served.session.request(
                sketch.method,
                URL(self.served.url + path, encoded=True),
                headers=headers,
                data=None if sketch.body is None else io.BytesIO(sketch.body),
                skip_auto_headers=["Content-Type"],
                allow_redirects=False,
            ) as response,
        ):
            body = await response.read()
        assert response.status < 500, (response.status, body)
        if sketch.method != "OPTIONS":
            check_answer(self.compat, sketch.method, path, response.status, response.headers, body)


async def prepared(served: Serving, compat: Compat) -> Target:
    alice, root = await served.user("alice"), await served.user("root", "abaco_admin")
    stranger = await served.user("stranger")
    tokens = {
        "alice": alice.token,
        "root": root.token,
        "stranger": stranger.token,
        "nobody": None,
        "nonce": None,
        "garbage": "a.b.c",
    }
    return Target(
        served,
        tokens,
        alice,
        compat,
        {"tenant": "dev", "username": "alice", "alias": "fuzzed", "config": "fuzzed", "database": "executions"},
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["documented", "abaco"])
async def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, signing_key: SigningKey
) -> AsyncIterator[Target]:
    """The target; afterwards it is in good health."""
    async with serving(tmp_path_factory.mktemp("fuzz"), signing_key, compat=request.param) as served:
        made = await prepared(served, request.param)
        yield made
        await served.nobody.get("/healthz", expect=200)
        await served.nobody.get("/readyz", expect=200)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[" ".join(each) for each in OPERATIONS])
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(data=st.data())
async def test_no_request_fails_or_is_answered_otherwise_than_described(
    target: Target, method: str, path: str, data: st.DataObject
) -> None:
    sketch = data.draw(sketches(method, path, target.compat))
    await target.stock()
    try:
        await target.send(sketch)
    except aiohttp.InvalidURL:
        return
