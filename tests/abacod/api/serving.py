"""A daemon under test: the real one on a real database, with a fake engine, and clients that check every answer."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from abacod import __version__
from abacod.api.reply import Compat
from abacod.app import Daemon, opened
from abacod.clock import SystemClock
from abacod.config import AuthSettings, RunSettings, ServerSettings, Settings, StoreSettings
from abacod.config_pipelines import PipelineSettings
from abacod.config_workers import WorkerSettings
from abacod.ids import ExecutionId, TenantId, Username
from abacod.models.user import Role, User
from abacod.services.tokens import SigningKey
from abacod.store import users
from abacod.store.database import Database, Transaction
from tests.described import check_answer
from tests.fakes import FakeContainer, FakeEngine, FakeRuntime

DEV, LAB = TenantId("dev"), TenantId("lab")
CREATED: Final = datetime(2020, 1, 1, tzinfo=UTC)
# What this server accepts at most, small enough that tests can exceed it cheaply. In bytes.
MAX_BINARY: Final = 100_000
MAX_TEXT: Final = 12_000_000
ENVELOPE: Final = {"message", "result", "status", "version"}


@dataclass(frozen=True)
class Answer:
    """A response in the envelope."""

    status: int
    headers: CIMultiDictProxy[str]
    message: str
    result: Any


@dataclass(frozen=True)
class RawAnswer:
    """A response as it came over a socket; status 0 is a connection that was closed without one."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def is_json(self) -> bool:
        """Whether our code answered, and not the HTTP parser before it."""
        return self.headers.get("Content-Type") == "application/json"


