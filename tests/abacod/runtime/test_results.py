"""The results sockets with a service manager that keeps them; without one see `tests/contract`."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from abacod.ids import ExecutionId
from abacod.notify import DescriptorStore, Notifier
from abacod.runtime.results import KEPT, ResultsSockets
from abacod.runtime.run import MAX_RESULT_BYTES
from tests.fakes import RecordingSink
from tests.manager import Manager

ID = ExecutionId("kA1P1m8NkkolK")


@pytest.fixture
def manager() -> Iterator[Manager]:
    with Manager.listening() as listening:
        yield listening


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
        sending.setblocking(False)
        yield sending


def sockets(folder: Path, manager: Manager) -> ResultsSockets:
    """Those of a daemon that begins with what the manager has kept."""
    manager.hear()
    passed = {name: socket.socket(fileno=os.dup(descriptor)) for name, descriptor in manager.kept}
    for each in passed.values():
        each.setblocking(False)
    notifier = Notifier(manager.environment(1)["NOTIFY_SOCKET"], None)
    return ResultsSockets(folder / "runs", DescriptorStore(notifier, 1, passed))


@asynccontextmanager
async def made(those: ResultsSockets, sink: RecordingSink) -> AsyncIterator[bool]:
    """A new socket of a daemon that lets go of the run when the context ends."""
    with suppress(asyncio.CancelledError):
        async with those.made(ID, sink) as kept:
            yield kept
            raise asyncio.CancelledError


async def test_the_next_daemon_goes_on_with_the_same_socket(
    tmp_path: Path, manager: Manager, sender: socket.socket
) -> None:
    """A sender that stays connected to it notices nothing, and the manager keeps it until the run has ended."""
    sink = RecordingSink()
    async with made(sockets(tmp_path, manager), sink) as kept:
        assert kept
        sender.connect(str(tmp_path / "runs" / ID / "results.sock"))
        sender.send(b"1")
    sent = [b"", b"x" * (MAX_RESULT_BYTES + 1), b"2", b"", b"3"]
    for data in sent:
        sender.send(data)

    second = sockets(tmp_path, manager)
    async with second.taken_up(ID, sink):
        sender.send(b"4")

    assert sink.received == [b"1", b"", b"2", b"", b"3", b"4"]
    manager.hear()
    assert manager.kept == []


async def test_what_was_not_on_disk_is_there_for_the_next_daemon(
    tmp_path: Path, manager: Manager, sender: socket.socket
) -> None:
    class Dying(RecordingSink):
        async def results(self, data: object) -> None:
            died.set()
            await asyncio.Event().wait()

    sink, died = RecordingSink(), asyncio.Event()
    async with made(sockets(tmp_path, manager), Dying()):
        await asyncio.sleep(0)
        sender.connect(str(tmp_path / "runs" / ID / "results.sock"))
        for data in (b"1", b"", b"2"):
            sender.send(data)
        await died.wait()

        async with sockets(tmp_path, manager).taken_up(ID, sink):
            sender.send(b"3")

    assert sink.received == [b"1", b"", b"2", b"3"]


async def test_what_no_container_belongs_to_is_kept_no_more(tmp_path: Path, manager: Manager) -> None:
    async with made(sockets(tmp_path, manager), RecordingSink()):
        pass
    later = sockets(tmp_path, manager)
    assert [name for name, _ in manager.kept] == [f"{KEPT}{ID}"]

    later.remove_others(later.left(), set())

    manager.hear()
    assert manager.kept == []
    assert later.left() == set()


async def test_a_manager_without_room_keeps_nothing(tmp_path: Path, manager: Manager) -> None:
    full = sockets(tmp_path, manager)
    async with full.made(ExecutionId("first"), RecordingSink()) as kept:
        assert kept
        async with full.made(ID, RecordingSink()) as second_kept:
            assert not second_kept
