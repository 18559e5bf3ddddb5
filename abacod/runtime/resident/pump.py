"""The output of a resident process, which comes through a named pipe, and whose execution it belongs to."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import Final

from abacod.runtime.run import RunSink

_PIECE: Final = 1_048_576


class Pump:
    """Reads the pipe as long as it is open, so that nobody who writes has to wait; all goes to the sink of the moment.

    What a process wrote before it answered is in the pipe when the answer comes. So `finish` loses no byte of an execution,
    and takes none of the next one.
    """

    def __init__(self, pipe: Path) -> None:
        """Open the pipe; raises `OSError`."""
        self._pipe = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._sink: RunSink | None = None
        self._turn = asyncio.Lock()
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def begin(self, sink: RunSink, *, with_past: bool) -> None:
        """Give the sink what comes from now on; `with_past` also what is in the pipe already, which else is dropped."""
        if not with_past:
            await self._take(self._waiting())
        self._failure = None
        self._sink = sink
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"output {self._pipe}")

    async def finish(self) -> None:
        """Hand on what has been written up to now, and nothing more; raises what the sink raised."""
        async with self._turn:
            await self._hand_on(self._waiting())
            self._sink = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Stop and close the pipe; what is in it is lost."""
        if self._closed:
            return
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        asyncio.get_running_loop().remove_reader(self._pipe)
        os.close(self._pipe)

    async def _run(self) -> None:
        while True:
            await self._readable()
            await self._take(_PIECE)

    async def _take(self, most: int) -> None:
        async with self._turn:
            await self._hand_on(most)

    async def _hand_on(self, most: int) -> None:
        """Read up to so many bytes; what nobody wants is dropped."""
        while most > 0 and not self._closed:
            try:
                data = os.read(self._pipe, min(most, _PIECE))
            except BlockingIOError:
                return
            most -= len(data)
            if self._sink is None or self._failure is not None:
                continue
            try:
                await self._sink.log(data)
            except Exception as error:  # noqa: BLE001 - raised by `finish`, where it costs the execution
                self._failure = error

    def _waiting(self) -> int:
        """How many bytes are in the pipe; what is written behind them is somebody else's."""
        counted = bytearray(4)
        with suppress(OSError):
            fcntl.ioctl(self._pipe, termios.FIONREAD, counted)
        return int.from_bytes(counted, sys.byteorder)

    async def _readable(self) -> None:
        stir = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pipe, stir.set)
        try:
            await stir.wait()
        finally:
            if not self._closed:
                loop.remove_reader(self._pipe)
