"""The life of the daemon: opens it, runs it until it is asked to stop, and takes it down in order."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
import uvloop
from aiohttp import web

from abacod import __version__, logs
from abacod.assembly.core import Core, make_actors, make_core, recover, register_builtins, start_upkeep
from abacod.assembly.door import BACKLOG, Door
from abacod.assembly.web import make_web
from abacod.clock import Clock, SystemClock
from abacod.config import Settings, engine_environment
from abacod.errors import ConfigError
from abacod.metrics import Metrics
from abacod.notify import DescriptorStore, Notifier
from abacod.runtime.docker import DockerRuntime
from abacod.runtime.resident.runtime import ResidentRuntime
from abacod.runtime.results import KEPT
from abacod.runtime.run import Runtime
from abacod.runtime.warm.runtime import WarmRuntime
from abacod.services.loops import Background
from abacod.services.mounts import parse_mount
from abacod.store import facts
from abacod.store.database import Database
from abacod.store.datadir import held

# How long open requests may go on once the daemon stops, in seconds.
_HTTP_SHUTDOWN: Final = 5.0

_log = structlog.get_logger()

MakeRuntime = Callable[[str], Runtime]
"""Makes the runtime for a data directory, given its instance id."""


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
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


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
    store = DescriptorStore.from_environment(notifier, KEPT)
    clock = SystemClock()
    async with opened(settings, clock, partial(_docker_runtime, settings, clock, store)):
        spare_the_collector()
        notifier.ready()
        if notifier.watchdog_interval:
            await _feed_watchdog(notifier, notifier.watchdog_interval, stop)
        await stop.wait()
        _log.info("stopping", drain_seconds=settings.server.drain_seconds)
        notifier.stopping()
    _log.info("stopped")


def spare_the_collector() -> None:
    """Keep Python's garbage collector from looking again and again at all that a start has made and that stays.

    A full look at it takes 70 ms on a small machine, in which nothing is answered.
    """
    gc.collect()
    gc.freeze()


async def _feed_watchdog(notifier: Notifier, interval: float, stop: asyncio.Event) -> None:
    while not stop.is_set():
        notifier.alive()
        try:
            async with asyncio.timeout(interval):
                await stop.wait()
        except TimeoutError:
            continue


def _docker_runtime(settings: Settings, clock: Clock, store: DescriptorStore, instance: str) -> ResidentRuntime:
    containers = DockerRuntime(
        settings.engine,
        settings.runs,
        clock,
        instance=instance,
        environment=engine_environment(),
        runs_dir=settings.runs_dir,
        store=store,
        workers=settings.workers,
        workers_dir=settings.workers_dir,
    )
    warm = WarmRuntime(
        containers, settings.workers, settings.runs, clock, instance=instance, workers_dir=settings.workers_dir
    )
    return ResidentRuntime(
        warm,
        containers,
        settings.workers,
        settings.runs,
        clock,
        instance=instance,
        residents_dir=settings.residents_dir,
    )


@asynccontextmanager
async def opened(settings: Settings, clock: Clock, make_runtime: MakeRuntime) -> AsyncIterator[Daemon]:
    """Open the daemon; on leaving, stop it in order: workers, events, requests, upkeep, the engine's client, the database.

    Raises:
        ConfigError: the settings, the data directory or the address cannot be used.
    """
    for text in (*settings.runs.mounts, *settings.runs.privileged_mounts):
        parse_mount(text)
    async with AsyncExitStack() as stack:
        directories = (
            settings.data_dir,
            settings.messages_dir,
            settings.runs_dir,
            settings.workers_dir,
            settings.residents_dir,
            settings.work_dir,
        )
        stack.enter_context(held(settings.lock_path, *directories, *settings.own_system_roots))
        listener = stack.enter_context(_listener(settings.server.host, settings.server.port))
        settings = _with_bound_port(settings, listener)
        metrics = Metrics()
        database = Database(settings.database_path, settings.store, metrics.committed)
        await database.open()
        stack.push_async_callback(database.close)
        runtime = make_runtime(await database.write(facts.instance_id))
        stack.push_async_callback(runtime.close)
        daemon = await stack.enter_async_context(_running(settings, clock, metrics, database, runtime, listener))
        _log.info("serving", url=daemon.url, version=__version__, data_dir=str(settings.data_dir))
        yield daemon


@asynccontextmanager
async def _running(
    settings: Settings, clock: Clock, metrics: Metrics, database: Database, runtime: Runtime, listener: socket.socket
) -> AsyncIterator[Daemon]:
    door = Door(listener, may_listen=settings.server.listen_for_containers)
    core = make_core(settings, clock, metrics, database, runtime, door.open)
    await core.recovery.remove_files()
    await register_builtins(settings, clock, core)
    await core.mailboxes.load()
    async with asyncio.TaskGroup() as group:
        background = Background(group)
        actors = make_actors(settings, clock, core, background)
        start_upkeep(settings, clock, core, background)
        background.start(recover(core.recovery, actors), "recovery")
        runner = web.ServerRunner(make_web(settings, clock, core, actors, background), shutdown_timeout=_HTTP_SHUTDOWN)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        await door.lead_to(runner)
        try:
            yield Daemon(settings.public_url, core)
        finally:
            # Both while requests are served: containers that end may call this daemon, and webhooks may be its own addresses.
            await core.batch.local.drain()
            await asyncio.gather(
                core.pools.drain(settings.server.drain_seconds), core.events.drain(), core.batch.notifications.drain()
            )
            await door.close()
            # Those that wait for executions would keep the server for long.
            core.news.close()
            await runner.cleanup()
            background.cancel()
            core.batch.close()


def _listener(host: str, port: int) -> socket.socket:
    """A bound socket. Bound before anything else is opened, so that a taken port changes nothing on disk."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(f"Cannot listen on {host} port {port}: {error.strerror or error}.") from error


def _with_bound_port(settings: Settings, listener: socket.socket) -> Settings:
    """The settings with the port that the system chose, where 0 was asked for."""
    port = listener.getsockname()[1]
    return settings.model_copy(update={"server": settings.server.model_copy(update={"port": port})})
