"""Answers of the database that are kept in memory as long as nobody has changed who may do what."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from abacod.clock import Clock
from abacod.store.database import Database, Transaction

T = TypeVar("T")

# How long an answer is good for, in seconds: what the command line writes takes effect within this.
_FRESH: Final = 1.0
# Answers kept of one kind, in answers.
_MOST: Final = 4096


@dataclass(frozen=True, slots=True)
class _Answer(Generic[T]):
    value: T
    version: int
    until: float


class Remembered(Generic[T]):
    """Answers of one kind, each by the key of its question.

    Only for what depends on nothing but the tables of `rights`. An answer is never older than a change that was answered
    before it was asked for.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._answers: dict[Hashable, _Answer[T]] = {}

    async def ask(self, key: Hashable, question: Callable[[Transaction], T]) -> T:
        """The answer, from memory or from the database; what the question raises comes out here, and is not kept."""
        known = self._answers.get(key)
        version = self._database.rights_version
        if known is not None and known.version == version and self._clock.monotonic() < known.until:
            return known.value
        value = await self._database.glance(question)
        if len(self._answers) >= _MOST:
            self._answers.clear()
        # Of the version at the time of asking: if that has passed meanwhile, nobody will be given this answer.
        self._answers[key] = _Answer(value, version, self._clock.monotonic() + _FRESH)
        return value
