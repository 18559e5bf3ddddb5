"""What one would do without abacod: Celery with Redis, and a task that runs a container with docker-py."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.cold import IMAGE, messages, rate
from bench.daemon import Server
from bench.measure import Bench, Line, Measure, NotPossibleHere, in_turn, least
from bench.warm import waited_for

_REPETITIONS: Final = 3
_AT_ONCE: Final = 2
_RUNS: Final = 8
_WARM_RUNS: Final = 200
# How long Redis and Celery may take to answer, and a task to be done, in seconds.
_START_LIMIT: Final = 30.0
_LOOK: Final = 0.1


async def _run(bench: Bench) -> Sequence[Line]:
    async with bench.daemon() as server:
        cold = await _actor(server)
        warm = await _actor(server, hints=["warm"])
        with celery(bench.folder(), _AT_ONCE) as broker:
            fresh, reused, theirs = await in_turn(
                _REPETITIONS,
                partial(rate, _RUNS, partial(messages, server, cold, _RUNS)),
                partial(rate, _WARM_RUNS, partial(waited_for, server, warm, _WARM_RUNS)),
                partial(rate, _RUNS, partial(tasks, broker, _RUNS)),
            )
    floor = "Celery, Redis and docker-py `containers.run`"
    return [
        Line(f"cold executions of `{IMAGE}`, {_AT_ONCE} at a time, executions/s", fresh, least(2), floor, theirs),
        Line(f"executions of a `warm` actor, {_AT_ONCE} at a time, executions/s", reused, least(50), floor, theirs),
    ]


async def _actor(server: Server, **properties: object) -> str:
    actor = await server.register(IMAGE, "READY", max_workers=_AT_ONCE, **properties)
    await server.workers(actor, _AT_ONCE)
    return actor


@contextmanager
def celery(folder: Path, at_once: int) -> Iterator[str]:
    """A broker and a worker with so many processes; the broker's URL.

    Raises:
        NotPossibleHere: Redis or Celery is not installed.
    """
    redis = shutil.which("redis-server")
    if redis is None:
        raise NotPossibleHere("redis-server is not installed (Debian: apt-get install redis-server).")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    broker = f"redis://127.0.0.1:{port}/0"
    started = []
    try:
        given = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "no"]
        started.append(subprocess.Popen([redis, *given], stdout=subprocess.DEVNULL))
        worker = ["-m", "celery", "-A", "bench.celery_task", "-b", broker, "--result-backend", broker, "worker"]
        options = ["--concurrency", str(at_once), "--loglevel", "ERROR", "--without-gossip", "--without-mingle"]
        with (folder / "celery.log").open("w") as log:
            command = [sys.executable, *worker, *options, "--prefetch-multiplier", "1"]
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
        yield broker
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


async def tasks(broker: str, count: int) -> None:
    """So many tasks, until all have their result."""
    await asyncio.to_thread(_tasks, broker, count)


def _tasks(broker: str, count: int) -> None:
    # Only here: nothing else needs what the group `bench` installs.
    try:
        from bench.celery_task import app, run_container  # noqa: PLC0415 - see above
    except ImportError as error:
        raise NotPossibleHere(f"{error}; install the dependency group `bench`.") from error
    app.conf.update(broker_url=broker, result_backend=broker)
    give_up = time.monotonic() + _START_LIMIT
    while True:
        try:
            results = [run_container.delay() for _ in range(count)]
            break
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(_LOOK)
    for result in results:
        result.get(timeout=_START_LIMIT)


MEASURE: Final = Measure("do-it-yourself", 180, _run)
