"""Where the parts meet: builds the daemon, runs it until it is asked to stop, and takes it down in order."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from aiohttp import web

from abacod import __version__, logs
from abacod.api.actors import ActorsApi
from abacod.api.executions import ExecutionsApi
from abacod.api.health import HealthApi
from abacod.api.identity import IdentityApi
from abacod.api.messages import MessagesApi
from abacod.api.permissions import PermissionsApi
from abacod.api.reply import Replies
from abacod.api.router import Router
from abacod.api.routes import Handlers, actor_routes, other_routes
from abacod.api.server import Entry, application
from abacod.api.workers import WorkersApi
from abacod.clock import Clock, SystemClock
from abacod.config import Settings, engine_environment
from abacod.errors import ConfigError
from abacod.notify import Notifier
from abacod.queue.mailboxes import Mailboxes
from abacod.runtime.docker import DockerRuntime
from abacod.runtime.run import Runtime
from abacod.services.access import Access
from abacod.services.accounts import Accounts
from abacod.services.actors import Actors
from abacod.services.autoscaler import Autoscaler
from abacod.services.engine_watch import EngineWatch
from abacod.services.executions import Executions
from abacod.services.executor import Executor
from abacod.services.janitor import Janitor
from abacod.services.loops import Background, Periodic
from abacod.services.messages import Messages
from abacod.services.mounts import parse_mount
from abacod.services.pools import Pools
from abacod.services.recovery import Recovery
from abacod.services.settle import Settlement
from abacod.services.sharing import Sharing
from abacod.services.status import Status
from abacod.services.tokens import SigningKey, Tokens
from abacod.services.workers import Workers
from abacod.store import facts
from abacod.store.database import Database
from abacod.store.datadir import held

# Pauses between two rounds of upkeep, in seconds.
_JANITOR_INTERVAL: Final = 60.0
_SWEEP_INTERVAL: Final = 60.0
# How long open requests may go on once the daemon stops, in seconds.
_HTTP_SHUTDOWN: Final = 5.0

# Connections the kernel keeps waiting while the daemon is busy, in connections.
_BACKLOG: Final = 1024

_log = structlog.get_logger()

MakeRuntime = Callable[[str], Runtime]
"""Makes the runtime for a data directory, given its instance id."""


@dataclass(frozen=True, slots=True)
class Core:
    """The parts that run messages."""

    database: Database
    tokens: Tokens
    mailboxes: Mailboxes
    engine: EngineWatch
    executor: Executor
    pools: Pools
    recovery: Recovery


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon. `url` is its public address."""

    url: str
    core: Core


def serve(settings: Settings) -> None:
    """Run the daemon until SIGTERM or SIGINT; a second signal ends it at once, leaving containers to the next start.

    Raises:
        ConfigError: the settings, the data directory or the address cannot be used.
    """
    logs.configure(settings.daemon_log.level, settings.daemon_log.style)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    this_task = asyncio.current_task()

    def asked_to_stop() -> None:
        if stop.is_set() and this_task:
            this_task.cancel()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop)
    notifier = Notifier.from_environment()
    clock = SystemClock()
    async with opened(settings, clock, partial(_docker_runtime, settings, clock)):
        notifier.ready()
        if notifier.watchdog_interval:
            await _feed_watchdog(notifier, notifier.watchdog_interval, stop)
        await stop.wait()
        _log.info("stopping", drain_seconds=settings.server.drain_seconds)
        notifier.stopping()
    _log.info("stopped")


async def _feed_watchdog(notifier: Notifier, interval: float, stop: asyncio.Event) -> None:
    while not stop.is_set():
        notifier.alive()
        try:
            async with asyncio.timeout(interval):
                await stop.wait()
        except TimeoutError:
            continue


def _docker_runtime(settings: Settings, clock: Clock, instance: str) -> DockerRuntime:
    return DockerRuntime(settings.engine, settings.runs, clock, instance=instance, environment=engine_environment())


@asynccontextmanager
async def opened(settings: Settings, clock: Clock, make_runtime: MakeRuntime) -> AsyncIterator[Daemon]:
    """Open the daemon; on leaving, stop it in order: requests, upkeep, workers, the engine's client, the database.

    Raises:
        ConfigError: the settings, the data directory or the address cannot be used.
    """
    for text in (*settings.runs.mounts, *settings.runs.privileged_mounts):
        parse_mount(text)
    async with AsyncExitStack() as stack:
        stack.enter_context(held(settings.lock_path, settings.data_dir, settings.messages_dir))
        listener = stack.enter_context(_listener(settings.server.host, settings.server.port))
        settings = _with_bound_port(settings, listener)
        database = Database(settings.database_path, settings.store)
        await database.open()
        stack.push_async_callback(database.close)
        runtime = make_runtime(await database.write(facts.instance_id))
        stack.push_async_callback(runtime.close)
        daemon = await stack.enter_async_context(_running(settings, clock, database, runtime, listener))
        _log.info("serving", url=daemon.url, version=__version__, data_dir=str(settings.data_dir))
        yield daemon


