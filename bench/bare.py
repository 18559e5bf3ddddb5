"""The least server: an aiohttp handler in a process of its own that reads a message, answers the same and stores nothing."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection

from aiohttp import web


@contextmanager
def own_process(serve: Callable[..., Coroutine[None, None, None]], *given: object) -> Iterator[int]:
    """The port of a server in a process of its own, which `serve` tells through the connection that it gets before `given`."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    process = spawning.Process(target=_run, args=(serve, there, *given), daemon=True)
    process.start()
    try:
        yield int(here.recv())
    finally:
        process.terminate()
        process.join()


def bare_server() -> AbstractContextManager[int]:
    """The port of the least server."""
    return own_process(_serve)


def _run(serve: Callable[..., Coroutine[None, None, None]], *given: object) -> None:
    asyncio.run(serve(*given))


async def _serve(told: Connection) -> None:
    app = web.Application()
    app.router.add_post("/v3/actors/{actor}/messages", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    told.send(runner.addresses[0][1])
    await asyncio.Event().wait()


async def _answer(request: web.Request) -> web.Response:
    """The envelope that abacod answers, with ids that stand for nothing."""
    message = json.loads(await request.text())
    actor = f"http://127.0.0.1:8000/v3/actors/{request.match_info['actor']}"
    result = {
        "execution_id": "kA1P1m8NkkolK",
        "executionId": "kA1P1m8NkkolK",
        "msg": message,
        "_links": {
            "self": f"{actor}/executions/kA1P1m8NkkolK",
            "owner": "http://127.0.0.1:8000/v3/oauth2/profiles/bench",
            "messages": f"{actor}/messages",
        },
    }
    body = {"message": "The request was successful", "result": result, "status": "success", "version": "0.1.0"}
    return web.json_response(body)
