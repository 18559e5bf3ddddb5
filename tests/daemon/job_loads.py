"""What users of pipelines and jobs do while a daemon is killed again and again, and what must have come of it; see `loads`."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import aiohttp

from abacod.store.database import beside_daemon
from tests.daemon.process import Client, DaemonProcess

SYSTEM: Final = "data-sd2e-community"
SAMPLES: Final = 3
TEXT: Final = "it is a truth universally acknowledged"
# Every so manieth launch is of an app that ends with this exit code.
_FAILS: Final = 4
_CODE: Final = 3
_APP: Final = "storm-0.1.0"
_SCRIPT: Final = """
echo "$AGAVE_JOB_NAME" >> /out/launched
sleep "$pause"
cp "$text" words.txt
echo 1,2 > counts.csv
exit "$code"
"""
_PRODUCTS: Final = {"words.txt": ("PLAIN", f"{TEXT}\n"), "counts.csv": ("CSV", "1,2\n")}
_FILES: Final = 20
_EXPERIMENT: Final = "experiment.tacc.storm"
_ABOVE: Final = (
    {"experiment_design_id": "Storm", "uri": "https://example.org/storm", "title": "Storm", "status": "ACTIVE"},
    {"experiment_id": _EXPERIMENT, "title": "Storm", "child_of": ["Storm"]},
)
_PROXY: Final = "/pipelinejobs-agave-proxy"
_INDEXER: Final = "/pipelinejobs-indexer"

T = TypeVar("T")


async def surely(ask: Callable[..., Awaitable[T]], *arguments: Any, **options: Any) -> T:
    """What `ask` gives, once a daemon has answered: the request is sent until one does."""
    while True:
        try:
            return await ask(*arguments, **options)
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)


async def handled(daemon: DaemonProcess, reactor: str) -> None:
    """Wait until all that has been sent to a built-in reactor so far is done; more may come of it."""
    settings = daemon.settings()
    with beside_daemon(settings.database_path, settings.store) as connection:
        rows = connection.execute(
            "SELECT id FROM executions WHERE status IN ('SUBMITTED', 'RUNNING') "
            "AND actor_id IN (SELECT id FROM actors WHERE builtin = ?)",
            (reactor,),
        ).fetchall()
    await daemon.ended({row[0] for row in rows})


async def log_of(client: Client, reactor: str, execution: str) -> list[str]:
    """The lines that an execution of a built-in reactor has logged."""
    log = await client.call("GET", f"{reactor}/executions/{execution}/logs")
    return str(log["logs"]).splitlines()


async def jobs_once(
    daemon: DaemonProcess, client: Client, uuids: set[str], wanted: Callable[[dict[str, Any]], bool]
) -> None:
    """Wait until each of these jobs is as wanted; looks again whenever an execution has ended."""
    waiting = set(uuids)
    while True:
        seen = len(daemon.events)
        for uuid in sorted(waiting):
            if wanted(await client.outside("GET", f"/v3/jobs/{uuid}")):
                waiting.remove(uuid)
        if not waiting:
            return
        await daemon.event(lambda event: event["event"] == "execution_complete", since=seen)


def is_indexed(job: dict[str, Any]) -> bool:
    """Whether a job is finished and its products are recorded."""
    return (job["state"], job["last_event"]) == ("FINISHED", "indexed")


def checksum(text: str) -> str:
    """The SHA-256 of a file with this content."""
    return hashlib.sha256(text.encode()).hexdigest()


async def prepared(daemon: DaemonProcess, admin: Client, image: str, root: Path) -> str:
    """Load a catalog, write the text that the app reads, register the app and its pipeline; the pipeline's UUID."""
    (root / "text").write_text(f"{TEXT}\n")
    await admin.outside("POST", "/v3/catalog", json=[*_ABOVE, *map(_sample, range(SAMPLES))])
    parameters = [{"id": each, "value": {"type": "number"}} for each in ("pause", "code")]
    inputs = [{"id": "text", "value": {"required": True}}]
    app = {"id": _APP, "image": image, "template": _SCRIPT, "inputs": inputs, "parameters": parameters}
    await admin.outside("POST", "/apps/v2", json=app)
    component = {"id": _APP, "inputs": {}, "parameters": {}}
    document = {"id": _APP, "name": "Storm", "components": [component], "processing_levels": ["1"]}
    sent = await admin.call("POST", "/pipelines-manager/messages", json={"message": document})
    await daemon.ended({sent["execution_id"]})
    [pipeline] = await admin.outside("GET", "/v3/pipelines")
    return str(pipeline["uuid"])