@asynccontextmanager
async def _running(
    settings: Settings, clock: Clock, database: Database, runtime: Runtime, listener: socket.socket
) -> AsyncIterator[Daemon]:
    core = _core(settings, clock, database, runtime)
    await core.recovery.remove_files()
    await core.mailboxes.load()
    async with asyncio.TaskGroup() as group:
        background = Background(group)
        actors = _actors(settings, clock, core, background)
        _start_upkeep(settings, clock, core, background)
        background.start(_recover(core.recovery, actors), "recovery")
        runner = web.AppRunner(_web(settings, clock, core, actors, background), shutdown_timeout=_HTTP_SHUTDOWN)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        try:
            yield Daemon(settings.public_url, core)
        finally:
            await runner.cleanup()
            await core.pools.drain(settings.server.drain_seconds)
            background.cancel()


def _core(settings: Settings, clock: Clock, database: Database, runtime: Runtime) -> Core:
    """The parts that run messages."""
    messages_dir = settings.messages_dir
    tokens = Tokens(SigningKey.at(settings.signing_key_path), settings.auth, settings.public_url, clock)
    mailboxes = Mailboxes(database)
    engine = EngineWatch(runtime, settings.engine, clock)
    settlement = Settlement(database, settings.logs, clock, messages_dir)
    executor = Executor(
        database,
        runtime,
        settlement,
        tokens,
        engine,
        runs=settings.runs,
        logs=settings.logs,
        clock=clock,
        api_server=settings.public_url,
        messages_dir=messages_dir,
        style="python" if settings.compat == "abaco" else "json",
    )
    pools = Pools(
        database, mailboxes, executor, runtime, engine, workers=settings.workers, runs=settings.runs, clock=clock
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
    return Core(database, tokens, mailboxes, engine, executor, pools, recovery)


def _actors(settings: Settings, clock: Clock, core: Core, background: Background) -> Actors:
    return Actors(
        core.database,
        core.mailboxes,
        core.pools,
        runs=settings.runs,
        workers=settings.workers,
        clock=clock,
        spawn=background.spawn,
    )


def _start_upkeep(settings: Settings, clock: Clock, core: Core, background: Background) -> None:
    """Start everything that goes on by itself."""
    background.start(core.engine.run(), "engine-watch")
    background.start(core.pools.run(), "pools")
    rounds: list[tuple[str, Callable[[], Awaitable[object]], float]] = [
        ("janitor", Janitor(core.database, clock).run_once, _JANITOR_INTERVAL),
        ("sweep", core.recovery.sweep, _SWEEP_INTERVAL),
    ]
    if settings.workers.autoscaling:
        autoscaler = Autoscaler(core.database, core.mailboxes, core.pools, settings.workers, clock)
        rounds.append(("autoscaler", autoscaler.run_once, settings.workers.autoscaler_seconds))
    for name, run_once, interval in rounds:
        background.start(Periodic(name, run_once, interval, clock).run(), name)


async def _recover(recovery: Recovery, actors: Actors) -> None:
    await recovery.take_up()
    await actors.finish_deletions()


def _web(settings: Settings, clock: Clock, core: Core, actors: Actors, background: Background) -> web.Application:
    """The HTTP side: every handler gets the use-cases it offers."""
    limit = settings.server.max_text_bytes
    replies = Replies(settings.public_url, settings.compat)
    status = Status(core.database, core.engine)
    accounts = Accounts(core.database, core.tokens, settings.auth, clock)
    messages = Messages(
        core.database,
        core.mailboxes,
        clock,
        messages_dir=settings.messages_dir,
        max_binary_bytes=settings.server.max_body_bytes,
    )
    executions = Executions(
        core.database,
        core.mailboxes,
        core.executor,
        clock,
        list_limit=settings.server.list_limit,
        spawn=background.spawn,
    )
    handlers = Handlers(
        actors=ActorsApi(actors, status, replies, max_text_bytes=limit, default_token=settings.runs.default_token),
        messages=MessagesApi(messages, replies, max_text_bytes=limit),
        executions=ExecutionsApi(executions, replies),
        permissions=PermissionsApi(Sharing(core.database), replies, max_text_bytes=limit),
        workers=WorkersApi(
            Workers(core.pools, settings.workers, settings.compat),
            replies,
            max_text_bytes=limit,
            location=settings.engine.url or engine_environment().docker_host or "unix:///var/run/docker.sock",
            host_name=socket.gethostname(),
            host_ip=settings.server.host,
        ),
        identity=IdentityApi(accounts, core.tokens, replies, site_id=settings.auth.site_id, tenants=settings.tenants),
        health=HealthApi(status),
    )
    router = Router(actor_routes(handlers), other_routes(handlers))
    return application(Entry(router, accounts, Access(core.database), replies))


def _listener(host: str, port: int) -> socket.socket:
    """A bound socket. Bound before anything else is opened, so that a taken port changes nothing on disk."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(f"Cannot listen on {host} port {port}: {error.strerror or error}.") from error


def _with_bound_port(settings: Settings, listener: socket.socket) -> Settings:
    """The settings with the port that the system chose, where 0 was asked for."""
    port = listener.getsockname()[1]
    return settings.model_copy(update={"server": settings.server.model_copy(update={"port": port})})
