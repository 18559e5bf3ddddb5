"""Cron schedules: text to first run and steps, pure (spec/actors-api 10.2)."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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

        Raises:
            ValueError: the text has another form, the start is past, or the unit is unknown; the message says which.
        """
        match = _FORM.fullmatch(text)
        if match is None or not int(match["number"]):
            raise ValueError("The cron is not in the correct format")
        this_hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        start = this_hour if match["start"] == "now" else _parse_start(match["start"])
        if start < this_hour:
            raise ValueError(f"The starting datetime is old. The current UTC time is {now:%Y-%m-%d %H:%M:%S}")
        unit = match["unit"].removesuffix("s")
        if unit not in _STEPS and unit != "month":
            raise ValueError(f"{match['unit']} is an invalid unit of time")
        return cls(start, int(match["number"]), unit)

    def after(self, moment: datetime) -> datetime:
        """The run that follows the one at `moment`."""
        if self.unit in _STEPS:
            return moment + self.number * _STEPS[self.unit]
        years, month = divmod(moment.month - 1 + self.number, _MONTHS_A_YEAR)
        year = moment.year + years
        # The start's day, so that a run on the 31st comes back to it after a short month.
        day = min(self.start.day, calendar.monthrange(year, month + 1)[1])
        return moment.replace(year=year, month=month + 1, day=day)


def next_ex_text(moment: datetime) -> str:
    """How `cron_next_ex` shows a moment: `yyyy-m-d h`."""
    return f"{moment.year}-{moment.month}-{moment.day} {moment.hour}"


def _parse_start(text: str) -> datetime:
    match = _DATE.fullmatch(text)
    try:
        if match:
            return datetime(*(int(part) for part in match.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        pass
    raise ValueError(f"The starting date {text} is not in the correct format")
