from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from abacod.notify import DescriptorStore, Notifier
from tests.manager import Manager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(1)
        yield listening


def test_the_service_manager_is_told_how_the_daemon_is(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    notifier = Notifier.from_environment()
    assert notifier.watchdog_interval == 5
    for tell in (notifier.ready, notifier.alive, notifier.stopping):
        tell()
    notifier.status("3 running")
    assert [manager.recv(100).decode() for _ in range(4)] == ["READY=1", "WATCHDOG=1", "STOPPING=1", "STATUS=3 running"]


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")
        listening.settimeout(1)
        Notifier("@" + listening.getsockname()[1:].decode(), None).ready()
        assert listening.recv(100) == b"READY=1"


def test_without_a_service_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    notifier = Notifier.from_environment()
    notifier.ready()
    assert notifier.watchdog_interval is None
    Notifier(str(tmp_path / "gone"), None).ready()


def test_a_kept_socket_comes_back_to_the_next_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    with Manager.listening() as manager, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as kept:
        store = DescriptorStore(Notifier(manager.environment(1)["NOTIFY_SOCKET"], None), 1, {})
        assert store.keep("ours-1", kept)
        assert not store.keep("ours-2", kept), "there is no more room"
        manager.hear()
        assert manager.said == ["FDSTORE=1\nFDNAME=ours-1\nFDPOLL=0"]
        assert os.fstat(manager.kept[0][1]).st_ino == os.fstat(kept.fileno()).st_ino
        store.forget("ours-1")
        store.forget("ours-1")
        manager.hear()
        assert manager.said[1:] == ["FDSTOREREMOVE=1\nFDNAME=ours-1"]


def test_a_store_of_a_manager_that_does_not_listen_keeps_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as kept:
        assert not DescriptorStore(Notifier(str(tmp_path / "gone"), None), 9, {}).keep("ours-1", kept)
        assert not DescriptorStore.nowhere().keep("ours-1", kept)


PROGRAM = """
import os
from abacod.notify import DescriptorStore, Notifier
from tests.manager import Manager
store = DescriptorStore.from_environment(Notifier.from_environment(), "ours-")
print(sorted(store.names), store.kept("ours-1").recv(9), store.kept("ours-1").getblocking())
print([name for name in os.environ if name.startswith("LISTEN_")])
print([number for number in range(3, 7) if os.path.exists(f"/proc/self/fd/{number}")])
"""


def test_of_passed_descriptors_only_those_meant_for_it_are_taken() -> None:
    """A listening socket, a pipe and a socket under another name are closed."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with (
        Manager.listening() as manager,
        here,
        there,
        socket.create_server(("127.0.0.1", 0)) as http,
        tempfile.TemporaryFile() as file,
    ):
        there.send(b"hello")
        others = {"http": http.fileno(), "ours-1": here.fileno(), "ours-2": http.fileno(), "ours-3": file.fileno()}
        arguments, options = manager.command(["-c", PROGRAM], others)
        ran = subprocess.run(
            [sys.executable, *arguments],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | manager.environment(1),
            **options,
        )
    assert ran.stdout.splitlines() == ["['ours-1'] b'hello' False", "[]", "[4]"]


@pytest.mark.parametrize("environment", [{"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_FDS": "many"}, {}])
def test_descriptors_for_another_process_are_left_alone(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert DescriptorStore.from_environment(Notifier(None, None), "").names == frozenset()
