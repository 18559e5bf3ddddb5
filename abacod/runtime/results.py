"""The sockets on which containers send results (spec/actors-api 4.5, 5.3): one datagram is one result.

Each execution has a directory of its own with the socket in it. A socket cannot be opened a second time. Where the service
manager keeps it open while the daemon is away, a later daemon goes on with that very socket, and the container sees nothing
but the socket. Else the container sees the directory, in which a later daemon puts a new socket in the place of the old one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

from abacod.errors import StorageUnavailable
from abacod.ids import ExecutionId
from abacod.models.actor import Mount
from abacod.notify import DescriptorStore
from abacod.runtime.run import MAX_RESULT_BYTES, RunSink

logger = structlog.get_logger()

SOCKET: Final = "/_abaco_results.sock"
"""Where a container finds the socket."""

DIRECTORY: Final = "/_abaco_run"
"""Where a container finds the directory of the socket."""

KEPT: Final = "abacod-results-"
"""How the names begin under which the service manager keeps the sockets; the id of the execution follows."""

_NAME: Final = "results.sock"
SOCKET_IN_DIRECTORY: Final = f"{DIRECTORY}/{_NAME}"

# A container may run as any user (spec/actors-api 5.3).
_FOR_ALL: Final = 0o777
# More than a sender gets through with the kernel's default limits (212992 bytes), to see how much it was. In bytes.
_BUFFER: Final = memoryview(bytearray(262_144))
# Results handed on at once: as many datagrams, or as many bytes.
_MOST_AT_ONCE: Final = 64
_BYTES_AT_ONCE: Final = 4_194_304
# Linux; the module `socket` does not name it.
_SO_PEEK_OFF: Final = 42
# How often dropped results of one execution are logged, so that no container can fill the log.
_LOGGED_DROPS: Final = 10
# How long the results that are on their way may take to the disk when a run is let go, in seconds.
_LETTING_GO: Final = 2.0


class ResultsSockets:
    """The sockets of all executions of one daemon, in directories below `runs_dir`."""

    def __init__(self, runs_dir: Path, store: DescriptorStore) -> None:
        """`store` has what an earlier daemon left there, under names that begin with `KEPT`."""
        self._runs_dir = runs_dir
        self._store = store
        self._open: set[ExecutionId] = set()

    def directory(self, execution_id: ExecutionId) -> Path:
        """The directory of an execution; it goes with the socket."""
        return self._runs_dir / execution_id

    def directory_mount(self, execution_id: ExecutionId) -> Mount:
        """The mount of the directory; read-only, which does not keep anybody from sending."""
        return Mount(str(self._runs_dir / execution_id), DIRECTORY, "ro")

    def socket_mount(self, execution_id: ExecutionId) -> Mount:
        """The mount of the socket itself: it works as long as this daemon does, or as the service manager keeps it."""
        return Mount(str(self._runs_dir / execution_id / _NAME), SOCKET, "ro")

    @asynccontextmanager
    async def made(self, execution_id: ExecutionId, sink: RunSink) -> AsyncIterator[bool]:
        """Receive results inside the context, on a socket in a new directory, which goes again if the run fails.

        The context gets whether the service manager keeps the socket while the daemon is away.

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
            with _bound_in(directory) as bound:
                kept = self._store.keep(f"{KEPT}{execution_id}", bound)
                async with self._receiving(execution_id, bound, sink):
                    yield kept
        except Exception:
            self.remove(execution_id)
            raise

    @asynccontextmanager
    async def on(self, lasting: LastingSocket, execution_id: ExecutionId, sink: RunSink) -> AsyncIterator[None]:
        """Receive results inside the context, on the socket of a container that has had other executions.

        What was sent before is nobody's.
        """
        _drop_all(lasting.bound)
        self._store.keep(f"{KEPT}{execution_id}", lasting.bound)
        try:
            async with self._receiving(execution_id, lasting.bound, sink, watch=lasting):
                yield
        except Exception:
            self._store.forget(f"{KEPT}{execution_id}")
            raise

    @asynccontextmanager
    async def taken_up(
        self, execution_id: ExecutionId, sink: RunSink, place: Path | None = None
    ) -> AsyncIterator[None]:
        """Receive results inside the context, if an earlier daemon made a place for them.

        On the same socket if the service manager kept it, else on a new one in the same directory.

        Raises:
            StorageUnavailable: the socket cannot be made.
        """
        with ExitStack() as stack:
            taken = self._store.kept(f"{KEPT}{execution_id}")
            if taken is not None:
                stack.enter_context(taken)
            elif (directory := place or self._runs_dir / execution_id).is_dir():
                taken = stack.enter_context(_bound_in(directory))
            else:
                yield
                return
            async with self._receiving(execution_id, taken, sink, taken_up=True):
                yield

    def remove(self, execution_id: ExecutionId) -> None:
        """Remove the socket and its directory; none is no error."""
        self._store.forget(f"{KEPT}{execution_id}")
        shutil.rmtree(self._runs_dir / execution_id, ignore_errors=True)

    def left(self) -> set[ExecutionId]:
        """The executions that have a directory or a kept socket."""
        left = {ExecutionId(name.removeprefix(KEPT)) for name in self._store.names}
        with suppress(FileNotFoundError):
            left |= {ExecutionId(path.name) for path in self._runs_dir.iterdir()}
        return left

    def remove_others(self, left: set[ExecutionId], wanted: set[ExecutionId]) -> None:
        """Remove what those of `left` have that nobody uses."""
        for execution_id in left - wanted - self._open:
            self.remove(execution_id)

    @asynccontextmanager
    async def _receiving(
        self,
        execution_id: ExecutionId,
        bound: socket.socket,
        sink: RunSink,
        *,
        taken_up: bool = False,
        watch: LastingSocket | None = None,
    ) -> AsyncIterator[None]:
        self._open.add(execution_id)
        try:
            receiver = _Receiver(execution_id, bound, sink, taken_up=taken_up, watch=watch)
            seconds = None
            try:
                yield
            except asyncio.CancelledError:
                seconds = _LETTING_GO
                raise
            finally:
                await receiver.finish(seconds)
            # The container has ended, and all that it sent is on disk.
            self._store.forget(f"{KEPT}{execution_id}")
        finally:
            self._open.discard(execution_id)


