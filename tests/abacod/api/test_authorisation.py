"""Who may use which address: every route with every kind of caller, against the table below.

A route that is missing from `TABLE` fails `test_every_route_is_in_the_table`. To add one, name the row of `KINDS` it belongs to, the
status that those get who are let in, and the body to send. A new parameter of a path gets its value in `_Thing`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import Mock

import pytest
from yarl import URL

from abacod.api.routes import actor_routes, other_routes
from abacod.ids import Username
from abacod.models.builtin import JOBS_MANAGER
from abacod.models.user import Level, User
from abacod.store.database import Transaction
from tests.abacod.api.serving import CREATED, DEV, LAB, Client, Serving

# Users with that level on the actor, the alias and all else that is shared. `world` has no entry, but everyone has EXECUTE.
LEVELS: Final = {"none": "NONE", "read": "READ", "execute": "EXECUTE", "update": "UPDATE"}

CALLERS: Final = (
    *("nobody", "bad token", "expired", "foreign admin", "stranger", *LEVELS, "owner", "admin", "world"),
    *("nonce NONE", "nonce READ", "nonce EXECUTE", "nonce UPDATE", "used-up nonce", "alias nonce"),
)
"""The nonces are the owner's; that of the alias has EXECUTE, and is used with the alias in the path."""

# `+` is let in. The columns are those of CALLERS.
KINDS: Final = {
    #             nobody bad exp foreign stranger none read exec update owner admin world | nonces: N R E U used alias
    "anyone": "      +   +   +      +       +      +    +    +     +      +     +     +      +   +   +   +   +   +",
    "user": "       401 401 401     +       +      +    +    +     +      +     +     +     401 401 401 401 401 401",
    "tenant": "     401 401 401    404      +      +    +    +     +      +     +     +     401 401 401 401 401 401",
    "read": "       401 401 401    404     403    403   +    +     +      +     +     +     403  +   +   +  401  + ",
    "execute": "    401 401 401    404     403    403  403   +     +      +     +     +     403 403  +   +  401  + ",
    "update": "     401 401 401    404     403    403  403  403    +      +     +    403    403 403 403  +  401 403",
    "admin here": " 401 401 401    404     403    403  403  403   403    403    +    403    403 403 403 403 401 403",
    "admin": "      401 401 401     +      403    403  403  403   403    403    +    403    401 401 401 401 401 401",
    # Of the owner.
    "job owner": "  401 401 401    404     403    403  403  403   403     +     +    403    401 401 401 401 401 401",
    "app here": "   401 401 401    400      +      +    +    +     +      +     +     +     401 401 401 401 401 401",
    # With a token only.
    "may read": "   401 401 401    404     403    403   +    +     +      +     +     +     401 401 401 401 401 401",
    "may update": " 401 401 401    404     403    403  403  403    +      +     +    403    401 401 401 401 401 401",
}


@dataclass(frozen=True)
class Row:
    kind: str
    status: int = 200
    body: dict[str, str] | None = None


_IMAGE: Final = {"image": "image"}
_CONFIG: Final = {"value": "1", "is_secret": "false", "actors": "{actor}"}
_APP: Final = {"id": "app-1", "image": "image"}
_GRANT: Final = {"user": "eve", "level": "READ"}