@dataclass
class Launched:
    """A user who launches an app for several samples, each request twice at once, and again until it is acknowledged."""

    daemon: DaemonProcess
    client: Client
    root: Path
    out: Path
    name: str
    pipeline: str
    pause: float = 0.3
    """How long each container runs, in seconds."""
    wanted: dict[str, set[str]] = field(default_factory=dict)
    """By the name of a launch, the executions of the Proxy that were asked for it."""

    async def go_on(self) -> None:
        """Launch one after the other."""
        number = 0
        while True:
            number += 1
            await self.launch(number)
            await asyncio.sleep(2)

    async def launch(self, number: int) -> None:
        """Send the request with this number twice at once."""
        name = f"{self.name}-{number}"
        self.wanted[name] = set()
        await asyncio.gather(*(surely(self._launch, name, number) for _ in range(2)))

    async def _launch(self, name: str, number: int) -> None:
        code = _CODE if number % _FAILS == 0 else 0
        definition = {
            "appId": _APP,
            "name": name,
            "inputs": {"text": f"agave://{SYSTEM}/text"},
            "parameters": {"pause": self.pause, "code": code},
        }
        message = {
            "parameters": {"sample_id": _sample(number % SAMPLES)["sample_id"]},
            "job_definition": definition,
        }
        sent = await self.client.call("POST", f"{_PROXY}/messages", json={"message": message})
        self.wanted[name].add(sent["execution_id"])

    async def check(self) -> str:
        """Each launch ran one container, and ended as that says; its products are recorded once, with their links."""
        await handled(self.daemon, _PROXY[1:])
        listed = await self.client.outside("GET", f"/v3/jobs?pipeline_uuid={self.pipeline}&limit=1000")
        mine = [job for job in listed if str(job["data"].get("name")).startswith(f"{self.name}-")]
        jobs = {job["data"]["name"]: job["uuid"] for job in mine}
        assert len(jobs) == len(mine), "a request made two jobs"
        assert {name for name, executions in self.wanted.items() if executions} <= set(jobs) <= set(self.wanted)
        await jobs_once(
            self.daemon, self.client, set(jobs.values()), lambda job: is_indexed(job) or job["state"] == "FAILED"
        )
        ran = Counter((self.out / "launched").read_text().split())
        failed = 0
        for name, uuid in jobs.items():
            assert ran[name] == 1, f"{name} ran {ran[name]} times"
            number = int(name.rpartition("-")[2])
            job = await self.client.outside("GET", f"/v3/jobs/{uuid}")
            fails = number % _FAILS == 0
            failed += fails
            assert job["state"] == ("FAILED" if fails else "FINISHED"), job["history"]
            await self._check_products(job, number, () if fails else _PRODUCTS)
            await self._check_logs(name)
        return f"{self.name}: {len(jobs)} jobs launched, {failed} of them failed as they should"

    async def _check_products(self, job: dict[str, Any], number: int, names: Any) -> None:
        measurement = await self.client.outside("GET", f"/v3/catalog/records/{_measurement(number % SAMPLES)}")
        assert job["child_of"] == [measurement["uuid"]]
        files = await self.client.outside("GET", f"/v3/files?job={job['uuid']}&limit=1000")
        found = {Path(each["name"]).name: each for each in files}
        assert set(names) <= set(found)
        assert len(found) == len(files)
        for name in names:
            kind, content = _PRODUCTS[name]
            each = found[name]
            assert (each["type"], each["level"]) == (kind, "1")
            assert (each["fixity"]["checksum"], each["fixity"]["version"]) == (checksum(content), 1)
            assert each["child_of"] == [job["uuid"]]
            assert job["uuid"] in each["generated_by"]
            assert each["measurements"] == [measurement["uuid"]]
            assert (self.root / each["name"].lstrip("/")).read_text() == content

    async def _check_logs(self, name: str) -> None:
        """One of the requests launched the job, or they did it together; those that came later were refused."""
        lasts = [(await log_of(self.client, _PROXY, each))[-1] for each in self.wanted[name]]
        assert all("is managing Agave job" in last or "of the same pipeline" in last for last in lasts), lasts


