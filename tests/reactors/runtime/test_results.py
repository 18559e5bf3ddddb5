"""Results through the socket (docs/reference/container.md)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reactors.runtime import Reactor, ResultNotSent, results, send_result

Make = Callable[..., Reactor]


@pytest.fixture
def received(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bytes]]:
    """Takes a datagram from a socket in place of the daemon's."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind("results.sock")
        bound.settimeout(5)
        yield lambda: bound.recv(1 << 20)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"x"), b"x"),
        ("ä", "ä".encode()),
        ("", b""),
        (["/a", {"b": None}], b'["/a",{"b":null}]'),
        (b"x" * 131072, b"x" * 131072),
    ],
)
def test_a_value_is_sent_as_one_datagram(received: Callable[[], bytes], value: Any, sent: bytes) -> None:
    send_result(value, "results.sock")
    assert received() == sent


def test_a_result_that_is_too_large_is_refused(received: Callable[[], bytes]) -> None:
    with pytest.raises(ResultNotSent, match="131073 bytes"):
        send_result(b"x" * 131073, "results.sock")


def test_where_nobody_reads_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResultNotSent, match=r"gone\.sock"):
        send_result(b"x", str(tmp_path / "gone.sock"))


def test_a_reactor_sends_to_the_socket_of_its_container(
    reactor: Make, received: Callable[[], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert results.RESULTS_SOCKET == "/_abaco_results.sock"
    with pytest.raises(ResultNotSent, match="/_abaco_results"):
        reactor().send_result("x")
    reactor(_abaco_actor_id="").send_result({"a": 1})
    assert "INFO result: {'a': 1}" in capsys.readouterr().err
