"""The parts that run messages, and those that go on by themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from abacod.assembly.batch import Batch, Ground, make_batch
from abacod.assembly.reactors import PipelineJobs, make_pipeline_jobs, make_runtime
from abacod.clock import Clock
from abacod.config import Settings
from abacod.ids import TenantId
from abacod.metrics import Metrics
from abacod.queue.mailboxes import Mailboxes
from abacod.runtime.run import Runtime
from abacod.services.actors import Actors
from abacod.services.api_server import ApiServer, OpenDoor
from abacod.services.autoscaler import Autoscaler
from abacod.services.batch.plan import planner
from abacod.services.batch.work import Work
from abacod.services.cron import Cron
from abacod.services.engine_watch import EngineWatch
from abacod.services.events import Events
from abacod.services.executor import Executor
from abacod.services.janitor import Janitor
from abacod.services.loops import Background, Periodic
from abacod.services.news import News
from abacod.services.pipelinejobs.builtins import Builtins
from abacod.services.pools import Pools
from abacod.services.recovery import Recovery
from abacod.services.retirement import Retirement
from abacod.services.sealing import Seal
from abacod.services.settle import Settlement
from abacod.services.tokens import SigningKey, Tokens
from abacod.services.webhooks import Webhooks
from abacod.store.database import Database

# Pauses between two rounds of upkeep, in seconds.
_JANITOR_INTERVAL: Final = 60.0
_SWEEP_INTERVAL: Final = 60.0


@dataclass(frozen=True, slots=True)
class Core:
    """The parts that run messages."""

    metrics: Metrics
    database: Database
    tokens: Tokens
    seal: Seal
    mailboxes: Mailboxes
    news: News
    engine: EngineWatch
    api_server: ApiServer
    events: Events
    executor: Executor
    pools: Pools
    recovery: Recovery
    system: PipelineJobs
    batch: Batch


def make_core(
    settings: Settings, clock: Clock, metrics: Metrics, database: Database, runtime: Runtime, open_door: OpenDoor
) -> Core:
    """The parts that run messages."""
    messages_dir = settings.messages_dir
    tokens = Tokens(SigningKey.at(settings.signing_key_path), settings.auth, settings.public_url, clock)
    seal = Seal.at(settings.sealing_key_path)
    mailboxes = Mailboxes(database)
    news = News()
    engine = EngineWatch(runtime, settings.engine, clock)
    system = make_pipeline_jobs(settings, clock, database, seal, mailboxes)
    runtime = make_runtime(settings, clock, database, runtime, system, batch=lambda: batch.engines)
    events = Events(database, mailboxes, Webhooks(settings.webhooks), clock)
    settlement = Settlement(database, settings.logs, clock, events, messages_dir, metrics, news=news)
    api_server = ApiServer(runtime, engine, settings, open_door)
    work = Work(settings.work_dir, system.systems)
    executor = Executor(
        database,
        runtime,
        settlement,
        tokens,
        seal,
        engine,
        news=news,
        runs=settings.runs,
        logs=settings.logs,
        results=settings.results,
        clock=clock,
        api_server=api_server.url,
        messages_dir=messages_dir,
        style="python" if settings.compat == "abaco" else "json",
        plan_of=planner(work, settings.batch.local, settings.runs),
    )
    pools = Pools(
        database,
        mailboxes,
        executor,
        runtime,
        engine,
        events,
        workers=settings.workers,
        runs=settings.runs,
        clock=clock,
    )
    recovery = Recovery(
        database=database,
        runtime=runtime,
        engine=engine,
        mailboxes=mailboxes,
        pools=pools,
        executor=executor,
        settlement=settlement,
        clock=clock,
        messages_dir=messages_dir,
    )
    ground = Ground(database, runtime, engine, executor, mailboxes, events, news, seal, system.systems, work)
    batch = make_batch(settings, clock, ground)
    return Core(
        metrics,
        database,
        tokens,
        seal,
        mailboxes,
        news,
        engine,
        api_server,
        events,
        executor,
        pools,
        recovery,
        system,
        batch,
    )


def make_actors(settings: Settings, clock: Clock, core: Core, background: Background) -> Actors:
    return Actors(
        core.database,
        core.mailboxes,
        core.pools,
        news=core.news,
        runs=settings.runs,
        workers=settings.workers,
        webhooks=settings.webhooks,
        clock=clock,
        spawn=background.spawn,
    )


def start_upkeep(settings: Settings, clock: Clock, core: Core, background: Background) -> None:
    """Start everything that goes on by itself."""
    background.start(core.engine.run(), "engine-watch")
    background.start(core.api_server.run(), "api-server")
    background.start(core.pools.run(), "pools")
    background.start(core.events.run(), "events")
    background.start(core.batch.notifications.run(), "notifications")
    background.start(core.batch.local.run(), "batch")
    cron = Cron(core.database, core.mailboxes, clock)
    rounds: list[tuple[str, Callable[[], Awaitable[object]], Callable[[], float] | float]] = [
        ("janitor", Janitor(core.database, settings.events, clock).run_once, _JANITOR_INTERVAL),
        ("cron", cron.run_once, cron.pause),
        ("sweep", core.recovery.sweep, _SWEEP_INTERVAL),
        ("batch-sweep", core.batch.local.sweep, _SWEEP_INTERVAL),
    ]
    if core.batch.tapis is not None:
        rounds.append(("tapis", core.batch.tapis.run_once, core.batch.tapis.interval))
    if settings.workers.ttl_seconds >= 0:
        retirement = Retirement(core.mailboxes, core.pools, settings.workers, clock)
        rounds.append(("retirement", retirement.run_once, settings.workers.autoscaler_seconds))
    if settings.workers.autoscaling:
        autoscaler = Autoscaler(core.database, core.mailboxes, core.pools, settings.workers, clock)
        rounds.append(("autoscaler", autoscaler.run_once, settings.workers.autoscaler_seconds))
    for name, run_once, interval in rounds:
        background.start(Periodic(name, run_once, interval, clock).run(), name)


async def register_builtins(settings: Settings, clock: Clock, core: Core) -> None:
    """Register the built-in reactors that are missing, in every tenant; before messages are taken."""
    if settings.pipelines.enabled:
        builtins = Builtins(core.database, settings.pipelines, clock)
        for tenant in settings.tenants:
            await builtins.register(TenantId(tenant))


async def recover(recovery: Recovery, actors: Actors) -> None:
    """Take up what an earlier daemon left."""
    await recovery.take_up()
    await actors.finish_deletions()
