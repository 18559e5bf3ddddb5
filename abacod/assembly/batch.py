"""Apps and batch jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from abacod.clock import Clock
from abacod.config import Settings
from abacod.ids import Username
from abacod.queue.mailboxes import Mailboxes
from abacod.runtime.run import Runtime
from abacod.services.batch.agave import AgaveEngine
from abacod.services.batch.driver import DriverTools
from abacod.services.batch.engine import BatchEngine
from abacod.services.batch.engines import Engines
from abacod.services.batch.local import LocalEngine, Places
from abacod.services.batch.notifications import Notifications
from abacod.services.batch.tapis import TapisEngine
from abacod.services.batch.tapis_client import TapisClient
from abacod.services.batch.tapis_watch import TapisWatch
from abacod.services.batch.work import Work
from abacod.services.engine_watch import EngineWatch
from abacod.services.events import Events
from abacod.services.executions import Executions
from abacod.services.executor import Executor
from abacod.services.news import News
from abacod.services.sealing import Seal
from abacod.services.storage.systems import Systems
from abacod.services.webhooks import Webhooks
from abacod.store.database import Database


@dataclass(frozen=True, slots=True)
class Batch:
    """What runs batch jobs: `engines` is all of them together."""

    engines: Engines
    local: LocalEngine
    notifications: Notifications
    tapis: TapisWatch | None
    """Follows jobs at Tapis, if that is set up."""

    def close(self) -> None:
        """Let go of other services; what runs there goes on."""
        if self.tapis is not None:
            self.tapis.close()


@dataclass(frozen=True, slots=True)
class Ground:
    """What batch jobs stand on."""

    database: Database
    runtime: Runtime
    engine: EngineWatch
    executor: Executor
    mailboxes: Mailboxes
    events: Events
    news: News
    seal: Seal
    systems: Systems
    work: Work


def make_batch(settings: Settings, clock: Clock, ground: Ground) -> Batch:
    """The engines for batch jobs."""
    local = settings.batch.local
    notifications = Notifications(
        ground.database,
        ground.seal,
        Webhooks(settings.webhooks),
        clock,
        local,
        public_url=settings.public_url,
        own_url=own_url(settings.server.host, settings.server.port),
    )

    def spawn(errand: Coroutine[Any, Any, None], name: str) -> None:
        engine.spawn(errand, name)

    executions = Executions(
        ground.database,
        ground.mailboxes,
        ground.executor,
        clock,
        ground.events,
        news=ground.news,
        list_limit=settings.server.list_limit,
        spawn=spawn,
    )
    tools = DriverTools(
        ground.database,
        ground.runtime,
        ground.engine,
        ground.mailboxes,
        ground.news,
        notifications,
        ground.work,
        clock,
        copies=asyncio.Semaphore(local.parallel_copies),
        actor_owner=Username(settings.pipelines.owner),
        executions=executions,
    )
    engine = LocalEngine(tools, Places(ground.systems, settings.pipelines.default_system, settings.public_url))
    engines: dict[str, BatchEngine] = {"local": engine}
    if settings.batch.agave.base_url:
        engines["agave"] = AgaveEngine(settings.batch.agave, ground.database, clock)
    watch = None
    if settings.batch.tapis.base_url:
        client = TapisClient(settings.batch.tapis, clock)
        watch = TapisWatch(client, ground.database, ground.seal, settings.batch.tapis, clock, post=notifications.post)
        engines["tapis"] = TapisEngine(client, watch, ground.database, clock)
    return Batch(Engines(ground.database, engines, settings.batch.engine), engine, notifications, watch)


def own_url(host: str, port: int) -> str:
    """Where the daemon reaches itself, when it listens on this address."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - not to listen there
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
