"""An engine for Tapis with all that it consists of, as the daemon has it."""

from __future__ import annotations

from typing import Any, Final

from abacod.config import WebhookSettings
from abacod.config_batch import TapisSettings
from abacod.services.batch.tapis import TapisEngine
from abacod.services.batch.tapis_client import TapisClient
from abacod.services.batch.tapis_watch import TapisWatch
from abacod.services.webhooks import Webhooks
from abacod.store.database import Database
from tests.abacod.services.batch.tapis_service import USER, TapisService
from tests.factories import OWNER, TENANT
from tests.fakes import FakeClock
from tests.harness import SEAL

DEFINITION: Final[dict[str, Any]] = {
    "name": "count",
    "appId": "wordcount-0.1.0",
    "inputs": {"text": "agave://data.tacc.cloud/examples/a b.txt"},
    "parameters": {"pattern": "a+", "DEBUG": True},
    "maxRunTime": "00:15:30",
    "archive": True,
    "archiveSystem": "data-sd2e-community",
    "archivePath": "/products/v2/1061/adept-dog",
}


class Bench:
    """Client, watch and engine, on one database."""

    def __init__(self, service: TapisService, database: Database, clock: FakeClock, **given: Any) -> None:
        login = {"username": USER[0], "password": USER[1]} if "token" not in given else {}
        settings = TapisSettings.model_validate({"base_url": service.base_url, "timeout_seconds": 5, **login, **given})
        self.clock = clock
        self.client = TapisClient(settings, clock)
        post = Webhooks(WebhookSettings(timeout_seconds=1)).post
        self.watch = TapisWatch(self.client, database, SEAL, settings, clock, post=post)
        self.engine = TapisEngine(self.client, self.watch, database, clock)

    async def submit(self, key: str = "key", **changes: Any) -> str:
        """The id of the job that the definition with these changes makes."""
        return (await self.engine.submit(TENANT, OWNER, {**DEFINITION, **changes}, key)).id

    async def look(self, seconds: float = 10) -> None:
        """Let time pass, and look at the jobs that are due then."""
        await self.clock.advance(seconds)
        await self.watch.run_once()
