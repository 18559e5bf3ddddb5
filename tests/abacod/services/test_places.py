from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abacod.config_workers import QueueSettings, WorkerSettings
from abacod.services.places import Places

LIMITS = WorkerSettings(max_per_host=3, queues={"special": QueueSettings(max_workers=1)})


@pytest.mark.parametrize(
    ("taken", "default", "special"),
    [
        ("", True, True),
        ("s", True, False),
        ("ddd", False, False),
        ("dd", True, True),
        ("sdd", False, False),
        ("dddddd", False, False),
    ],
)
def test_a_worker_needs_a_place_on_the_machine_and_one_of_its_queue(taken: str, default: bool, special: bool) -> None:
    places = Places(LIMITS, ({"d": "default", "s": "special"}[each] for each in taken))
    assert (places.fits("default"), places.fits("special")) == (default, special)


@pytest.mark.parametrize(
    ("taken", "leaving", "wanted", "helps"),
    [
        (["special"], "special", "special", True),
        (["special"], "default", "special", False),
        (["special", "default"], "special", "default", False),  # there is a place already
        (["default"] * 3, "default", "special", True),
        (["default"] * 5, "default", "default", True),
        (["default", "default", "special"], "default", "special", False),
        (["default", "default", "special"], "special", "default", True),
    ],
)
def test_who_helps_whom_by_leaving(taken: list[str], leaving: str, wanted: str, helps: bool) -> None:
    assert Places(LIMITS, taken).freed_by(leaving, wanted) is helps


@given(
    taken=st.lists(st.sampled_from("abc"), max_size=8),
    host=st.integers(1, 6),
    limits=st.dictionaries(st.sampled_from("abc"), st.integers(1, 4)),
    wanted=st.sampled_from("abc"),
)
def test_whoever_lacks_a_place_is_helped_by_somebody(
    taken: list[str], host: int, limits: dict[str, int], wanted: str
) -> None:
    queues = {name: QueueSettings(max_workers=limit) for name, limit in limits.items()}
    places = Places(WorkerSettings(max_per_host=host, queues=queues), taken)
    helpers = [leaving for leaving in taken if places.freed_by(leaving, wanted)]
    assert places.fits(wanted) is not bool(helpers)
    if len(taken) <= host and Counter(taken)[wanted] <= limits.get(wanted, host):
        for leaving in helpers:
            rest = taken.copy()
            rest.remove(leaving)
            assert Places(WorkerSettings(max_per_host=host, queues=queues), rest).fits(wanted)