TABLE: Final = {
    "GET /": Row("user"),
    "POST /": Row("user", 201, _IMAGE),
    "GET /{actor}": Row("read"),
    "PUT /{actor}": Row("update", body=_IMAGE),
    "DELETE /{actor}": Row("update"),
    "GET /{actor}/state": Row("read"),
    "POST /{actor}/state": Row("update", body={"n": "1"}),
    "GET /{actor}/messages": Row("read"),
    "POST /{actor}/messages": Row("execute", body={"message": "1"}),
    "DELETE /{actor}/messages": Row("update"),
    "GET /{actor}/executions": Row("read"),
    "GET /{actor}/executions/{execution}": Row("read"),
    "DELETE /{actor}/executions/{execution}": Row("update", 400),  # it has ended
    "GET /{actor}/executions/{execution}/logs": Row("read"),
    "GET /{actor}/executions/{execution}/results": Row("read"),
    "POST /{actor}/executions/{execution}/results": Row("read"),
    "GET /{actor}/permissions": Row("read"),
    "POST /{actor}/permissions": Row("update", body=_GRANT),
    "GET /{actor}/workers": Row("read"),
    "POST /{actor}/workers": Row("admin here"),
    "GET /{actor}/workers/{worker}": Row("read", 404),
    "DELETE /{actor}/workers/{worker}": Row("update", 404),
    "GET /{actor}/nonces": Row("update"),
    "POST /{actor}/nonces": Row("update", 201),
    "GET /{actor}/nonces/{nonce}": Row("update", 404),
    "DELETE /{actor}/nonces/{nonce}": Row("update", 404),
    "GET /aliases": Row("user"),
    "POST /aliases": Row("may update", 201, {"alias": "another-{alias}", "actor_id": "{actor}"}),
    "GET /aliases/{alias}": Row("may read"),
    "PUT /aliases/{alias}": Row("may update", body={"actor_id": "{actor}"}),
    "DELETE /aliases/{alias}": Row("may update"),
    "GET /aliases/{alias}/permissions": Row("may read"),
    "POST /aliases/{alias}/permissions": Row("may update", body=_GRANT),
    "GET /aliases/{alias}/nonces": Row("may update"),
    "POST /aliases/{alias}/nonces": Row("may update", 201),
    "GET /aliases/{alias}/nonces/{nonce}": Row("may update", 404),
    "DELETE /aliases/{alias}/nonces/{nonce}": Row("may update", 404),
    "GET /configs": Row("user"),
    "POST /configs": Row("may update", body={**_CONFIG, "name": "another-{alias}"}),
    "GET /configs/{config}": Row("may read"),
    "PUT /configs/{config}": Row("may update", body={**_CONFIG, "name": "{config}"}),
    "DELETE /configs/{config}": Row("may update"),
    "GET /configs/{config}/permissions": Row("may read"),
    "POST /configs/{config}/permissions": Row("may update", body=_GRANT),
    "GET /search/{database}": Row("user"),
    "GET /search/{database}/{actor}/executions": Row("may read"),
    "GET /utilization": Row("user"),
    "GET /admin": Row("admin"),
    "GET /admin/workers": Row("admin"),
    "GET /admin/executions": Row("admin"),
}

OTHER_TABLE: Final = {
    "GET /healthz": Row("anyone"),
    "GET /readyz": Row("anyone"),
    "GET /openapi.json": Row("anyone"),
    "GET /docs": Row("anyone"),
    "GET /metrics": Row("anyone"),
    "GET /schemas": Row("anyone"),
    "GET /schemas/{schema}": Row("anyone"),
    "GET /v3/sites": Row("anyone"),
    "GET /v3/tenants": Row("anyone"),
    "GET /v3/tenants/{tenant}": Row("anyone"),
    "POST /v3/oauth2/tokens": Row("anyone", 400),  # without a name and password
    "GET /v3/oauth2/userinfo": Row("user"),
    "GET /v3/oauth2/profiles": Row("user"),
    "GET /v3/oauth2/profiles/{username}": Row("tenant"),
    "POST /token": Row("anyone", 400),
    "POST /v3/catalog": Row("admin"),
    "GET /v3/catalog/{kind}": Row("read"),
    "GET /v3/catalog/records/{record}": Row("read", 404),
    "GET /profiles/v2": Row("user"),
    "GET /profiles/v2/{username}": Row("tenant"),
    "GET /v3/jobs": Row("read"),
    "POST /v3/jobs": Row("execute", 404, {"pipeline_uuid": "nothing"}),
    "POST /v3/jobs/preview": Row("execute", 404, {"pipeline_uuid": "nothing"}),
    "GET /v3/jobs/{job}": Row("read", 404),
    "DELETE /v3/jobs/{job}": Row("execute", 404, {"token": "nothing"}),
    "GET /v3/jobs/{job}/history": Row("read", 404),
    "POST /v3/jobs/{job}/events": Row("execute", 404, {"name": "run", "token": "nothing"}),
    "POST /v3/jobs/{job}/reset": Row("execute", 404, {"token": "nothing"}),
    "POST /v3/jobs/{job}/cancel": Row("execute", 404, {"token": "nothing"}),
    "GET /v3/pipelines": Row("read"),
    "GET /v3/pipelines/{pipeline}": Row("read", 404),
    "GET /v3/files": Row("read"),
    "GET /v3/files/{file}": Row("read", 404),
    "GET /apps/v2": Row("user"),
    "POST /apps/v2": Row("admin", 201, _APP),
    "GET /apps/v2/{app}": Row("tenant"),
    "GET /jobs/v2": Row("user"),
    "POST /jobs/v2": Row("app here", 201, {"appId": "{app}"}),
    "GET /jobs/v2/{batch_job}": Row("job owner"),
    "POST /jobs/v2/{batch_job}": Row("job owner", body={"action": "stop"}),
    "DELETE /jobs/v2/{batch_job}": Row("job owner"),
    "GET /jobs/v2/{batch_job}/history": Row("job owner"),
    "GET /jobs/v2/{batch_job}/logs": Row("job owner"),
}