def _measurement(number: int) -> str:
    return f"measurement.tacc.storm{number}"


def _sample(number: int) -> dict[str, Any]:
    measured = {"measurement_id": _measurement(number), "measurement_type": "TEXT"}
    return {"sample_id": f"sample.tacc.storm{number}", "child_of": [_EXPERIMENT], "measurements": [measured]}


@dataclass
class Told:
    """Jobs to which many send numbered events at once: by callbacks, which are messages, and over HTTP."""

    SENDERS: ClassVar = 4

    client: Client
    jobs: list[dict[str, Any]]
    bodies: list[dict[str, Any]]
    session: aiohttp.ClientSession
    url: str
    token: str
    answered: set[tuple[int, int, int]] = field(default_factory=set)
    """Job, sender and number."""

    @classmethod
    async def registered(
        cls, daemon: DaemonProcess, client: Client, pipeline: str, session: aiohttp.ClientSession, token: str
    ) -> Told:
        """New jobs, RUNNING."""
        bodies = [{"pipeline_uuid": pipeline, "data": {"told": number}} for number in range(5)]
        jobs = [await client.outside("POST", "/v3/jobs", json=body) for body in bodies]
        for made in jobs:
            event = {"name": "run", "token": made["token"]}
            await client.outside("POST", f"/v3/jobs/{made['job']['uuid']}/events", json=event)
        return cls(client, jobs, bodies, session, daemon.url, token)

    async def go_on(self) -> None:
        """Half of the senders use callbacks, the others HTTP."""
        async with asyncio.TaskGroup() as group:
            for sender in range(self.SENDERS):
                group.create_task(self._send(sender))

    async def _send(self, sender: int) -> None:
        number = 0
        while True:
            number += 1
            job = number % len(self.jobs)
            try:
                if await self._send_one(job, {"job": job, "sender": sender, "n": number}):
                    self.answered.add((job, sender, number))
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)

    async def _send_one(self, job: int, data: dict[str, Any]) -> bool:
        made = self.jobs[job]
        if data["sender"] % 2:
            async with self.session.post(made["callback"], json={"status": "HEARTBEAT", **data}) as response:
                await response.read()
                return response.status == 200
        body = {"name": "update", "token": made["token"], "data": data}
        url, headers = f"{self.url}/v3/jobs/{made['job']['uuid']}/events", {"X-Tapis-Token": self.token}
        async with self.session.post(url, json=body, headers=headers) as response:
            await response.read()
            return response.status == 200

    async def check(self) -> str:
        """Each acknowledged event is in the history of its job once, none twice, and those of a sender in its order."""
        came: list[tuple[int, int, int]] = []
        for index, made in enumerate(self.jobs):
            again = await self.client.outside("POST", "/v3/jobs", json=self.bodies[index])
            assert (again["token"], again["created"]) == (made["token"], False)
            updates = [each["data"] for each in again["job"]["history"] if each["name"] == "update"]
            assert all(data["job"] == index for data in updates)
            for sender in range(self.SENDERS):
                numbers = [data["n"] for data in updates if data["sender"] == sender]
                assert numbers == sorted(set(numbers)), "twice, or not in order"
                came += [(index, sender, number) for number in numbers]
        assert self.answered <= set(came), "lost"
        return f"{len(self.answered)} events acknowledged, {len(came) - len(self.answered)} more came"


