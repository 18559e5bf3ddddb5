"""What a measure is: something of abacod, in turn with the least that could do the same, and what is to be reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal, TypeVar

from bench.daemon import Home, Server, new_home

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached: `limit` is the least or the most of the ratio A / B, or of A alone."""

    limit: float
    bound: Literal["least", "most"]
    of: Literal["ratio", "value"] = "ratio"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: values of abacod (A), and of its floor in the same run (B), one of each by repetition.

    `what` names the unit, too. A line without a floor has no `floors`.
    """

    what: str
    ours: Sequence[float]
    goal: Goal | None = None
    floor: str = ""
    floors: Sequence[float] = ()

    @property
    def ratio(self) -> float | None:
        """A / B of the medians; None without a floor."""
        return median(self.ours) / median(self.floors) if self.floors else None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        judged = self.ratio if self.goal.of == "ratio" else median(self.ours)
        if judged is None:
            raise ValueError(f"{self.what}: a goal for a ratio needs a floor.")
        return judged >= self.goal.limit if self.goal.bound == "least" else judged <= self.goal.limit


class NotPossibleHere(Exception):
    """Something is missing that abacod itself does not need; the message says what."""


class Bench:
    """Where measures find folders and daemons."""

    def __init__(self, folder: Path, cache: Path) -> None:
        """`folder` is gone after the run, `cache` stays for the next one."""
        self._folder = folder
        self.cache = cache
        self._homes = 0

    def folder(self) -> Path:
        """A new, empty folder for this run."""
        self._homes += 1
        folder = self._folder / str(self._homes)
        folder.mkdir()
        return folder

    def home(self, settings: str = "") -> Home:
        """A new data directory; `settings` are further lines of the settings' file, as `logs.max_bytes = 1000`."""
        return new_home(self.folder(), settings)

    def daemon(self, settings: str = "") -> AbstractAsyncContextManager[Server]:
        """A daemon on a new data directory; it is stopped on leaving."""
        return self.home(settings).serving()


@dataclass(frozen=True, slots=True)
class Measure:
    """One or a few lines. `seconds` bounds the whole of it: twice what it takes."""

    name: str
    seconds: float
    run: Callable[[Bench], Awaitable[Sequence[Line]]]


async def in_turn(repetitions: int, *sides: Callable[[], Awaitable[T]]) -> list[list[T]]:
    """What each side gave, measured A B A B. A first round warms both up and does not count."""
    values: list[list[T]] = [[] for _ in sides]
    for repetition in range(-1, repetitions):
        for side, gathered in zip(sides, values, strict=True):
            value = await side()
            if repetition >= 0:
                gathered.append(value)
    return values


least = partial(Goal, bound="least")
"""A goal: at least so much."""
most = partial(Goal, bound="most")
"""A goal: at most so much."""
