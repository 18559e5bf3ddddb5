"""Wait for an execution, and show its log while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from abacod.client.errors import Unreachable
from abacod.client.output import say
from abacod.client.paths import segment

if TYPE_CHECKING:
    from abacod.client.server import Server

ENDED: Final = ("COMPLETE", "ERROR")
_PAUSE: Final = 0.3
"""Between two looks, in seconds."""
_PATIENCE: Final = 120.0
"""How long a server that went away may stay away, in seconds: long enough for a restart."""


def follow(server: Server, actor: str, execution: str, show: Callable[[str], None]) -> dict[str, Any]:
    """Hand the log to `show` piece by piece until the execution has ended; the execution, as it ended.

    A server that is started anew in between is waited for, and the log goes on where it was.

    Raises:
        Unreachable: it did not come back.
    """
    path = f"/{segment(actor)}/executions/{segment(execution)}"
    done = 0
    gone_since: float | None = None
    while True:
        try:
            # In this order: the log of an execution that has ended is whole.
            seen = dict(server.call("GET", path))
            log = str(server.call("GET", f"{path}/logs")["logs"])
        except Unreachable as error:
            if gone_since is None:
                gone_since = time.monotonic()
                say(f"{error.message} Waiting for it to come back; ctrl-C gives up.")
            elif time.monotonic() - gone_since > _PATIENCE:
                raise
            time.sleep(_PAUSE)
            continue
        gone_since = None
        if len(log) > done:
            show(log[done:])
            done = len(log)
        if seen["status"] in ENDED:
            return seen
        time.sleep(_PAUSE)
