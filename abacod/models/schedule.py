"""Cron schedules: text to first run and steps, pure (spec/actors-api 10.2)."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Final, Self

_FORM: Final = re.compile(r"(?P<start>.+) \+ (?P<number>[0-9]{1,4}) (?P<unit>[a-z]+)")
_DATE: Final = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2}) (\d{1,2})")
_STEPS: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
_MONTHS_A_YEAR: Final = 12


@dataclass(frozen=True, slots=True)
class Schedule:
    """Every `number` `unit`s from `start` on, in UTC; `unit` is hour, day, week or month."""

    start: datetime
    number: int
    unit: str

    @classmethod
    def parse(cls, text: str, now: datetime) -> Self:
        """Read `yyyy-mm-dd hh + <number> <unit>`; the start may be `now`, the current hour.

        A schedule that was set before is read with `started`.

        Raises:
            ValueError: the text has another form, the start is past, or the unit is unknown; the message says which.
        """
        given, number, unit = _parts(text)
        this_hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        start = this_hour if given == "now" else _parse_start(given)
        if start < this_hour:
            raise ValueError(f"The starting datetime is old. The current UTC time is {now:%Y-%m-%d %H:%M:%S}")
        return cls(start, number, _known_unit(unit))

    @classmethod
    def started(cls, text: str, start: datetime) -> Self:
        """The schedule of a text that was accepted before, and then began at `start`."""
        _, number, unit = _parts(text)
        return cls(start, number, _known_unit(unit))

    def run(self, index: int) -> datetime:
        """The moment of a run, counted from 0, which is the start.

        Raises:
            OverflowError: it lies beyond the last year a date can have.
        """
        if self.unit in _STEPS:
            return self.start + index * self.number * _STEPS[self.unit]
        years, month = divmod(self.start.month - 1 + index * self.number, _MONTHS_A_YEAR)
        year = self.start.year + years
        if year > MAXYEAR:
            raise OverflowError("date value out of range")
        # The start's day, so that a run on the 31st comes back to it after a short month.
        day = min(self.start.day, calendar.monthrange(year, month + 1)[1])
        return self.start.replace(year=year, month=month + 1, day=day)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first run that is later than `moment`; None if no date is late enough for it."""
        try:
            index = max(0, self._index_near(moment))
            while self.run(index) <= moment:
                index += 1
            return self.run(index)
        except OverflowError:
            return None

    def _index_near(self, moment: datetime) -> int:
        """A run at or before `moment`, and at most two before it."""
        if self.unit in _STEPS:
            return (moment - self.start) // (self.number * _STEPS[self.unit])
        months = (moment.year - self.start.year) * _MONTHS_A_YEAR + moment.month - self.start.month
        return months // self.number - 1


def next_ex_text(moment: datetime) -> str:
    """How `cron_next_ex` shows a moment: `yyyy-m-d h`."""
    return f"{moment.year}-{moment.month}-{moment.day} {moment.hour}"


def _parts(text: str) -> tuple[str, int, str]:
    match = _FORM.fullmatch(text)
    if match is None or not int(match["number"]):
        raise ValueError("The cron is not in the correct format")
    return match["start"], int(match["number"]), match["unit"]


def _known_unit(text: str) -> str:
    unit = text.removesuffix("s")
    if unit not in _STEPS and unit != "month":
        raise ValueError(f"{text} is an invalid unit of time")
    return unit


def _parse_start(text: str) -> datetime:
    match = _DATE.fullmatch(text)
    try:
        if match:
            return datetime(*(int(part) for part in match.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        pass
    raise ValueError(f"The starting date {text} is not in the correct format")
