"""Time: one protocol for the wall clock and for waiting, so that tests decide what time it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Alarm(Protocol):
    """A call that is going to be made."""

    def cancel(self) -> object:
        """Do not make it; does nothing if it has been made."""
        ...


class Clock(Protocol):
    """Where every part gets its time from."""

    def now(self) -> datetime:
        """The wall-clock time, in UTC, cut to whole milliseconds as it is stored."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        ...

    def alarm(self, seconds: float, ring: Callable[[], None]) -> Alarm:
        """Call `ring` in that many seconds, unless it is cancelled; cheaper than a task that sleeps."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return from_ms(time.time_ns() // 1_000_000)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def alarm(self, seconds: float, ring: Callable[[], None]) -> Alarm:
        return asyncio.get_running_loop().call_later(seconds, ring)


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 in UTC: how times are stored."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """The moment that many milliseconds after 1970, in UTC."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def isoformat(moment: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SS.mmmZ`, the one form in which times are shown (spec/decisions: timestamps)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