BUILT_IN: Final = {
    f"{route.method} {route.path}": route.need.value.builtin
    for route in other_routes(Mock())
    if route.need.value is not None and route.need.value.builtin is not None
}
"""The routes that ask for a level on a built-in actor; `_Cast` puts its own actor in that one's place."""

ALL: Final = [
    *(("/v3/actors", route, row) for route, row in TABLE.items()),
    *(("", route, row) for route, row in OTHER_TABLE.items()),
]


@dataclass
class _Thing:
    """An actor with all that paths name, shared with everybody as CALLERS says."""

    parameters: dict[str, str]
    nonces: dict[str, str] = field(default_factory=dict)


class _Cast:
    """The callers, and the things they ask for."""

    def __init__(self, served: Serving) -> None:
        self._served = served
        self._tokens: dict[str, str] = {"bad token": "no token"}
        self._things: dict[bool, _Thing] = {}
        self._made = 0
        self.builtin: str | None = None

    async def assemble(self) -> None:
        """Make the accounts."""
        for name in ("stranger", *LEVELS, "owner", "world"):
            self._tokens[name] = str((await self._served.user(name)).token)
        self._tokens["admin"] = str((await self._served.user("admin", "abaco_admin")).token)
        foreign = await self._served.user("foreign", "abaco_admin", tenant=LAB)
        self._tokens["foreign admin"] = str(foreign.token)
        stranger = User(DEV, Username("stranger"), frozenset(), CREATED)
        self._tokens["expired"] = self._served.daemon.core.tokens.issue(stranger, "access", -60).text

    async def ask(self, caller: str, prefix: str, method: str, path: str, body: dict[str, str] | None) -> int:
        """The status that the caller gets. What was changed is made anew for the next one."""
        for_world = caller == "world"
        thing = self._things.get(for_world) or await self._thing(path, for_world=for_world)
        self._things[for_world] = thing
        await self._served.database.write(lambda tx: self._put_in_place(tx, thing.parameters["actor"]))
        parameters = dict(thing.parameters)
        if caller == "alias nonce":
            parameters["actor"] = parameters["alias"]
        url = URL(self._served.url + prefix + path.format_map(parameters), encoded=True)
        if nonce := thing.nonces.get(caller):
            url = url.with_query({"x-nonce": nonce})
        headers = {"X-Tapis-Token": self._tokens[caller]} if caller in self._tokens else {}
        sent = body and {name: text.format_map(thing.parameters) for name, text in body.items()}
        async with self._served.session.request(method, url, headers=headers, json=sent) as response:
            await response.read()
        if method != "GET" and response.status < 300:
            del self._things[for_world]
        return response.status

    def _put_in_place(self, tx: Transaction, actor: str) -> None:
        """Let the actor be the built-in one that the route asks for."""
        if self.builtin is not None:
            _free_names(tx)
            tx.execute("UPDATE actors SET builtin = ? WHERE id = ?", (self.builtin, actor))

    async def _thing(self, path: str, *, for_world: bool) -> _Thing:
        self._made += 1
        owner = Client(self._served.session, self._served.url, self._tokens["owner"])
        actor = (await owner.register(stateless=False))["id"]
        alias = self.builtin or f"alias{self._made}"
        if self.builtin and self._made > 1:
            await self._served.database.write(_free_names)
            await owner.put(f"/v3/actors/aliases/{alias}", json={"actor_id": actor}, expect=200)
        else:
            await owner.post("/v3/actors/aliases", json={"alias": alias, "actor_id": actor}, expect=201)
        config = {"name": f"config{self._made}", "value": "1", "is_secret": False, "actors": actor}
        await owner.post("/v3/actors/configs", json=config, expect=200)
        for user, level in {"ABACO_WORLD": "EXECUTE"}.items() if for_world else LEVELS.items():
            for shared in (actor, f"aliases/{alias}", f"configs/{config['name']}"):
                await owner.share(shared, user, level)
        execution = "nothing"
        if "{execution}" in path:
            sent = await owner.post(f"/v3/actors/{actor}/messages", json={"message": "1"}, expect=200)
            execution = sent.result["execution_id"]
            await self._served.until_ended(owner, actor, execution)
        job = "nothing"
        if "{batch_job}" in path or "{app}" in path or path == "/jobs/v2":
            admin = Client(self._served.session, self._served.url, self._tokens["admin"])
            await admin.post("/apps/v2", json=_APP, expect=201)
            job = (await owner.post("/jobs/v2", json={"appId": _APP["id"]}, expect=201)).result["id"]
        thing = _Thing(
            {
                "app": _APP["id"],
                "batch_job": job,
                "actor": actor,
                "alias": alias,
                "config": str(config["name"]),
                "execution": execution,
                "worker": "nothing",
                "nonce": "nothing",
                "database": "actors",
                "tenant": "dev",
                "schema": "pipeline_uuid.json",
                "kind": "sample",
                "record": "sample.lab.1",
                "username": "owner",
                "pipeline": "nothing",
                "job": "nothing",
                "file": "nothing",
            }
        )
        for level in LEVELS.values():
            thing.nonces[f"nonce {level}"] = await self._nonce(owner, actor, level=level)
        thing.nonces["alias nonce"] = await self._nonce(owner, f"aliases/{alias}", level="EXECUTE")
        thing.nonces["used-up nonce"] = await self._nonce(owner, actor, level="UPDATE", max_uses=1)
        nobody = self._served.nobody
        await nobody.get(f"/v3/actors/{actor}?x-nonce={thing.nonces['used-up nonce']}", expect=200)
        return thing

    @staticmethod
    async def _nonce(owner: Client, of: str, **fields: Any) -> str:
        return str((await owner.post(f"/v3/actors/{of}/nonces", json=fields, expect=201)).result["id"])


