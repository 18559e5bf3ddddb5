"""Tell systemd how the daemon is (`Type=notify`, `WatchdogSec=`): one datagram each, nothing without systemd."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Self


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

    def _send(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # A service manager that has gone away is no reason to stop working.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify_socket:
            notify_socket.connect(address)
            notify_socket.sendall(state.encode())
