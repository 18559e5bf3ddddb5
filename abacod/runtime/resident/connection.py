"""A kept-open connection to a resident process: one request, one answer."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from abacod.runtime.resident.contract import Head, NoAnswer, chunk_length, read_head

_HEAD_END: Final = b"\r\n\r\n"
_LARGEST_HEAD: Final = 65_536
# Of a body that is longer only the length is told. In bytes.
_KEPT: Final = 1_048_576
_ENOUGH: Final = 262_144
_PIECE: Final = 262_144


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `content` is the beginning of its body, `length` counts all of it."""

    head: Head
    content: bytes
    length: int


class Connection(asyncio.Protocol):
    """See the module. Whatever keeps an answer from being whole is a `NoAnswer`, after which the connection is of no use."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lost = asyncio.Event()
        self._stir = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def opened(cls, path: Path) -> Connection | None:
        """A connection to the socket at `path`; None if there is none, or nobody takes connections yet.

        The file is a container's: what it links to is not followed.
        """
        try:
            place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if not stat.S_ISSOCK(os.fstat(place).st_mode):
                connected.close()
                return None
            connected.setblocking(False)
            # Not by its path, which may have become another's, or longer than the 108 bytes of an address.
            connected.connect(f"/proc/self/fd/{place}")
        except OSError:
            connected.close()
            return None
        finally:
            os.close(place)
        _, connection = await asyncio.get_running_loop().create_unix_connection(cls, sock=connected)
        return connection

    @property
    def usable(self) -> bool:
        """Whether a request may be sent: it is open, and nothing has come that nobody asked for."""
        return not (self._lost.is_set() or self._buffer)

    @property
    def lost(self) -> bool:
        """Whether it is closed."""
        return self._lost.is_set()

    def close(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, head: bytes, message: bytes | Path) -> Answer:
        """Send a request whose message is there or in a file, and read the answer; raises `NoAnswer` and `OSError`."""
        transport = self._open_transport()
        sending = None
        if isinstance(message, Path):
            transport.write(head)
            sending = asyncio.create_task(self._send_file(message), name=f"send {message.name}")
        else:
            transport.write(head + message)
        try:
            return await self._answer()
        finally:
            if sending is not None:
                sending.cancel()

    # --- the protocol's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._buffer += data
        if len(self._buffer) > _ENOUGH:
            self._open_transport().pause_reading()
        self._stir.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._lost.set()
        self._stir.set()
        self._writable.set()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writable.set()

    # --- how

    def _open_transport(self) -> asyncio.Transport:
        if self._transport is None:
            raise NoAnswer("The connection is not open.")
        return self._transport

    async def _send_file(self, path: Path) -> None:
        transport = self._open_transport()
        with path.open("rb") as file:
            while not self._lost.is_set() and (piece := await asyncio.to_thread(file.read, _PIECE)):
                transport.write(piece)
                await self._writable.wait()

    async def _answer(self) -> Answer:
        head = read_head(await self._until(_HEAD_END, _LARGEST_HEAD))
        body = bytearray()
        length = 0
        if head.chunked:
            while size := chunk_length(await self._until(b"\r\n", _LARGEST_HEAD)):
                length += await self._bytes(size, body)
                await self._until(b"\r\n", 2)
            while await self._until(b"\r\n", _LARGEST_HEAD):
                pass
        else:
            length = await self._bytes(head.length, body)
        if not head.keeps:
            self.close()
            self._lost.set()
        return Answer(head, bytes(body), length)

    async def _until(self, end: bytes, most: int) -> bytes:
        """What comes before `end`, which is taken as well."""
        searched = 0
        while (at := self._buffer.find(end, searched)) < 0:
            searched = max(0, len(self._buffer) - len(end))
            if len(self._buffer) > most:
                raise NoAnswer("The answer has a head that does not end.")
            if not await self._more():
                what = "closed the connection in the midst of an answer" if self._buffer else "gave no answer"
                raise NoAnswer(f"The process {what}.")
        if at > most:
            raise NoAnswer("The answer has a head that does not end.")
        found = bytes(self._buffer[:at])
        del self._buffer[: at + len(end)]
        return found

    async def _bytes(self, size: int | None, body: bytearray) -> int:
        """Put so many bytes to the body, as far as there is room; all to the end of the connection for None."""
        taken = 0
        while size is None or taken < size:
            if not self._buffer and not await self._more():
                if size is None:
                    return taken
                raise NoAnswer("The process closed the connection in the midst of an answer.")
            piece = self._buffer if size is None else self._buffer[: size - taken]
            count = len(piece)
            body += piece[: max(0, _KEPT - len(body))]
            del self._buffer[:count]
            taken += count
        return taken

    async def _more(self) -> bool:
        """Wait for more to read; False if nothing will come."""
        if self._lost.is_set():
            return False
        transport = self._open_transport()
        self._stir.clear()
        if not transport.is_reading() and not transport.is_closing():
            transport.resume_reading()
        await self._stir.wait()
        return not self._lost.is_set() or bool(self._buffer)