@dataclass
class Piped:
    """A user who creates and changes pipelines."""

    client: Client
    daemon: DaemonProcess
    name: str
    created: dict[int, set[str]] = field(default_factory=dict)
    """By the number of a pipeline, the executions that were asked to create it."""

    async def go_on(self) -> None:
        """One pipeline after the other, each request twice at once."""
        number = 0
        while True:
            number += 1
            self.created[number] = set()
            await asyncio.gather(*(surely(self._create, number) for _ in range(2)))
            await asyncio.sleep(0.7)

    async def _create(self, number: int) -> None:
        sent = await self.client.call(
            "POST", "/pipelines-manager/messages", json={"message": self._document(number, "first")}
        )
        self.created[number].add(sent["execution_id"])

    def _document(self, number: int, description: str) -> dict[str, Any]:
        name = f"{self.name} {number}"
        return {"name": name, "description": description, "components": [{"id": f"{self.name}{number}"}]}

    async def check(self) -> str:
        """Each was made once, with one token for all who asked; the token lets a change in."""
        await handled(self.daemon, "pipelines-manager")
        uuids = set()
        for number, executions in self.created.items():
            lasts = {(await log_of(self.client, "/pipelines-manager", each))[-1] for each in executions}
            if not executions:
                continue
            assert len(lasts) == 1, lasts
            words = lasts.pop().split()
            assert words[1:4] == ["INFO", "Created", "pipeline"], words
            uuids.add(words[4])
            update = {"message": self._document(number, "second")}
            sent = await self.client.call("POST", f"/pipelines-manager/messages?token={words[-1]}", json=update)
            await self.daemon.ended({sent["execution_id"]})
            assert (await self.client.outside("GET", f"/v3/pipelines/{words[4]}"))["description"] == "second"
        return f"{self.name}: {len(uuids)} pipelines"


@dataclass
class Catalogued:
    """An administrator who loads records into the catalog, everything twice."""

    client: Client
    loaded: list[str] = field(default_factory=list)

    async def go_on(self) -> None:
        """One sample with its measurements after the other."""
        number = 100
        while True:
            number += 1
            records = [_sample(number)]
            await surely(self.client.outside, "POST", "/v3/catalog", json=records)
            self.loaded.append(records[0]["sample_id"])
            again = await surely(self.client.outside, "POST", "/v3/catalog", json=records)
            assert {kind: counts["unchanged"] for kind, counts in again.items()} == {"sample": 1, "measurement": 1}
            await asyncio.sleep(0.5)

    async def check(self) -> str:
        """All are there, as they were loaded first."""
        for name in self.loaded:
            shown = await self.client.outside("GET", f"/v3/catalog/records/{name}")
            assert (shown["revision"], shown["children"]) == (0, {"measurement": 1})
        return f"{len(self.loaded)} loads of the catalog"


@dataclass
class Indexed:
    """A user who makes files and has them indexed: once because the job is finished, and twice more at once."""

    daemon: DaemonProcess
    client: Client
    root: Path
    pipeline: str
    jobs: dict[int, dict[str, Any]] = field(default_factory=dict)
    """By their numbers, those whose end was acknowledged."""

    async def go_on(self) -> None:
        """One job after the other."""
        number = 0
        while True:
            number += 1
            await self._one(number)
            await asyncio.sleep(1)

    async def _one(self, number: int) -> None:
        body = {"pipeline_uuid": self.pipeline, "data": {"indexed": number}, "sample_id": _sample(0)["sample_id"]}
        made = await surely(self.client.outside, "POST", "/v3/jobs", json=body)
        archive = self.root / made["job"]["archive_path"].lstrip("/")
        archive.mkdir(parents=True, exist_ok=True)
        for each in range(_FILES):
            (archive / f"{each}.txt").write_text(f"{number} {each}")
        uuid, token = made["job"]["uuid"], made["token"]
        for name in ("run", "finish"):
            event = {"name": name, "token": token}
            await surely(self.client.outside, "POST", f"/v3/jobs/{uuid}/events", json=event)
        self.jobs[number] = made["job"]
        index = {"message": {"name": "index", "uuid": uuid, "token": token, "level": "1"}}
        ask = [surely(self.client.call, "POST", f"{_INDEXER}/messages", json=index) for _ in range(2)]
        await asyncio.gather(*ask)

    async def check(self) -> str:
        """Each file of each job is recorded once, with its checksum and links."""
        await handled(self.daemon, _INDEXER[1:])
        await jobs_once(self.daemon, self.client, {job["uuid"] for job in self.jobs.values()}, is_indexed)
        for number, job in self.jobs.items():
            files = await self.client.outside("GET", f"/v3/files?job={job['uuid']}&limit=1000")
            sums = {Path(each["name"]).name: (each["fixity"]["checksum"], each["fixity"]["version"]) for each in files}
            assert sums == {f"{each}.txt": (checksum(f"{number} {each}"), 1) for each in range(_FILES)}
            assert all(each["child_of"] == [job["uuid"]] for each in files)
        return f"{len(self.jobs)} jobs indexed three times"
