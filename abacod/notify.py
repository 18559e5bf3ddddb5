"""What the daemon and its service manager tell each other: how the daemon is, and sockets to keep while it is away.

The words are those of systemd (`Type=notify`, `WatchdogSec=`, `FileDescriptorStoreMax=`): one datagram each. Without a service
manager nothing happens.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final, Self

# Where passed descriptors begin: behind standard input, output and error (sd_listen_fds(3)).
_FIRST_PASSED: Final = 3


class Notifier:
    """Sends service states to the socket that systemd names in the environment (sd_notify(3))."""

    def __init__(self, address: str | None, watchdog_interval: float | None) -> None:
        """`address` is the socket path (`@` first for an abstract one), None without systemd; interval in seconds."""
        self._address = address
        self.watchdog_interval = watchdog_interval

    @classmethod
    def from_environment(cls) -> Self:
        """Read `NOTIFY_SOCKET` and `WATCHDOG_USEC`; the watchdog is fed at half its limit, as systemd advises."""
        watchdog_us = os.environ.get("WATCHDOG_USEC")
        return cls(os.environ.get("NOTIFY_SOCKET"), int(watchdog_us) / 2_000_000 if watchdog_us else None)

    def ready(self) -> None:
        """The daemon accepts requests."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The daemon drains and ends."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The event loop still turns."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def keep(self, name: str, descriptor: int) -> bool:
        """Pass a descriptor to the manager's store; whether it is on its way. It is not to look at its state there."""
        return self._send(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", descriptor)

    def forget(self, name: str) -> None:
        """Have the manager close what it keeps under a name."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def _send(self, state: str, descriptor: int | None = None) -> bool:
        """Whether it is on its way."""
        if not self._address:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # A service manager that has gone away, or does not listen just now, is no reason to stop working.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify_socket:
            notify_socket.setblocking(False)
            notify_socket.connect(address)
            socket.send_fds(notify_socket, [state.encode()], [] if descriptor is None else [descriptor])
            return True
        return False


class DescriptorStore:
    """Sockets that the service manager keeps open while the daemon is away, by name (sd_pid_notify_with_fds(3)).

    Whoever sends to such a socket meanwhile waits until a later daemon reads on.
    """

    def __init__(self, notifier: Notifier, room: int, passed: dict[str, socket.socket]) -> None:
        """`room` is how many sockets the manager keeps, 0 for none; `passed` is what it kept from an earlier daemon."""
        self._notifier = notifier
        self._room = room
        self._passed = passed
        self._names = set(passed)

    @classmethod
    def from_environment(cls, notifier: Notifier, prefix: str) -> Self:
        """Take what the manager passed to this process: datagram sockets whose names begin with `prefix`.

        All other descriptors that it passed are closed: nothing here knows what to do with them. `FDSTORE` tells how many the
        manager keeps; systemd sets it from version 254 on, and the unit does for older ones.
        """
        room = os.environ.get("FDSTORE", "")
        return cls(notifier, int(room) if room.isdecimal() else 0, _taken_over(os.environ, prefix))

    @classmethod
    def nowhere(cls) -> Self:
        """Keeps nothing."""
        return cls(Notifier(None, None), 0, {})

    @property
    def names(self) -> frozenset[str]:
        """All that is kept."""
        return frozenset(self._names)

    def keep(self, name: str, kept: socket.socket) -> bool:
        """Have the socket kept; whether the manager does."""
        if len(self._names) >= self._room:
            return False
        sent = self._notifier.keep(name, kept.fileno())
        if sent:
            self._names.add(name)
        return sent

    def kept(self, name: str) -> socket.socket | None:
        """Another descriptor of the socket that an earlier daemon left under this name, None if it left none."""
        passed = self._passed.get(name)
        return passed.dup() if passed else None

    def forget(self, name: str) -> None:
        """Have it kept no more; fine for what is not kept."""
        if name not in self._names:
            return
        self._names.discard(name)
        self._notifier.forget(name)
        passed = self._passed.pop(name, None)
        if passed is not None:
            passed.close()


def _taken_over(environment: MutableMapping[str, str], prefix: str) -> dict[str, socket.socket]:
    process, count, names = (environment.pop(f"LISTEN_{what}", "") for what in ("PID", "FDS", "FDNAMES"))
    if process != str(os.getpid()) or not count.isdecimal():
        # They were meant for a parent of ours, or there are none.
        return {}
    taken: dict[str, socket.socket] = {}
    for number, name in enumerate((names.split(":") + [""] * int(count))[: int(count)]):
        passed = _datagram_socket(_FIRST_PASSED + number, wanted=name.startswith(prefix))
        if passed is None:
            continue
        if name in taken:
            taken[name].close()
        taken[name] = passed
    return taken


def _datagram_socket(descriptor: int, *, wanted: bool) -> socket.socket | None:
    """The socket behind a descriptor; what is no Unix datagram socket, or not wanted, is closed."""
    try:
        passed = socket.socket(fileno=descriptor)
    except OSError:
        with suppress(OSError):
            os.close(descriptor)
        return None
    if not wanted or passed.family != socket.AF_UNIX or passed.type != socket.SOCK_DGRAM:
        passed.close()
        return None
    passed.set_inheritable(False)
    passed.setblocking(False)
    return passed
