"""Messages that are on disk when they are answered, beside a handler that stores nothing.

The actor's image does not exist, so its messages wait and no container runs. Both servers are asked by the same sender,
which shares the machine with them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Final

from bench.bare import bare_server
from bench.load import load
from bench.measure import Bench, Line, Measure, in_turn, least, most

CONNECTIONS: Final = 64
_REPETITIONS: Final = 7
# Length of one repetition, in seconds.
_SECONDS: Final = 2.0
NO_IMAGE: Final = "localhost:1/abacod-bench/none"
"""An address where nothing listens: the image is missing at once, and no registry is asked."""
# 1 KB of JSON, in bytes.
_SIZE: Final = 1024
_FRAME: Final = len(json.dumps({"text": ""}))
BODY: Final = json.dumps({"text": "x" * (_SIZE - _FRAME)}).encode()
"""A message of 1 KB of JSON."""


async def _run(bench: Bench) -> Sequence[Line]:
    async with bench.daemon() as server:
        actor = await server.register(NO_IMAGE, "ERROR")
        request = server.request("POST", f"/{actor}/messages", BODY)
        ask = partial(load, request=request, connections=CONNECTIONS, seconds=_SECONDS)
        with bare_server() as bare_port:
            durable, bare = await in_turn(_REPETITIONS, partial(ask, server.port), partial(ask, bare_port))
    floor = "aiohttp handler that stores nothing"
    what = f"durable `POST` of 1 KB of JSON with a token, {CONNECTIONS} connections"
    return [
        Line(f"{what}, messages/s", [each.rate for each in durable], least(0.4), floor, [each.rate for each in bare]),
        Line(
            f"{what}, 99th percentile, ms",
            [each.percentile(99) * 1000 for each in durable],
            most(50, of="value"),
            floor,
            [each.percentile(99) * 1000 for each in bare],
        ),
    ]


MEASURE: Final = Measure("posts", 120, _run)