def _free_names(tx: Transaction) -> None:
    """Let no actor be built in: nobody may take its alias from one that is."""
    tx.execute("UPDATE actors SET builtin = NULL")


def test_every_route_is_in_the_table() -> None:
    assert {f"{route.method} {route.path}" for route in actor_routes(Mock())} == set(TABLE)
    assert {f"{route.method} {route.path}" for route in other_routes(Mock())} == set(OTHER_TABLE)


def test_a_nonce_opens_nothing_with_less_than_the_documented_level() -> None:
    # spec/actors-api 7.5. POST of results is another way to ask with GET.
    by_method = {"GET": Level.READ, "POST": Level.UPDATE, "PUT": Level.UPDATE, "DELETE": Level.UPDATE}
    exceptions = {"POST /{actor}/messages": Level.EXECUTE, "POST /{actor}/executions/{execution}/results": Level.READ}
    for route in (*actor_routes(Mock()), *other_routes(Mock())):
        demand = route.need.value
        if demand is not None and demand.takes_nonces:
            needed = exceptions.get(f"{route.method} {route.path}", by_method[route.method])
            if demand.builtin == JOBS_MANAGER and route.method != "GET":
                # What changes a job asks for its update token besides.
                needed = Level.EXECUTE
            assert (demand.actor or Level.NONE) >= needed, route.path


@pytest.mark.timeout(30)
@pytest.mark.parametrize(("prefix", "route", "row"), ALL, ids=[route for _, route, _ in ALL])
async def test_who_may(served: Serving, prefix: str, route: str, row: Row) -> None:
    method, _, path = route.partition(" ")
    cast = _Cast(served)
    cast.builtin = BUILT_IN.get(route)
    await cast.assemble()
    expected = {
        caller: row.status if word == "+" else int(word)
        for caller, word in zip(CALLERS, KINDS[row.kind].split(), strict=True)
    }
    assert {caller: await cast.ask(caller, prefix, method, path, row.body) for caller in CALLERS} == expected
