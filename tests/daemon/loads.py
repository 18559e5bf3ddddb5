"""What users do while a daemon is killed again and again, and what must have come of it: one class for each kind of use.

Each has `go_on`, which loads a daemon for ever, and `check`, which is called when all is settled.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

import aiohttp

from tests.daemon.flows import Flow, assert_each_ran_once, assert_in_order, drained
from tests.daemon.process import Client, DaemonProcess
from tests.docker_images import SHELL, image_name
from tests.hooks import HookServer

ALIAS: Final = "storm-target"
HOOK: Final = "/storm"
RESULTS: Final = 3
"""How many results each execution sends."""
USES: Final = 8
"""How many uses each nonce has."""


class Load(Protocol):
    """One kind of use."""

    async def go_on(self) -> None:
        """Load the daemon until cancelled; it may go away at any moment."""
        ...

    async def check(self) -> str:
        """Fail unless all that was promised is there, and nothing twice; how much it was. The daemon runs."""
        ...


@asynccontextmanager
async def loaded(loads: Sequence[Load]) -> AsyncIterator[None]:
    """All of them go on while the block runs; a load that fails ends it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(load.go_on()) for load in loads]
        yield
        for task in tasks:
            task.cancel()


async def ended_executions(daemon: DaemonProcess, client: Client, actor_id: str) -> list[str]:
    """The ids of all executions of an actor, oldest first, once they have ended; all must be COMPLETE with exit code 0."""
    await drained(daemon, client, [Flow(actor_id, Path())])
    listed = (await client.call("GET", f"/{actor_id}/executions"))["executions"]
    assert {each["status"] for each in listed} <= {"COMPLETE"}
    return [each["id"] for each in listed]


async def found(client: Client, actor_id: str, words: str) -> set[str]:
    """The executions of an actor in whose logs a search finds the very text."""
    answer = await client.call("GET", f"/search/logs?actor_id={actor_id}&exactsearch={quote(words)}&limit=1000")
    assert answer["_metadata"]["total_count"] == len(answer["search"])
    return {each["_links"]["execution"].rpartition("/")[2] for each in answer["search"]}


@dataclass
class Linked:
    """A stateful actor whose events go to another stateful actor, by an alias, and to a webhook."""

    daemon: DaemonProcess
    client: Client
    source: Flow
    target: Flow
    hooks: HookServer

    @classmethod
    async def registered(
        cls, daemon: DaemonProcess, client: Client, images: str, out: Path, hooks: HookServer
    ) -> Linked:
        """Both actors, new."""
        image = image_name(images, SHELL)
        takes = 'echo "$MSG" >> /out/$_abaco_actor_id; echo "got $MSG"'
        tells = (
            'echo "start $MSG" >> /out/$_abaco_actor_id; echo "log of $MSG"; usleep 150000; '
            'echo "end $MSG" >> /out/$_abaco_actor_id'
        )
        body = {"image": image, "stateless": False, "default_environment": {"SCRIPT": takes}}
        target = await client.call("POST", "", json=body)
        await client.call("POST", "/aliases", json={"alias": ALIAS, "actor_id": target["id"]})
        body |= {"default_environment": {"SCRIPT": tells}, "link": ALIAS, "webhook": hooks.url(HOOK)}
        source = await client.call("POST", "", json=body)
        return cls(
            daemon, client, Flow(source["id"], out / source["id"]), Flow(target["id"], out / target["id"]), hooks
        )

    async def go_on(self) -> None:
        """Send to the actor whose events go on."""
        await self.source.send_for_ever(self.client, pause=2.5)

    async def check(self) -> str:
        """Each execution is told to the target exactly once and to the webhook at most once, both in order."""
        # The last event that anybody hears of: those before it have been delivered then.
        await self.source.send_one(self.client)
        last = next(reversed(self.source.acknowledged))
        while last not in self._called():
            await self.hooks.called(HOOK, len(self.hooks.bodies(HOOK)) + 1)
        ids = await ended_executions(self.daemon, self.client, self.source.actor_id)
        await assert_each_ran_once(self.client, self.source)
        assert_in_order(self.source)

        runs = await ended_executions(self.daemon, self.client, self.target.actor_id)
        events = [json.loads(line) for line in self.target.lines()]
        assert Counter(event["event_type"] for event in events) == {"ACTOR_READY": 1, "EXECUTION_COMPLETE": len(ids)}
        assert [event.get("execution_id") for event in events] == [None, *ids], (
            "lost, twice or out of order at the link"
        )
        assert len(runs) == len(events)
        for position, execution_id in enumerate(ids, start=1):
            assert await found(self.client, self.target.actor_id, execution_id) == {runs[position]}
        for execution_id, text in self.source.acknowledged.items():
            assert await found(self.client, self.source.actor_id, f"log of {text}") == {execution_id}

        called = self._called()
        assert len(called) == len(set(called)), "a webhook was called twice for one event"
        assert called == [each for each in ids if each in set(called)], "a webhook was called out of order"
        return f"{len(ids)} executions told to the link, {len(called)} of them to the webhook"

    def _called(self) -> list[str]:
        return [body["execution_id"] for body in self.hooks.bodies(HOOK) if "execution_id" in body]


