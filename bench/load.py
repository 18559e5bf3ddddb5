"""The sender of requests: as many connections as wanted, each with one request at a time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """What a load saw: how long each answer took, in seconds, in ascending order, and how long all of it took."""

    latencies: list[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """The latency that so many percent of the answers did not exceed, in seconds."""
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * percent / 100))]


async def load(port: int, request: bytes, *, connections: int, seconds: float) -> Load:
    """Send the same request again and again.

    Raises:
        RuntimeError: one was not answered with 200.
    """
    began = time.perf_counter()
    each = await asyncio.gather(*(_send(port, request, began + seconds) for _ in range(connections)))
    return Load(sorted(latency for latencies in each for latency in latencies), time.perf_counter() - began)


async def _send(port: int, request: bytes, until: float) -> list[float]:
    """One connection: the next request goes out when the last one is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    latencies = []
    try:
        while (began := time.perf_counter()) < until:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
            latencies.append(time.perf_counter() - began)
            if not head.startswith(b"http/1.1 200"):
                raise RuntimeError(f"A request was refused: {body.decode()}")
    finally:
        writer.close()
        await writer.wait_closed()
    return latencies