class LastingSocket:
    """The results socket of a container that has one execution after the other.

    It is watched all the time: to begin and to end that for each execution takes longer than all else about its results.
    """

    def __init__(self, directory: Path) -> None:
        """Make it at its place in the directory; raises `StorageUnavailable`."""
        self.bound = _bound_in(directory)
        self._begin: Callable[[], None] | None = None
        self._watched = False

    def tell(self, begin: Callable[[], None] | None) -> None:
        """Call `begin` when there is something to read; with None it is nobody's, and dropped."""
        self._begin = begin
        if not self._watched:
            asyncio.get_running_loop().add_reader(self.bound, self._readable)
            self._watched = True

    def rest(self) -> None:
        """Somebody else reads it now; until the next `tell`."""
        self._begin = None
        if self._watched:
            asyncio.get_running_loop().remove_reader(self.bound)
            self._watched = False

    def close(self) -> None:
        """Close it, also while an execution receives on it."""
        asyncio.get_running_loop().remove_reader(self.bound)
        self.bound.close()

    def _readable(self) -> None:
        if self._begin is None:
            _drop_all(self.bound)
        else:
            self._begin()


class _Receiver:
    """Hands on what arrives at one socket, in order; it reads on only once the former results are on disk.

    What is not on disk yet stays in the socket, and is only looked at: a later daemon with the same socket finds it there.
    """

    def __init__(
        self,
        execution_id: ExecutionId,
        bound: socket.socket,
        sink: RunSink,
        *,
        taken_up: bool,
        watch: LastingSocket | None,
    ) -> None:
        """A socket that was `taken_up` may have what an earlier daemon looked at; `watch` is a lasting one."""
        self._execution_id = execution_id
        self._socket = bound
        self._sink = sink
        self._ended = False
        self._dropped = 0
        self._stir = asyncio.Event()
        # Most executions send nothing: there is a task only once there is something to do.
        self._task: asyncio.Task[None] | None = None
        self._taken_up = taken_up
        self._watch = watch
        if watch is None:
            asyncio.get_running_loop().add_reader(bound, self._begin)
        else:
            watch.tell(self._begin)

    async def finish(self, seconds: float | None) -> None:
        """Hand on what has been sent up to now, within `seconds` if given, and stop; raises what the sink raised."""
        self._ended = True
        self._stir.set()
        if self._socket.fileno() < 0:
            # Its container was let go under it: nobody can send any more, or is heard.
            if self._task is not None:
                self._task.cancel()
            return
        if self._task is None:
            if _is_empty(self._socket):
                if self._watch is None:
                    asyncio.get_running_loop().remove_reader(self._socket)
                else:
                    self._watch.tell(None)
                return
            self._task = self._receiving()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._task

    def _begin(self) -> None:
        self._task = self._receiving()

    def _receiving(self) -> asyncio.Task[None]:
        if self._watch is None:
            asyncio.get_running_loop().remove_reader(self._socket)
        else:
            self._watch.rest()
        return asyncio.create_task(self._receive(), name=f"results {self._execution_id}")

    async def _receive(self) -> None:
        # A look passes over empty datagrams that were looked at before, so what an earlier daemon left is taken without one.
        while self._taken_up and (read := self._read(0)):
            await self._hand_on(read)
        flags = socket.MSG_PEEK if self._look_at_the_first() else 0
        while True:
            # Before the look: what was sent before the end is seen by it.
            ended = self._ended
            if read := self._read(flags):
                await self._hand_on(read)
                if flags:
                    self._take(len(read))
            elif ended:
                return
            else:
                await self._readable()

    async def _hand_on(self, read: Sequence[bytes | None]) -> None:
        results = [each for each in read if each is not None]
        if results:
            await self._sink.results(results)

    async def _readable(self) -> None:
        self._stir.clear()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._stir.set)
        try:
            await self._stir.wait()
        finally:
            loop.remove_reader(self._socket)

    def _look_at_the_first(self) -> bool:
        """Let the next look begin at the first datagram, and each further one at the next; False if the kernel cannot."""
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, 0)
        except OSError:
            return False
        return True

    def _read(self, flags: int) -> list[bytes | None]:
        """What is in the socket, None for each datagram that is too large."""
        read: list[bytes | None] = []
        size = 0
        while len(read) < _MOST_AT_ONCE and size < _BYTES_AT_ONCE:
            try:
                # With this flag the length is that of the datagram, not of what found room.
                length = self._socket.recv_into(_BUFFER, 0, flags | socket.MSG_TRUNC)
            except BlockingIOError:
                break
            if length > MAX_RESULT_BYTES:
                self._note_drop(length)
                read.append(None)
                if length > len(_BUFFER):
                    # The next look would begin in the midst of it.
                    break
                continue
            read.append(bytes(_BUFFER[:length]))
            size += length
        return read

    def _take(self, number: int) -> None:
        """Take so many datagrams that were looked at out of the socket."""
        for _ in range(number):
            self._socket.recv_into(_BUFFER, 1)
        self._look_at_the_first()

    def _note_drop(self, length: int) -> None:
        self._dropped += 1
        if self._dropped <= _LOGGED_DROPS:
            logger.warning("result_too_large", execution=self._execution_id, bytes=length, limit=MAX_RESULT_BYTES)


def _is_empty(bound: socket.socket) -> bool:
    try:
        bound.recv_into(_BUFFER, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False


def _drop_all(bound: socket.socket) -> None:
    with suppress(BlockingIOError):
        while True:
            bound.recv_into(_BUFFER, 1)


def _bound_in(directory: Path) -> socket.socket:
    """A socket at its place in the directory that every user may send to; an earlier one there is replaced.

    Raises:
        StorageUnavailable: it cannot be made.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
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
        bound.close()
        raise _unavailable(error) from error
    return bound


def _unavailable(error: OSError) -> StorageUnavailable:
    return StorageUnavailable(f"The results socket cannot be made at the moment: {error.strerror}.")