_SENDS_RESULTS: Final = f"""
import os, socket, time
results = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for number in range({RESULTS}):
    while True:
        try:
            results.sendto(f"{{os.environ['_abaco_execution_id']}} {{number}}".encode(), "/_abaco_results.sock")
            break
        except ConnectionRefusedError:  # the daemon is away
            time.sleep(0.05)
    time.sleep(0.1)
print("sent", os.environ["MSG"])
"""


@dataclass
class Fetched:
    """An actor that sends results, and two at once who fetch those of every second execution."""

    daemon: DaemonProcess
    client: Client
    actor_id: str
    dice: random.Random
    kept: bool
    """Whether the sockets are kept while the daemon is away: then nothing is lost, and what it wrote last may come again."""
    twice: int = 0
    sent_in: dict[str, int] = field(default_factory=dict)
    """In the how manieth life of the daemon each execution was accepted."""
    popped: list[str] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)
    """How often an execution was asked for a result and no answer came."""

    @classmethod
    async def registered(
        cls, daemon: DaemonProcess, client: Client, image: str, dice: random.Random, *, kept: bool
    ) -> Fetched:
        """The actor, new, with two executions whose results wait already; one of them lies through all that comes."""
        actor = await client.call("POST", "", json={"image": image, "default_environment": {"PROGRAM": _SENDS_RESULTS}})
        load = cls(daemon, client, actor["id"], dice, kept)
        for _ in range(2):
            await load._send_one()
        await daemon.ended(set(load.sent_in))
        return load

    async def go_on(self) -> None:
        """Send, and fetch."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send())
            for _ in range(2):
                group.create_task(self._fetch())

    async def _send(self) -> None:
        while True:
            await asyncio.sleep(4)
            with suppress(aiohttp.ClientError):
                await self._send_one()

    async def _send_one(self) -> None:
        life = self.daemon.lives
        reply = await self.client.call("POST", f"/{self.actor_id}/messages", data={"message": "m"})
        self.sent_in[reply["execution_id"]] = life

    async def _fetch(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            some = list(self.sent_in)[::2]
            if some:
                await self._fetch_one(self.dice.choice(some[-5:]))

    async def _fetch_one(self, execution_id: str) -> bytes:
        try:
            answer = await self.client.bare("GET", f"/{self.actor_id}/executions/{execution_id}/results")
        except aiohttp.ClientConnectorError:
            return b""  # nobody was there to take a result away
        except aiohttp.ClientError:
            self.unanswered[execution_id] += 1
            return b""
        assert answer.status == 200, answer
        if answer.body:
            self.popped.append(answer.body.decode())
        return answer.body

    async def check(self) -> str:
        """No result came twice; none is missing but those of unanswered requests, or sent while a daemon was killed."""
        ids = await ended_executions(self.daemon, self.client, self.actor_id)
        for execution_id in ids:
            before = len(self.popped)
            while await self._fetch_one(execution_id):
                pass
            rest = self.popped[before:]
            assert rest == sorted(rest), "out of order"
            got = [each for each in self.popped if each.startswith(execution_id)]
            self.twice += len(got) - len(set(got))
            assert len(got) == len(set(got)) or (self.kept and not self._in_one_life(execution_id)), f"twice: {got}"
            assert set(got) <= {f"{execution_id} {number}" for number in range(RESULTS)}
            if self.kept or self._in_one_life(execution_id):
                assert len(set(got)) >= RESULTS - self.unanswered[execution_id], f"lost: {got}"
        assert await found(self.client, self.actor_id, "sent m") == set(ids)
        missing = RESULTS * len(ids) - len(set(self.popped))
        return (
            f"{len(self.popped)} results of {len(ids)} executions fetched, {missing} missing, {self.twice} twice, "
            f"{self.unanswered.total()} requests for them unanswered"
        )

    def _in_one_life(self, execution_id: str) -> bool:
        """Whether one daemon accepted the message and settled the execution."""
        lives = 0
        for event in self.daemon.events:
            lives += int(event["event"] == "serving")
            if event["event"] == "execution_complete" and event["execution"] == execution_id:
                return lives == self.sent_in.get(execution_id, 0)
        return False


@dataclass
class Keys:
    """Programs that use nonces, several at once, for binary messages and looks."""

    daemon: DaemonProcess
    client: Client
    nobody: Client
    actor_id: str
    nonces: list[str] = field(default_factory=list)
    served: Counter[str] = field(default_factory=Counter)
    refused: set[str] = field(default_factory=set)

    @classmethod
    async def registered(cls, daemon: DaemonProcess, client: Client, nobody: Client, images: str) -> Keys:
        """The actor, new."""
        environment = {"SCRIPT": 'echo "counted $(wc -c < /_abaco_binary_data) bytes"'}
        body = {"image": image_name(images, SHELL), "default_environment": environment}
        return cls(daemon, client, nobody, (await client.call("POST", "", json=body))["id"])

    async def go_on(self) -> None:
        """Use a nonce until it is used up, then take another one."""
        while True:
            with suppress(aiohttp.ClientError):
                await self._use_up()
            await asyncio.sleep(1)

    async def _use_up(self) -> None:
        if not self.nonces or self.nonces[-1] in self.refused:
            body = {"level": "EXECUTE", "max_uses": USES}
            self.nonces.append((await self.client.call("POST", f"/{self.actor_id}/nonces", json=body))["id"])
        nonce = self.nonces[-1]
        binary = {"data": b"x" * 1000, "headers": {"Content-Type": "application/octet-stream"}}
        while nonce not in self.refused:
            requests = [self._use(nonce, "GET", "") for _ in range(3)] + [
                self._use(nonce, "POST", "/messages", **binary)
            ]
            ended = await asyncio.gather(*requests, return_exceptions=True)
            for each in ended:
                if isinstance(each, BaseException):
                    raise each
            await asyncio.sleep(4)

    async def _use(self, nonce: str, method: str, path: str, **request: Any) -> None:
        answer = await self.nobody.bare(method, f"/{self.actor_id}{path}?x-nonce={nonce}", **request)
        assert answer.status in (200, 401), answer
        if answer.status == 200:
            self.served[nonce] += 1
        else:
            self.refused.add(nonce)

    async def check(self) -> str:
        """No nonce served more than its uses, and each use that served was counted."""
        ids = await ended_executions(self.daemon, self.client, self.actor_id)
        shown = {each["id"]: each for each in await self.client.call("GET", f"/{self.actor_id}/nonces")}
        assert set(self.nonces) <= set(shown)
        for nonce in self.nonces:
            uses = shown[nonce]["current_uses"]
            assert self.served[nonce] <= uses <= USES
            assert (nonce in self.refused) <= (uses == USES)
        assert len(ids) <= sum(each["current_uses"] for each in shown.values())
        assert await found(self.client, self.actor_id, "counted 1000 bytes") == set(ids)
        return f"{self.served.total()} uses of {len(self.nonces)} nonces served, {len(ids)} of them messages"


@dataclass
class Waiters:
    """Senders of synchronous messages, whose connections die with the daemon."""

    daemon: DaemonProcess
    client: Client
    actor_id: str
    traces: Path
    sent: int = 0
    answered: dict[str, str] = field(default_factory=dict)
    """Text by execution id."""
    broken: set[str] = field(default_factory=set)

    @classmethod
    async def registered(cls, daemon: DaemonProcess, client: Client, images: str, out: Path) -> Waiters:
        """The actor, new."""
        environment = {"SCRIPT": 'echo "$MSG" >> /out/$_abaco_actor_id; echo "answer to $MSG"'}
        body = {"image": image_name(images, SHELL), "default_environment": environment}
        actor_id = (await client.call("POST", "", json=body))["id"]
        return cls(daemon, client, actor_id, out / actor_id)

    async def go_on(self) -> None:
        """Send one after the other."""
        while True:
            self.sent += 1
            text = f"s{self.sent}"
            path = f"/{self.actor_id}/messages?_abaco_synchronous=true"
            try:
                answer = await self.client.bare("POST", path, data={"message": text})
            except aiohttp.ClientError:
                self.broken.add(text)
            else:
                assert (answer.status, answer.body) == (200, f"answer to {text}\n".encode()), answer
                self.answered[answer.headers["Abaco-Execution-Id"]] = text
            await asyncio.sleep(2)

    async def check(self) -> str:
        """Each answered message ran once; of the others each that was taken is found by what it said, once."""
        ids = await ended_executions(self.daemon, self.client, self.actor_id)
        assert set(self.answered) <= set(ids)
        for execution_id, text in self.answered.items():
            assert await found(self.client, self.actor_id, f"answer to {text}") == {execution_id}
        taken = Counter(self.traces.read_text().split() if self.traces.exists() else [])
        assert set(taken.values()) <= {1}, "a message ran twice"
        assert len(taken) == len(ids)
        for text in taken.keys() - set(self.answered.values()):
            assert text in self.broken
            assert len(await found(self.client, self.actor_id, f"answer to {text}")) == 1
        lost = len(ids) - len(self.answered)
        return f"{len(self.answered)} synchronous messages answered, {lost} taken whose answer was lost"


@dataclass
class Scheduled:
    """An actor with a schedule that begins now and comes again each hour."""

    daemon: DaemonProcess
    client: Client
    actor_id: str
    began: datetime

    @classmethod
    async def registered(cls, daemon: DaemonProcess, client: Client, images: str) -> Scheduled:
        """The actor, new."""
        began = datetime.now(UTC)
        body = {
            "image": image_name(images, SHELL),
            "default_environment": {"SCRIPT": 'echo "ran $MSG"'},
            "cron_schedule": "now + 1 hour",
        }
        return cls(daemon, client, (await client.call("POST", "", json=body))["id"], began)

    async def go_on(self) -> None:
        """Nothing: time is all it needs."""
        await asyncio.Event().wait()

    async def check(self) -> str:
        """One run for each hour that has begun, and one for the start."""
        await self.daemon.event(lambda event: event["event"] == "cron_sent")
        ids = await ended_executions(self.daemon, self.client, self.actor_id)
        hours = (datetime.now(UTC) - self.began.replace(minute=0, second=0, microsecond=0)).total_seconds() // 3600
        assert hours <= len(ids) <= hours + 1
        assert await found(self.client, self.actor_id, "cron execution") == set(ids)
        return f"{len(ids)} runs of a schedule"
