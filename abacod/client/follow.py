"""Wait for an execution, and show its log while it is written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from abacod.client.errors import Unreachable
from abacod.client.output import say
from abacod.client.paths import segment

if TYPE_CHECKING:
    from abacod.client.server import Server

_ENDED: Final = ("COMPLETE", "ERROR")
_EVENTS: Final = "text/event-stream"
_PAUSE: Final = 0.3
"""Between two looks at a server that has no live logs, and between two tries to reach one, in seconds."""
_PATIENCE: Final = 120.0
"""How long a server that went away may stay away, in seconds: long enough for a restart."""
_QUIET_TRIES: Final = 1
"""A connection that broke off or fell silent is made anew so often without a word."""


class Follower:
    """One execution on its way to its end."""

    def __init__(self, server: Server, actor: str, execution: str, show: Callable[[str], None]) -> None:
        self._server = server
        self._path = f"/{segment(actor)}/executions/{segment(execution)}"
        self._show = show
        self._shown = 0
        """How much of the log has been shown, in characters."""
        self._tries = 0
        """How often the server was asked since it last answered."""

    def to_the_end(self) -> dict[str, Any]:
        """Show the log until the execution has ended; the execution, as it ended.

        A server that is started anew in between is waited for, and the log goes on where it was.

        Raises:
            Unreachable: it did not come back.
        """
        gone_since: float | None = None
        while True:
            try:
                if self._stream() or self._look():
                    return dict(self._server.call("GET", self._path))
                gone_since = None
            except Unreachable as error:
                if gone_since is None or self._tries == 0:
                    gone_since = time.monotonic()
                if time.monotonic() - gone_since > _PATIENCE:
                    raise
                if self._tries == _QUIET_TRIES:
                    say(f"{error.message} Waiting for it to come back; ctrl-C gives up.")
                self._tries += 1
            time.sleep(_PAUSE)

    def _stream(self) -> bool:
        """Show the log as the server sends it; False if it does not do that. Returns when the execution has ended."""
        at = 0
        with self._server.streamed(
            f"{self._path}/logs", params=[("follow", "true")], headers={"Accept": _EVENTS}
        ) as response:
            self._tries = 0
            if not response.headers.get("Content-Type", "").startswith(_EVENTS):
                return False
            for name, data in _events(response.iter_lines()):
                if name == "end":
                    return True
                # Each connection begins with the beginning of the log.
                text = str(data.get("text", ""))
                self._put(text[max(0, self._shown - at) :])
                at += len(text)
        raise Unreachable("The log broke off.")

    def _look(self) -> bool:
        """Show what is new, for servers without live logs; whether the execution has ended."""
        # In this order: the log of an execution that has ended is whole.
        ended = self._server.call("GET", self._path)["status"] in _ENDED
        self._put(str(self._server.call("GET", f"{self._path}/logs")["logs"])[self._shown :])
        return bool(ended)

    def _put(self, text: str) -> None:
        if text:
            self._show(text)
            self._shown += len(text)


def _events(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and data of each server-sent event; what breaks off in the middle is none."""
    name, data = "", ""
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data += value
        elif not line and data:
            yield name, dict(json.loads(data))
            name, data = "", ""
