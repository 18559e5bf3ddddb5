"""Messages a second that are on disk when they are answered, beside a handler that stores nothing.

The actor's image does not exist, so its messages wait and no container runs. Both servers are asked by the same sender,
which shares the machine with them.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Final

from aiohttp import web

from bench.daemon import Server
from bench.table import Row

CONNECTIONS: Final = 64
_REPETITIONS: Final = 5
# Length of one repetition, and of the one before the first, which does not count; in seconds.
_SECONDS: Final = 3.0
_WARM_UP: Final = 1.0
# An address where nothing listens: the image is missing at once, and no registry is asked.
_NO_IMAGE: Final = "localhost:1/abacod-bench/none"
# 1 KB of JSON, in bytes.
_SIZE: Final = 1024
_FRAME: Final = len(json.dumps({"text": ""}))
_BODY: Final = json.dumps({"text": "x" * (_SIZE - _FRAME)}).encode()


async def measure(server: Server) -> Row:
    """Both in turn."""
    actor = await server.register(_NO_IMAGE, "ERROR")
    path = f"/v3/actors/{actor}/messages"
    durable, bare = [], []
    with _bare_server() as bare_port:
        for seconds in (_WARM_UP, *[_SECONDS] * _REPETITIONS):
            durable.append(await _rate(server.port, _request(path, server.token), seconds))
            bare.append(await _rate(bare_port, _request(path, server.token), seconds))
    await server.call("DELETE", f"/{actor}")
    what = f"`POST` of a 1 KB JSON message with a token, {CONNECTIONS} connections, messages/s"
    return Row(what, durable[1:], "aiohttp handler that stores nothing", bare[1:])


def _request(path: str, token: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Tapis-Token: {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    )
    return head.encode() + _BODY


async def _rate(port: int, request: bytes, seconds: float) -> float:
    """Requests answered with 200 in a second, by all connections together."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    counts = await asyncio.gather(*(_send(port, request, begun + seconds) for _ in range(CONNECTIONS)))
    return sum(counts) / (loop.time() - begun)


async def _send(port: int, request: bytes, until: float) -> int:
    """One connection: the next request goes out when the last one is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    loop = asyncio.get_running_loop()
    answered = 0
    try:
        while loop.time() < until:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
            if not head.startswith(b"http/1.1 200"):
                raise RuntimeError(f"A message was refused: {body.decode()}")
            answered += 1
    finally:
        writer.close()
        await writer.wait_closed()
    return answered


# --- the server that stores nothing ------------------------------------------------------------------------------------


@contextmanager
def _bare_server() -> Iterator[int]:
    """The port of a server in a process of its own."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    process = spawning.Process(target=_serve_bare, args=(there,), daemon=True)
    process.start()
    try:
        yield int(here.recv())
    finally:
        process.terminate()
        process.join()


def _serve_bare(told: Connection) -> None:
    asyncio.run(_serve(told))


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
