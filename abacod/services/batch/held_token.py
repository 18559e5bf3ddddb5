"""The access token of a batch service: got when it is needed, kept while it is good, shared by all requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from abacod.clock import Clock

# A token that ends so soon is replaced before it is used, in seconds.
_MARGIN: Final = 30.0
# How long a token lives if the service does not say, in seconds.
_LIFE: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Token:
    """`until` is a time of the monotonic clock, None for a token that is used until it is refused."""

    access: str
    refresh: str | None = None
    until: float | None = None


class HeldToken:
    """One token at a time."""

    def __init__(self, get: Callable[[Token | None, Token | None], Coroutine[Any, Any, Token]], clock: Clock) -> None:
        """`get` gets a new one, given the one before and the one that was refused."""
        self._get = get
        self._clock = clock
        self._held: Token | None = None
        self._getting: asyncio.Task[Token] | None = None

    async def good(self, refused: Token | None = None) -> Token:
        """A token that has not run out, and is not the one that the service has just refused. Raises what `get` raises.

        All who ask while one is being got wait for that one: a service that does not answer costs them its limit once.
        """
        held = self._held
        if held is not None and held is not refused and not self._ends_soon(held):
            return held
        if self._getting is None:
            self._getting = asyncio.ensure_future(self._get(held, refused))
            self._getting.add_done_callback(self._got)
        return await asyncio.shield(self._getting)

    def _got(self, getting: asyncio.Task[Token]) -> None:
        self._getting = None
        if not getting.cancelled() and getting.exception() is None:
            self._held = getting.result()

    def _ends_soon(self, token: Token) -> bool:
        return token.until is not None and token.until - _MARGIN < self._clock.monotonic()


def token_of(access: Any, refresh: Any, life: Any, clock: Clock) -> Token | None:
    """The token that a service gave, None if what it gave is none. `life` is in seconds."""
    if not isinstance(access, str) or not access or not access.isascii() or not access.isprintable():
        return None
    seconds = float(life) if isinstance(life, int | float) else _LIFE
    return Token(access, refresh if isinstance(refresh, str) else None, clock.monotonic() + seconds)
