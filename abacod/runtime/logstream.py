"""The output of a container, as bytes and in order: while it runs by attaching to it, after a lost connection from its log.

The engine frames standard output and standard error: eight bytes of header (stream, length), then that many bytes.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiodocker.stream import Stream
from yarl import URL

from abacod.runtime.engine import Engine
from abacod.runtime.run import RunSink

_HEADER: Final = struct.Struct(">4xL")
"""Before each frame: the stream, which we do not tell apart, and the length."""

Deliver = Callable[[bytes], Awaitable[None]]


class Attachment:
    """A connection that carries the output of one container; see `attached`."""

    def __init__(self, engine: Engine, stream: Stream) -> None:
        self.delivered = 0
        """Bytes handed on so far."""
        self._engine = engine
        self._stream = stream

    async def read(self, sink: RunSink) -> None:
        """Hand on all output until the container closes it or the connection ends; the caller has to tell which.

        Raises `EngineUnavailable` when the connection broke for certain.
        """
        while True:
            with self._engine.translated():
                message = await self._stream.read_out()
            if message is None:
                return
            self.delivered += len(message.data)
            await sink.log(message.data)


@asynccontextmanager
async def attached(engine: Engine, container: str) -> AsyncIterator[Attachment]:
    """Be attached to a container inside the context; before its start, so that not even its first line is missed.

    Raises `EngineUnavailable` or `EngineRefused` on entering.
    """

    async def request() -> tuple[URL, bytes | None, bool]:
        params = {"stdin": "0", "stdout": "1", "stderr": "1", "logs": "0", "stream": "1"}
        return URL(f"containers/{container}/attach").with_query(params), None, False

    with engine.client() as client:
        stream = Stream(client, request)
    try:
        with engine.translated():
            # Returns when the engine has answered, that is: when it is attached.
            await stream.__aenter__()
        yield Attachment(engine, stream)
    finally:
        await stream.close()


async def read_log(engine: Engine, container: str, deliver: Deliver, *, follow: bool) -> int:
    """Hand on a container's log from its beginning; returns its length in bytes.

    With `follow` it goes on until the container ends. Raises `EngineUnavailable` when the connection breaks, and
    `EngineRefused`, e.g. 404 for a container that is gone.
    """
    length = 0
    frames = Frames()
    params = {"stdout": "1", "stderr": "1", "follow": "1" if follow else "0"}
    async with engine.response(f"containers/{container}/logs", params, limited=False) as response:
        while True:
            with engine.translated():
                chunk = await response.content.readany()
            if not chunk:
                return length
            if data := frames.feed(chunk):
                length += len(data)
                await deliver(data)


class Frames:
    """Takes a stream of frames in pieces of any size and gives what is in them; it holds back no more than a header."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        """Bytes that the present frame has still to come."""

    def feed(self, chunk: bytes) -> bytes:
        """The payload in the next piece of the stream."""
        # An engine makes a frame of each line of a log, so that this loop is what reading one costs.
        chunk = self._header + chunk
        at, end = min(self._left, len(chunk)), len(chunk)
        payload = [chunk[:at]]
        self._left -= at
        while not self._left and at + _HEADER.size <= end:
            (length,) = _HEADER.unpack_from(chunk, at)
            at += _HEADER.size
            taken = min(length, end - at)
            payload.append(chunk[at : at + taken])
            at += taken
            self._left = length - taken
        self._header = chunk[at:]
        return b"".join(payload)
