"""Pipelines, catalog records and jobs for tests, on a daemon that is served."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import pytest
from yarl import URL

from abacod.ids import TenantId, Username
from abacod.models.builtin import INDEXER
from abacod.models.catalog import Record, RecordKind
from abacod.store import actors, records
from abacod.store.database import Transaction
from reactors.builtin import HANDLERS
from reactors.pipelinejobs.identifiers import Identifiers, Kind
from tests.abacod.api.serving import CREATED, DEV, Answer, Client, Serving

ADA: Final = Username("ada")
MANAGER: Final = "/actors/v2/pipelinejobs-manager"
IDS: Final = Identifiers()
# The pipeline Jobs Demo of spec/pipelinejobs 11.2, and what 11.3 pins of its jobs.
DEMO: Final = {
    "name": "Jobs Demo",
    "id": "sd2e/managedpipelinejob:101",
    "components": [{"id": "D0ZxR0wPLpoJA", "image": "index.docker.io/sd2e/jobs-demo-1:latest", "options": {}}],
}
DEMO_UUID: Final = "106c46ff-8186-5756-a934-071f4497b58d"
SAMPLE: Final = "sample.tacc.20001"
SAMPLE_UUID: Final = "103246e1-bcdf-5b6e-a8dc-4c7e81b91141"
MEASUREMENTS: Final = {
    "measurement.tacc.0xDEADBEEF": "10483e8d-6602-532a-8941-176ce20dd05a",
    "measurement.tacc.0xDEADBEF0": "104dae4d-a677-5991-ae1c-696d2ee9884e",
    "measurement.tacc.0xDEADBEF1": "1041ab3f-5221-5c79-8781-8838dfb6eef9",
}


def put_record(tx: Transaction, kind: RecordKind, identifier: str, parent: str | None = None, **fields: Any) -> str:
    """A record of the catalog; its UUID."""
    field = "name" if kind is RecordKind.FILE else f"{kind}_id"
    uuid = IDS.typed(Kind(kind), identifier)
    links = {"child_of": (parent,)} if parent else {}
    records.upsert(tx, DEV, Record(uuid, kind, {field: identifier, **fields}, links), by=Username("root"), now=CREATED)
    return uuid


def fill_catalog(tx: Transaction) -> None:
    """An experiment, a sample of it, and measurements of that."""
    experiment = put_record(tx, RecordKind.EXPERIMENT, "experiment.tacc.10001")
    sample = put_record(tx, RecordKind.SAMPLE, SAMPLE, experiment)
    for name in MEASUREMENTS:
        put_record(tx, RecordKind.MEASUREMENT, name, sample)


def remember_messages(tx: Transaction) -> None:
    """Keep a copy of all messages, which are gone once they are handled."""
    tx.execute("CREATE TABLE sent (actor_id TEXT, body TEXT)")
    tx.execute(
        "CREATE TRIGGER remember AFTER INSERT ON messages BEGIN INSERT INTO sent VALUES (new.actor_id, new.body); END"
    )


def without_indexer(patch: pytest.MonkeyPatch) -> None:
    """Let messages to the Indexer come to nothing, in daemons that are opened from now on."""
    others = {name: handler for name, handler in HANDLERS.items() if name != INDEXER}
    patch.setattr("abacod.assembly.reactors.HANDLERS", others)


@dataclass
class Jobbing:
    """A served daemon with a catalog and the pipeline DEMO."""

    served: Serving
    user: Client
    overseer: Client
    """Somebody who sees the executions of all others."""
    tenant: TenantId = DEV
    username: Username = ADA

    @classmethod
    async def on(cls, served: Serving, user: Client) -> Jobbing:
        """Fill the catalog and register the pipeline."""
        await served.database.write(fill_catalog)
        await served.database.write(remember_messages)
        await served.daemon.core.system.pipelines.create(DEV, ADA, DEMO)
        return cls(served, user, await served.user("overseer", "abaco_admin"))

    async def job(self, **fields: Any) -> dict[str, Any]:
        """A job of the pipeline: `job`, `token`, `callback`, `created`."""
        body = {"pipeline_uuid": DEMO_UUID, "measurement_id": next(iter(MEASUREMENTS)), **fields}
        answer = await self.user.post("/v3/jobs", json=body)
        assert answer.status in (200, 201), answer
        return dict(answer.result)

    async def event(self, uuid: str, name: str, token: str, **fields: Any) -> Answer:
        """Send an event over HTTP."""
        return await self.user.post(f"/v3/jobs/{uuid}/events", json={"name": name, "token": token, **fields})

    async def shown(self, uuid: str) -> dict[str, Any]:
        """The job as it is."""
        return dict((await self.user.get(f"/v3/jobs/{uuid}", expect=200)).result)

    def admin_token(self) -> str:
        """An administrative token of now."""
        return self.served.daemon.core.system.tokens.administrative()

    async def asked_of_indexer(self) -> list[dict[str, Any]]:
        """The messages that the Indexer has got, oldest first."""

        def look(tx: Transaction) -> list[str]:
            indexer = actors.builtin(tx, DEV, INDEXER)
            assert indexer is not None
            rows = tx.execute("SELECT body FROM sent WHERE actor_id = ? ORDER BY rowid", (indexer.id,))
            return [row["body"] for row in rows]

        return [json.loads(body) for body in await self.served.database.read(look)]

    async def callback(self, url: str, **options: Any) -> tuple[int, str]:
        """Post to a callback URL, without credentials, and wait for what that does."""
        return await self.message(path=URL(url).path_qs, sender=self.served.nobody, **options)

    async def message(
        self, *, query: str = "", path: str | None = None, sender: Client | None = None, **options: Any
    ) -> tuple[int, str]:
        """Send the Jobs Manager a message and wait for its execution: exit code and log."""
        client = self.overseer if sender else self.user
        path = path or f"{MANAGER}/messages{query}"
        sent = await (sender or self.user).post(path, **options, expect=200)
        ended = await self.served.until_ended(client, "pipelinejobs-manager", sent.result["executionId"])
        path = f"/v3/actors/pipelinejobs-manager/executions/{sent.result['executionId']}/logs"
        log = (await client.get(path, expect=200)).result["logs"]
        assert ended["status"] == "COMPLETE", ended
        return ended["exit_code"], log
