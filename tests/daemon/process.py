"""`abacod serve` as a process: started, killed hard, started again; its log lines are the events that tests wait for."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import aiohttp

from abacod.clock import SystemClock
from abacod.config import Settings
from abacod.ids import TenantId, Username
from abacod.models.user import Role, User
from abacod.services.tokens import SigningKey, Tokens
from abacod.settings_file import load_settings
from abacod.store import users
from abacod.store.database import beside_daemon
from tests.described import check_answer
from tests.manager import Manager

Event = dict[str, Any]


class DaemonProcess:
    """One data directory, and at most one daemon on it at a time."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        """`settings` is TOML that is added to what every test needs."""
        self.folder = folder
        self.config = folder / "abacod.toml"
        self.data_dir = folder / "data"
        self.port = _free_port()
        self.config.write_text(
            f'data_dir = "{self.data_dir}"\n{settings}\n[daemon_log]\nstyle = "json"\nlevel = "debug"\n'
        )
        self.events: list[Event] = []
        self.process: asyncio.subprocess.Process | None = None
        # The number of the first event of the daemon that was started last.
        self._life = 0
        self._changed = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Gives the process an end: whatever becomes of a test, no daemon stays."""
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process is not None and self.process.returncode is None:
            await self.kill()

    @property
    def lives(self) -> int:
        """How often a daemon has begun to serve so far."""
        return sum(event["event"] == "serving" for event in self.events)

    @property
    def url(self) -> str:
        """Where the daemon listens."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start the daemon; returns when it has told its service manager that it is ready."""
        # Not in the test's folder: a socket's path may have only 108 bytes.
        with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            address = str(Path(place) / "notify")
            notify.bind(address)
            notify.setblocking(False)
            process = await self._spawn({"NOTIFY_SOCKET": address})
            message = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(notify, 1024))
            exit_ = asyncio.ensure_future(process.wait())
            done, _ = await asyncio.wait({message, exit_}, return_when=asyncio.FIRST_COMPLETED)
            for waiting in (message, exit_):
                waiting.cancel()
            if message not in done:
                raise AssertionError(f"the daemon ended at its start: {self.events}")
            assert message.result() == b"READY=1"

    async def start_under(self, manager: Manager, room: int, **others: int) -> None:
        """Start the daemon under a service manager that keeps `room` sockets, and passes `others`, descriptors by name, too."""
        manager.said.clear()
        await self._spawn(manager.environment(room), lambda arguments: manager.command(arguments, others))
        await manager.until("READY=1")

    async def start_and_kill(self, seconds: float, manager: Manager | None = None, room: int = 0) -> None:
        """Start the daemon, under a service manager if given, and kill it that much later, wherever its start has come to."""
        if manager is None:
            await self._spawn({})
        else:
            await self._spawn(manager.environment(room), lambda arguments: manager.command(arguments, {}))
        await asyncio.sleep(seconds)
        await self.kill()

    async def kill(self) -> int:
        """SIGKILL; the exit status."""
        return await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        return await self._end(signal.SIGTERM)

    async def event(self, matches: Callable[[Event], bool], *, since: int = 0) -> Event:
        """The first log line from number `since` on that matches; waits for it."""
        while True:
            for event in self.events[since:]:
                if matches(event):
                    return event
            self._changed.clear()
            await self._changed.wait()

    async def recovered(self) -> None:
        """Wait until the daemon that was started last has taken up and removed what an earlier one left."""
        await self.event(lambda event: event["event"] == "recovered", since=self._life)

    async def ended(self, execution_ids: set[str]) -> None:
        """Wait until all of these executions are settled, by the log lines of all daemons so far."""
        ends = ("execution_complete", "execution_failed")
        while execution_ids - {event["execution"] for event in self.events if event["event"] in ends}:
            self._changed.clear()
            await self._changed.wait()

    def token(self, name: str, *roles: Role) -> str:
        """A token of a user, who is added if there is none; works beside the daemon and without one."""
        user = self.add_user(name, "no password fits this", *roles)
        settings = self.settings()
        key = SigningKey.at(settings.signing_key_path)
        return Tokens(key, settings.auth, settings.public_url, SystemClock()).issue(user, "access").text

    def add_user(self, name: str, password_hash: str, *roles: Role) -> User:
        """The user of that name, added if there is none."""
        settings = self.settings()
        self.data_dir.mkdir(mode=0o700, exist_ok=True)
        tenant, username = TenantId(settings.auth.default_tenant), Username(name)
        with beside_daemon(settings.database_path, settings.store) as connection:
            user = users.find(connection, tenant, username)
            if user is None:
                user = User(tenant, username, frozenset(roles), SystemClock().now())
                users.insert(connection, user, password_hash)
        return user

    def settings(self) -> Settings:
        """The settings the daemon runs with."""
        return load_settings(self.config, server={"port": self.port})

    async def _spawn(
        self,
        environment: dict[str, str],
        command: Callable[[list[str]], tuple[list[str], dict[str, Any]]] = lambda arguments: (arguments, {}),
    ) -> asyncio.subprocess.Process:
        arguments, options = command(["-m", "abacod", "serve", "--config", str(self.config), "--port", str(self.port)])
        self._life = len(self.events)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            env=os.environ | environment,
            stderr=asyncio.subprocess.PIPE,
            limit=2**20,
            **options,
        )
        self._reader = asyncio.create_task(self._read_events(self.process))
        return self.process

    async def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        status = await self.process.wait()
        if self._reader:
            await self._reader
        return status

    async def _read_events(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        # For whoever looks into a test that failed: pytest keeps the folders of the last runs.
        with (self.folder / "daemon.log").open("ab", buffering=0) as log:
            async for line in process.stderr:
                log.write(line)
                self._note(line)

    def _note(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = {"event": "text", "text": line.decode(errors="replace")}
        self.events.append(event)
        self._changed.set()


class Unavailable(aiohttp.ClientError):
    """The daemon answered that it can take nothing at the moment."""

    STATUS: Final = 503


@dataclass(frozen=True)
class Reply:
    """Status and parsed envelope of an answer."""

    status: int
    answer: dict[str, Any]


@dataclass(frozen=True)
class Bare:
    """An answer as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """A user of a daemon; requests that break off because it was killed raise `aiohttp.ClientError`."""

    def __init__(self, daemon: DaemonProcess, session: aiohttp.ClientSession) -> None:
        self._daemon = daemon
        self._session = session

    @classmethod
    @asynccontextmanager
    async def opened(cls, daemon: DaemonProcess, token: str | None) -> AsyncIterator[Self]:
        """A client with its own connections; without a token it is nobody."""
        headers = {"X-Tapis-Token": token} if token else {}
        async with aiohttp.ClientSession(headers=headers) as session:
            yield cls(daemon, session)

    async def get(self, path: str) -> Reply:
        """A GET outside the actors API, whatever comes of it."""
        async with self._session.get(f"{self._daemon.url}{path}") as response:
            check_answer("documented", "GET", path, response.status, response.headers, await response.read())
            return Reply(response.status, await response.json())

    async def read(self, path: str) -> bytes:
        """The body of a GET that must succeed and is answered with bytes."""
        async with self._session.get(f"{self._daemon.url}/v3/actors{path}") as response:
            body = await response.read()
            assert response.status < 300, body
            return body

    async def line_of_log(self, execution: str) -> bytes:
        """The first line of the log of an execution; waits for it."""
        async with self._session.get(f"{self._daemon.url}/v3/actors{execution}/logs?follow=true") as response:
            return await response.content.readline()

    async def text(self, path: str) -> bytes:
        """The body of a GET outside the actors API that must succeed."""
        async with self._session.get(f"{self._daemon.url}{path}") as response:
            assert response.status == 200
            return await response.read()

    async def bare(self, method: str, path: str, **request: Any) -> Bare:
        """A call below the actors API, whatever comes of it, without looking for an envelope."""
        async with self._session.request(method, f"{self._daemon.url}/v3/actors{path}", **request) as response:
            body = await response.read()
            check_answer("documented", method, f"/v3/actors{path}", response.status, response.headers, body)
            return Bare(response.status, response.headers, body)

    async def outside(self, method: str, path: str, **request: Any) -> Any:
        """The `result` of a call outside the actors API that must succeed."""
        async with self._session.request(method, f"{self._daemon.url}{path}", **request) as response:
            answer = await response.json()
            if response.status == Unavailable.STATUS:
                raise Unavailable(answer["message"])
            assert response.status < 300, answer
            check_answer("documented", method, path, response.status, response.headers, await response.read())
            return answer["result"]

    async def call(self, method: str, path: str, **request: Any) -> Any:
        """The `result` of a call that must succeed."""
        async with self._session.request(method, f"{self._daemon.url}/v3/actors{path}", **request) as response:
            answer = await response.json()
            if response.status == Unavailable.STATUS:
                raise Unavailable(answer["message"])
            assert response.status < 300, answer
            check_answer(
                "documented", method, f"/v3/actors{path}", response.status, response.headers, await response.read()
            )
            return answer["result"]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
