from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from abacod.notify import Notifier


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
