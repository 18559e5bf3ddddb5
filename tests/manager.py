"""A service manager for tests: hears how the daemon is, keeps its sockets, and passes them to the next one."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

_LONGEST: Final = 4096

# A process that puts the descriptors it was given, by their numbers, where passed ones belong, and becomes the daemon.
_BECOME: Final = """
import os, sys
numbers = [int(number) for number in sys.argv[1].split()]
high = [os.dup2(number, 500 + place) for place, number in enumerate(numbers)]
for place, number in enumerate(high):
    os.dup2(number, 3 + place, inheritable=True)
    os.close(number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


class Manager:
    """Speaks the part of systemd (sd_notify(3), sd_listen_fds(3))."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.said: list[str] = []
        self.kept: list[tuple[str, int]] = []
        """Names and descriptors."""

    @classmethod
    @contextmanager
    def listening(cls) -> Iterator[Self]:
        """A manager, until the end of the context."""
        # Not in a test's folder: a socket's path may have only 108 bytes.
        with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(str(Path(place) / "notify"))
            listening.setblocking(False)
            manager = cls(listening)
            try:
                yield manager
            finally:
                for _, descriptor in manager.kept:
                    os.close(descriptor)

    def environment(self, room: int) -> dict[str, str]:
        """What it tells a daemon of itself; it keeps `room` descriptors."""
        return {"NOTIFY_SOCKET": self._listening.getsockname(), "FDSTORE": str(room)}

    def hear(self) -> None:
        """Heed all that has been said."""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._listening, _LONGEST, 8)
            except BlockingIOError:
                return
            self._heed(data.decode(), descriptors)

    async def until(self, words: str) -> None:
        """Wait until these words have been said."""
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        loop.add_reader(self._listening, heard.set)
        try:
            while True:
                self.hear()
                if any(words in each for each in self.said):
                    return
                heard.clear()
                await heard.wait()
        finally:
            loop.remove_reader(self._listening)

    def command(self, arguments: list[str], others: dict[str, int]) -> tuple[list[str], dict[str, Any]]:
        """Arguments of an interpreter that becomes one with `arguments` and all that is kept, and options to start it.

        `others` are further descriptors that are passed, by name.
        """
        self.hear()
        passed = [*self.kept, *others.items()]
        numbers = [number for _, number in passed]
        names = ":".join(name for name, _ in passed)
        return ["-c", _BECOME, " ".join(map(str, numbers)), names, *arguments], {"pass_fds": numbers}

    def _heed(self, text: str, descriptors: list[int]) -> None:
        self.said.append(text)
        words = dict(line.split("=", 1) for line in text.splitlines())
        name = words.get("FDNAME", "stored")
        if "FDSTORE" in words:
            self.kept += [(name, descriptor) for descriptor in descriptors]
        if "FDSTOREREMOVE" in words:
            for each in [each for each in self.kept if each[0] == name]:
                self.kept.remove(each)
                os.close(each[1])
