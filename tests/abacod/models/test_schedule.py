from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abacod.models.schedule import Schedule, next_ex_text

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start", "number", "unit"),
    [
        ("2026-03-14 16 + 1 hour", "2026-03-14 16", 1, "hour"),
        ("2026-3-14 15 + 12 hours", "2026-03-14 15", 12, "hour"),
        ("2027-1-1 0 + 3 days", "2027-01-01 00", 3, "day"),
        ("now + 2 weeks", "2026-03-14 15", 2, "week"),
        ("now + 1 months", "2026-03-14 15", 1, "month"),
    ],
)
def test_schedules_that_can_be_read(text: str, start: str, number: int, unit: str) -> None:
    assert Schedule.parse(text, NOW) == Schedule(at(start), number, unit)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not in the correct format"),
        ("now +1 hour", "not in the correct format"),
        ("now + hour", "not in the correct format"),
        ("now + 0 hours", "not in the correct format"),
        ("now + -1 hours", "not in the correct format"),
        ("now + 1 hour ", "not in the correct format"),
        ("now + 10000 hours", "not in the correct format"),
        ("2026-13-01 00 + 1 day", "starting date 2026-13-01 00 is not in the correct format"),
        ("2027-02-29 00 + 1 day", "starting date 2027-02-29 00 is not"),
        ("2027-02-28 24 + 1 day", "starting date 2027-02-28 24 is not"),
        ("tomorrow + 1 day", "starting date tomorrow is not"),
        ("2026-03-14 14 + 1 day", "starting datetime is old. The current UTC time is 2026-03-14 15:09:26"),
        ("now + 1 minute", "minute is an invalid unit of time"),
        ("now + 1 hourss", "hourss is an invalid unit of time"),
        ("now + 1 s", "s is an invalid unit of time"),
    ],
)
def test_schedules_that_cannot_be_read_say_why(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Schedule.parse(text, NOW)


def test_now_is_the_hour_in_utc() -> None:
    elsewhere = datetime(2026, 3, 14, 23, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert Schedule.parse("now + 1 day", elsewhere).start == at("2026-03-14 18")


@pytest.mark.parametrize(
    ("start", "number", "runs"),
    [
        ("2026-01-31 08", 1, ["2026-02-28 08", "2026-03-31 08", "2026-04-30 08", "2026-05-31 08"]),
        ("2028-01-31 08", 1, ["2028-02-29 08", "2028-03-31 08"]),
        ("2028-02-29 00", 12, ["2029-02-28 00", "2030-02-28 00", "2031-02-28 00", "2032-02-29 00"]),
        ("2026-11-30 23", 3, ["2027-02-28 23", "2027-05-30 23"]),
        ("2026-12-15 00", 1, ["2027-01-15 00"]),
    ],
)
def test_months_keep_the_day_of_the_start_where_they_have_it(start: str, number: int, runs: list[str]) -> None:
    schedule = Schedule(at(start), number, "month")
    assert [schedule.run(index) for index in range(1, len(runs) + 1)] == [at(each) for each in runs]


@pytest.mark.parametrize(("unit", "hours"), [("hour", 5), ("day", 5 * 24), ("week", 5 * 168)])
def test_other_units_are_fixed_steps(unit: str, hours: int) -> None:
    assert Schedule(NOW, 5, unit).run(1) == NOW + timedelta(hours=hours)
    assert Schedule(NOW, 5, unit).run(3) == NOW + 3 * timedelta(hours=hours)


SCHEDULES = st.builds(
    Schedule,
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds it
    st.integers(1, 9999),
    st.sampled_from(["hour", "day", "week", "month"]),
)


@given(SCHEDULES, st.integers(0, 5))
def test_runs_come_one_after_the_other_on_the_grid(schedule: Schedule, index: int) -> None:
    one, other = schedule.run(index), schedule.run(index + 1)
    assert one < other
    assert (other.minute, other.second) == (schedule.start.minute, schedule.start.second)
    if schedule.unit == "month":
        last_day = calendar.monthrange(other.year, other.month)[1]
        assert other.day == min(schedule.start.day, last_day)


@given(SCHEDULES, st.timedeltas(timedelta(days=-400), timedelta(days=365 * 400)))
def test_whatever_was_missed_the_next_run_is_the_first_later_one_of_the_grid(
    schedule: Schedule, later: timedelta
) -> None:
    now = schedule.start + later
    following = schedule.next_after(now)
    assert following is not None
    assert following > now
    # Found the other way round, by halving: how many runs there were until now.
    low, high = 0, 1
    while schedule.run(high) <= now:
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if schedule.run(middle) <= now else (low, middle)
    assert following == schedule.run(low)


@given(SCHEDULES, st.integers(0, 5))
def test_the_run_after_a_run_is_the_next_one(schedule: Schedule, index: int) -> None:
    assert schedule.next_after(schedule.run(index)) == schedule.run(index + 1)
    assert schedule.next_after(schedule.run(index) - timedelta(milliseconds=1)) == schedule.run(index)


@pytest.mark.parametrize("unit", ["hour", "day", "week", "month"])
def test_at_the_end_of_time_there_is_no_next_run(unit: str) -> None:
    last = at("9999-12-31 23")
    assert Schedule(last, 1, unit).next_after(last) is None
    assert Schedule(last, 1, unit).next_after(last - timedelta(hours=1)) == last


def test_a_schedule_that_began_keeps_its_start() -> None:
    assert Schedule.started("now + 2 months", at("2026-01-31 08")) == Schedule(at("2026-01-31 08"), 2, "month")
    assert Schedule.started("2020-01-01 00 + 1 day", at("2020-01-01 00")) == Schedule(at("2020-01-01 00"), 1, "day")


def test_how_the_next_run_is_shown() -> None:
    assert next_ex_text(at("2026-01-02 03")) == "2026-1-2 3"
