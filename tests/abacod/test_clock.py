from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from abacod.clock import SystemClock, from_ms, isoformat, to_ms


@given(st.integers(-(10**12), 10**14))
def test_milliseconds_and_moments_are_the_same(milliseconds: int) -> None:
    assert to_ms(from_ms(milliseconds)) == milliseconds


def test_one_form_of_times() -> None:
    assert isoformat(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05.000Z"
    assert isoformat(datetime(2026, 1, 2, 3, 4, 5, 70_999, tzinfo=UTC)) == "2026-01-02T03:04:05.070Z"
    east = timezone(timedelta(hours=2))
    assert isoformat(datetime(2026, 1, 1, 0, 30, tzinfo=east)) == "2025-12-31T22:30:00.000Z"


async def test_the_machine_s_clock() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    now = clock.now()
    assert now.microsecond % 1000 == 0
    assert now.tzinfo is UTC
    assert abs(datetime.now(UTC) - now) < timedelta(minutes=1)
    await clock.sleep(0)
    assert clock.monotonic() >= before