def checked_envelope(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The envelope in `body`, held to what every answer of ours has in common (spec/actors-api 1.3)."""
    assert headers["Content-Type"] == "application/json"
    assert "Access-Control-Allow-Origin" in headers
    envelope = json.loads(body)
    assert set(envelope) == ENVELOPE
    assert isinstance(envelope["message"], str)
    assert envelope["message"]
    assert envelope["version"] == __version__
    assert envelope["status"] == ("success" if status < 300 else "error")
    return dict(envelope)


class Client:
    """Somebody who sends requests."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, token: str | None, compat: Compat = "documented"
    ) -> None:
        self._compat = compat
        self._session = session
        self._url = url
        self.token = token

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.send("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Answer:
        return await self.send("POST", path, **options)

    async def put(self, path: str, **options: Any) -> Answer:
        return await self.send("PUT", path, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.send("DELETE", path, **options)

    async def send(
        self, method: str, path: str, *, expect: int | None = None, may_fail: bool = False, **options: Any
    ) -> Answer:
        """One request; `path` goes out as it is. `expect` is the status due; a 5xx must be announced by `may_fail`."""
        headers: CIMultiDict[str] = CIMultiDict(options.pop("headers", None) or {})
        if self.token and "X-Tapis-Token" not in headers and "Authorization" not in headers:
            headers["X-Tapis-Token"] = self.token
        url = URL(self._url + path, encoded=True)
        # Bytes go out with the label that the test gives them, or with none.
        skip = []
        if isinstance(data := options.get("data"), bytes):
            skip = ["Content-Type"]
            options["data"] = io.BytesIO(data)
        async with self._session.request(method, url, headers=headers, skip_auto_headers=skip, **options) as response:
            body = await response.read()
        envelope = checked_envelope(response.status, response.headers, body)
        check_answer(self._compat, method, path, response.status, response.headers, body)
        assert may_fail or response.status < 500, envelope
        if expect is not None:
            assert response.status == expect, envelope
        return Answer(response.status, response.headers, envelope["message"], envelope["result"])

    @asynccontextmanager
    async def open(self, method: str, path: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request whose answer need not be in the envelope."""
        headers = {"X-Tapis-Token": self.token or "", **options.pop("headers", {})}
        url = URL(self._url + path, encoded=True)
        async with self._session.request(method, url, headers=headers, **options) as response:
            assert "Access-Control-Allow-Origin" in response.headers
            yield response

    async def fetch(self, method: str, path: str, **options: Any) -> RawAnswer:
        """The whole answer to such a request."""
        async with self.open(method, path, **options) as response:
            body = await response.read()
        check_answer(self._compat, method, path, response.status, response.headers, body)
        return RawAnswer(response.status, response.headers, body)

    async def register(self, **fields: Any) -> dict[str, Any]:
        """A new actor, as shown, once its image is there."""
        answer = await self.post("/v3/actors", json={"image": "image", **fields})
        assert answer.status in (200, 201), answer
        return dict(answer.result)

    async def share(self, path: str, user: str, level: str) -> dict[str, str]:
        """Give somebody a level on what is at `path`; all levels then."""
        answer = await self.post(f"/v3/actors/{path}/permissions", data={"user": user, "level": level}, expect=200)
        return dict(answer.result)


def multipart(fields: Mapping[str, str]) -> dict[str, Any]:
    """The options of a request with these fields as a form of many parts."""
    parts = (f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items())
    return {
        "data": f"{''.join(parts)}--x--\r\n".encode(),
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
    }


class Serving:
    """A running daemon and what tests do with it."""

    def __init__(self, daemon: Daemon, settings: Settings, engine: FakeEngine, session: aiohttp.ClientSession) -> None:
        self.daemon = daemon
        self.settings = settings
        self.engine = engine
        self.url = daemon.url
        self.session = session
        self.port = settings.server.port or URL(daemon.url).port
        self.nobody = Client(session, self.url, None, settings.compat)

    @property
    def database(self) -> Database:
        return self.daemon.core.database

    @property
    def address(self) -> tuple[str, int]:
        assert self.port
        return "127.0.0.1", self.port

    async def user(
        self,
        name: str,
        *roles: Role,
        tenant: TenantId = DEV,
        stored: str = "no password has this hash",
        uid: int | None = None,
        gid: int | None = None,
    ) -> Client:
        """A new account, logged in; `stored` is the hash of its password."""
        user = User(tenant, Username(name), frozenset(roles), CREATED, uid, gid)
        await self.database.write(lambda tx: users.insert(tx, user, stored))
        return Client(self.session, self.url, self.daemon.core.tokens.issue(user, "access").text, self.settings.compat)

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the condition holds. Between two looks lies one commit, behind all that were asked for before it."""
        while not await condition():
            await self.database.write(lambda tx: None)

    async def recovered(self) -> None:
        """Wait until the daemon has taken up what an earlier one left."""

        async def over() -> bool:
            return not any(task.get_name() == "recovery" for task in asyncio.all_tasks())

        await self.until(over)

    async def until_status(self, client: Client, path: str, *statuses: str) -> dict[str, Any]:
        """Wait until what is at `path` has one of the statuses; it, as shown."""
        shown: dict[str, Any] = {}

        async def reached() -> bool:
            shown.update((await client.get(path, expect=200)).result)
            return shown["status"] in statuses

        await self.until(reached)
        return shown

    async def until_ended(self, client: Client, actor_id: str, execution_id: str) -> dict[str, Any]:
        """Wait until the execution has ended; it, as shown."""
        return await self.until_status(client, f"/v3/actors/{actor_id}/executions/{execution_id}", "COMPLETE", "ERROR")

    async def run(
        self, client: Client, actor_id: str, path: str | None = None, *, sender: Client | None = None, **body: Any
    ) -> FakeContainer:
        """Send a message; the container that ran it, which is over. `path` and `sender` replace the usual ones."""
        containers: dict[ExecutionId, FakeContainer] = {}

        async def note(container: FakeContainer) -> int:
            containers[container.spec.execution_id] = container
            return 0

        self.engine.programs["image"] = note
        sent = await (sender or client).post(path or f"/v3/actors/{actor_id}/messages", **body, expect=200)
        await self.until_ended(client, actor_id, sent.result["execution_id"])
        return containers[sent.result["execution_id"]]

    async def contents(self) -> dict[str, int]:
        """How much is stored: rows by table, and files of binary messages."""

        def rows(tx: Transaction) -> dict[str, int]:
            tables = tx.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return {
                name: tx.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608 - names of ours
                for (name,) in tables
            }

        return {**await self.database.read(rows), "files": len(list(self.settings.messages_dir.iterdir()))}

    async def raw(self, request: bytes, *, then_close: bool = False) -> RawAnswer:
        """What the server answers to these very bytes. `then_close` ends the sending side, as a client that breaks off."""
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            with suppress(ConnectionError):
                writer.write(request)
                await writer.drain()
                if then_close:
                    writer.write_eof()
            return await read_answer(reader)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader) -> RawAnswer:
    """One response from a connection."""
    headers: CIMultiDict[str] = CIMultiDict()
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        for line in head[1:-2]:
            name, _, value = line.partition(": ")
            headers.add(name, value)
        body = await reader.readexactly(int(headers.get("Content-Length", "0")))
    except (asyncio.IncompleteReadError, ConnectionError):
        return RawAnswer(0, CIMultiDictProxy(headers), b"")
    return RawAnswer(int(head[0].split(" ")[1]), CIMultiDictProxy(headers), body)


@asynccontextmanager
async def serving(
    tmp_path: Path, signing_key: SigningKey, *, engine_up: bool = True, **changes: Any
) -> AsyncIterator[Serving]:
    """A daemon in `tmp_path`; `changes` replace whole sections of its settings. `engine_up` is for its start.

    The key is not read from a file, which would take longer than all the rest of the start.
    """
    sections: dict[str, Any] = {
        "data_dir": tmp_path / "data",
        "server": ServerSettings(port=0, drain_seconds=0, max_body_bytes=MAX_BINARY, max_text_bytes=MAX_TEXT),
        "store": StoreSettings(synchronous="OFF"),
        "auth": AuthSettings(tenants=(LAB,), hosts={"lab.example.org": LAB}),
        "runs": RunSettings(start_retry_seconds=0, stop_grace_seconds=1),
        # Its rounds end idle workers, at moments that a test cannot know.
        "workers": WorkerSettings(autoscaling=False),
        # Tests of what the built-in reactors do switch them on.
        "pipelines": PipelineSettings(enabled=False),
    }
    settings = Settings(**{**sections, **changes})
    clock = SystemClock()
    engine = FakeEngine(clock)
    engine.up = engine_up
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SigningKey, "at", lambda path: signing_key)
        try:
            async with (
                opened(
                    settings, clock, lambda instance: FakeRuntime(engine, instance=instance, stop_grace=1)
                ) as daemon,
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            ):
                yield Serving(daemon, settings, engine, session)
        finally:
            await engine.close()
