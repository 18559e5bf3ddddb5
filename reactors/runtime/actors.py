"""Actors as a reactor uses them: it sends messages, waits for executions, and hands out nonces."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping
from urllib.parse import parse_qs, urlsplit

from reactors.runtime.attributes import AttributeDict
from reactors.runtime.daemon import Daemon, path_of
from reactors.runtime.errors import DaemonError, MessageNotSent

ANY_NUMBER = -1
"""Of uses of a nonce."""

PERMISSIONS = ("READ", "EXECUTE", "UPDATE")
_LONGEST_PAUSE = 32.0
_POLL_SECONDS = (0.1, 5.0)
_ENDED = ("COMPLETE", "ERROR")
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_PASSING = (408, 425, 429)
"""Refusals that may not come again."""


@dataclass(frozen=True)
class Retries:
    """How often a message is tried again, and after how many seconds first; the pauses grow at random up to 32 s."""

    attempts: int = 5
    delay: float = 1.0


class Actors:
    """The actors of a daemon."""

    def __init__(self, daemon: Daemon, sleep: Callable[[float], None] = time.sleep) -> None:
        self._daemon = daemon
        self._sleep = sleep

    def get(self, actor: str) -> AttributeDict:
        """An actor, by its id or alias. Raises DaemonError, as all methods here."""
        return AttributeDict(self._daemon.call("GET", path_of("v3", "actors", actor)))

    def send(
        self, actor: str, message: Any, query: Mapping[str, str], retries: Retries, nonce: str | None = None
    ) -> str:
        """Send a message and return the execution's id. A message whose answer was lost is sent again: it may come twice.

        Raises:
            MessageNotSent: trying again did not help, or does not make sense, as with an unknown actor.
        """
        pause = retries.delay
        for attempt in range(retries.attempts + 1):
            try:
                return self._send_once(actor, message, query, nonce)
            except DaemonError as error:
                final = _CLIENT_ERROR <= error.status < _SERVER_ERROR and error.status not in _PASSING
                if final or attempt == retries.attempts:
                    raise MessageNotSent(f"the message to {actor} was not sent: {error}") from error
            self._sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * random.uniform(1, 2))  # noqa: S311 - spreads load, keeps no secret
        raise AssertionError("unreachable")

    def _send_once(self, actor: str, message: Any, query: Mapping[str, str], nonce: str | None) -> str:
        path = path_of("v3", "actors", actor, "messages")
        if isinstance(message, bytes):
            result = self._daemon.call("POST", path, content=message, query=query, nonce=nonce)
        else:
            # Always in the field `message`: an object with such a field of its own would be taken apart.
            result = self._daemon.call("POST", path, body={"message": message}, query=query, nonce=nonce)
        return str(result["execution_id"])

    def wait(self, actor: str, execution: str, nonce: str | None = None) -> AttributeDict:
        """The execution once it has ended. It needs READ on the actor."""
        pause, longest = _POLL_SECONDS
        path = path_of("v3", "actors", actor, "executions", execution)
        while True:
            seen = AttributeDict(self._daemon.call("GET", path, nonce=nonce))
            if seen.status in _ENDED:
                return seen
            self._sleep(pause)
            pause = min(longest, pause * 1.5)

    def log(self, actor: str, execution: str, nonce: str | None = None) -> str:
        """The log of an execution."""
        path = path_of("v3", "actors", actor, "executions", execution, "logs")
        return str(self._daemon.call("GET", path, nonce=nonce)["logs"])

    def result(self, actor: str, execution: str, nonce: str | None = None) -> bytes:
        """The oldest result that nobody has fetched yet, empty if there is none."""
        return self._daemon.fetch(path_of("v3", "actors", actor, "executions", execution, "results"), nonce)

    # --- nonces -----------------------------------------------------------------------------------------------------

    def add_nonce(self, actor: str, permission: str, maxuses: int) -> AttributeDict:
        """A new nonce.

        Raises:
            ValueError: `permission` is none of READ, EXECUTE, UPDATE, or `maxuses` is less than -1.
        """
        if permission not in PERMISSIONS:
            raise ValueError(f"permission must be one of {', '.join(PERMISSIONS)}, and is {permission!r}")
        if maxuses < ANY_NUMBER:
            raise ValueError(f"maxuses must be a number of uses, or -1 for any number, and is {maxuses!r}")
        body = {"level": permission, "max_uses": maxuses}
        return AttributeDict(self._daemon.call("POST", path_of("v3", "actors", actor, "nonces"), body=body))

    def nonce(self, actor: str, nonce_id: str) -> AttributeDict:
        """One nonce."""
        return AttributeDict(self._daemon.call("GET", path_of("v3", "actors", actor, "nonces", nonce_id)))

    def nonces(self, actor: str) -> list[AttributeDict]:
        """All nonces of an actor, oldest first."""
        return [AttributeDict(each) for each in self._daemon.call("GET", path_of("v3", "actors", actor, "nonces"))]

    def delete_nonce(self, actor: str, nonce_id: str) -> None:
        """Revoke a nonce."""
        self._daemon.call("DELETE", path_of("v3", "actors", actor, "nonces", nonce_id))

    def webhook(self, actor: str, permission: str, maxuses: int) -> str:
        """A URL to which messages can be posted, with a nonce of its own."""
        nonce = self.add_nonce(actor, permission, maxuses)
        # The address under which others reach the daemon, which is not that of containers.
        base = str(nonce.get("api_server") or self._daemon.base_url).rstrip("/")
        return f"{base}{path_of('actors', 'v2', actor, 'messages')}?x-nonce={nonce.id}"

    def delete_webhook(self, url: str) -> None:
        """Revoke the nonce of a URL that `webhook` made.

        Raises:
            ValueError: it is no such URL.
        """
        parts = urlsplit(url)
        nonces = parse_qs(parts.query).get("x-nonce", [])
        before, _, last = parts.path.rstrip("/").rpartition("/")
        actor = before.rpartition("/")[2]
        if last != "messages" or not actor or len(nonces) != 1:
            raise ValueError("the URL must be that of an actor's messages, with a nonce in x-nonce")
        self.delete_nonce(actor, nonces[0])
