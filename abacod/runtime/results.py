"""The sockets on which containers send results (spec/actors-api 4.5, 5.3): one datagram is one result.

Each execution has a directory of its own with the socket in it, and the container sees that directory. A socket cannot be
opened a second time: a later daemon puts a new one in the place of the old one, which it could not do to a mounted file.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

from abacod.errors import StorageUnavailable
from abacod.ids import ExecutionId
from abacod.models.actor import Mount
from abacod.runtime.run import MAX_RESULT_BYTES, RunSink

logger = structlog.get_logger()

SOCKET: Final = "/_abaco_results.sock"
"""Where a container finds the socket."""

DIRECTORY: Final = "/_abaco_run"
"""Where a container finds the directory of the socket."""

_NAME: Final = "results.sock"
SOCKET_IN_DIRECTORY: Final = f"{DIRECTORY}/{_NAME}"

# A container may run as any user (spec/actors-api 5.3).
_FOR_ALL: Final = 0o777
# More than a sender gets through with the kernel's default limits (212992 bytes), to see how much it was. In bytes.
_BUFFER: Final = memoryview(bytearray(262_144))
# Results handed on at once: as many datagrams, or as many bytes.
_MOST_AT_ONCE: Final = 64
_BYTES_AT_ONCE: Final = 4_194_304
# How often dropped results of one execution are logged, so that no container can fill the log.
_LOGGED_DROPS: Final = 10
# How long the results that are on their way may take to the disk when a run is let go, in seconds.
_LETTING_GO: Final = 2.0


class ResultsSockets:
    """The sockets of all executions of one daemon, in directories below `runs_dir`."""

    def __init__(self, runs_dir: Path) -> None:
        self._runs_dir = runs_dir
        self._open: set[ExecutionId] = set()

    def directory_mount(self, execution_id: ExecutionId) -> Mount:
        """The mount of the directory; read-only, which does not keep anybody from sending."""
        return Mount(str(self._runs_dir / execution_id), DIRECTORY, "ro")

    def socket_mount(self, execution_id: ExecutionId) -> Mount:
        """The mount of the socket itself: it works as long as this daemon does."""
        return Mount(str(self._runs_dir / execution_id / _NAME), SOCKET, "ro")

    @asynccontextmanager
    async def made(self, execution_id: ExecutionId, sink: RunSink) -> AsyncIterator[None]:
        """Receive results inside the context, on a socket in a new directory, which goes again if the run fails.

        Raises:
            StorageUnavailable: the socket cannot be made.
        """
        directory = self._runs_dir / execution_id
        try:
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o755)
        except OSError as error:
            raise _unavailable(error) from error
        try:
            async with self._receiving(execution_id, sink):
                yield
        except Exception:
            self.remove(execution_id)
            raise

    @asynccontextmanager
    async def taken_up(self, execution_id: ExecutionId, sink: RunSink) -> AsyncIterator[None]:
        """Receive results inside the context, on a new socket in the directory that an earlier daemon made, if it did.

        Raises:
            StorageUnavailable: the socket cannot be made.
        """
        if not (self._runs_dir / execution_id).is_dir():
            yield
            return
        async with self._receiving(execution_id, sink):
            yield

    def remove(self, execution_id: ExecutionId) -> None:
        """Remove the directory; none is no error."""
        shutil.rmtree(self._runs_dir / execution_id, ignore_errors=True)

    def left(self) -> set[ExecutionId]:
        """The executions that have a directory."""
        with suppress(FileNotFoundError):
            return {ExecutionId(path.name) for path in self._runs_dir.iterdir()}
        return set()

    def remove_others(self, left: set[ExecutionId], wanted: set[ExecutionId]) -> None:
        """Remove those directories of `left` that nobody uses."""
        for execution_id in left - wanted - self._open:
            self.remove(execution_id)

    @asynccontextmanager
    async def _receiving(self, execution_id: ExecutionId, sink: RunSink) -> AsyncIterator[None]:
        self._open.add(execution_id)
        try:
            with _bound(self._runs_dir / execution_id) as bound:
                receiver = _Receiver(execution_id, bound, sink)
                seconds = None
                try:
                    yield
                except asyncio.CancelledError:
                    seconds = _LETTING_GO
                    raise
                finally:
                    await receiver.finish(seconds)
        finally:
            self._open.discard(execution_id)


class _Receiver:
    """Hands on what arrives at one socket, in order; it reads on only once the former results are on disk."""

    def __init__(self, execution_id: ExecutionId, bound: socket.socket, sink: RunSink) -> None:
        self._execution_id = execution_id
        self._socket = bound
        self._sink = sink
        self._ended = False
        self._dropped = 0
        self._stir = asyncio.Event()
        self._task = asyncio.create_task(self._receive(), name=f"results {execution_id}")

    async def finish(self, seconds: float | None) -> None:
        """Hand on what has been sent up to now, within `seconds` if given, and stop; raises what the sink raised."""
        self._ended = True
        self._stir.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._task

    async def _receive(self) -> None:
        while True:
            # Before the look: what was sent before the end is seen by it.
            ended = self._ended
            results = self._read()
            if results:
                await self._sink.results(results)
            elif results is None:
                if ended:
                    return
                await self._readable()

    async def _readable(self) -> None:
        self._stir.clear()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._stir.set)
        try:
            await self._stir.wait()
        finally:
            loop.remove_reader(self._socket)

    def _read(self) -> list[bytes] | None:
        """The next results; none of what was read may have been one. None if nothing was there."""
        results: list[bytes] = []
        size = 0
        for number in range(_MOST_AT_ONCE):
            try:
                # With this flag the length is that of the datagram, not of what found room.
                length = self._socket.recv_into(_BUFFER, 0, socket.MSG_TRUNC)
            except BlockingIOError:
                return results if number else None
            if length > MAX_RESULT_BYTES:
                self._drop(length)
                continue
            results.append(bytes(_BUFFER[:length]))
            size += length
            if size >= _BYTES_AT_ONCE:
                break
        return results

    def _drop(self, length: int) -> None:
        self._dropped += 1
        if self._dropped <= _LOGGED_DROPS:
            logger.warning("result_too_large", execution=self._execution_id, bytes=length, limit=MAX_RESULT_BYTES)


@contextmanager
def _bound(directory: Path) -> Iterator[socket.socket]:
    """A socket at its place in the directory that every user may send to; an earlier one there is replaced.

    Raises:
        StorageUnavailable: it cannot be made.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        try:
            descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
            try:
                # An address of a socket has 108 bytes at most; data directories may lie deeper.
                here = Path(f"/proc/self/fd/{descriptor}")
                new = here / "new"
                new.unlink(missing_ok=True)
                bound.setblocking(False)
                bound.bind(str(new))
                new.chmod(_FOR_ALL)
                # Only now can it be seen: never is there none, nor one that may not be used.
                new.rename(here / _NAME)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _unavailable(error) from error
        yield bound


def _unavailable(error: OSError) -> StorageUnavailable:
    return StorageUnavailable(f"The results socket cannot be made at the moment: {error.strerror}.")
