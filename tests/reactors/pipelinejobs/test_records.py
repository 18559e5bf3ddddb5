from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from reactors.pipelinejobs.records import HistoryEntry, Job, Pipeline, date_text, merged, shown_job, shown_pipeline
from reactors.pipelinejobs.states import JobState

MOMENT: Final = datetime(2018, 12, 8, 0, 53, 45, 678_900, tzinfo=UTC)

OBJECTS = st.recursive(
    st.integers() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def test_dates_are_whole_seconds_as_the_documentation_prints_them() -> None:
    assert date_text(MOMENT) == "2018-12-08T00:53:45.000+0000"


def test_a_job_is_shown_as_the_documentation_prints_one() -> None:
    job = Job(
        uuid="10743f9e-f5ae-5b4c-859e-6774ef4ab08b",
        pipeline_uuid="106bd127-e2d2-57ac-b9be-11ed06042e68",
        state=JobState.FINISHED,
        last_event="finish",
        data={"appId": "tacobot9000-0.1.0u1"},
        archive_system="data-sd2e-community",
        archive_path="/products/v2/a",
        session="casual-bass",
        owner="alice",
        created=MOMENT,
        updated=MOMENT,
        agent="https://api.tacc.cloud/actors/v2/G46vjoAVzGkkz",
        task="https://api.tacc.cloud/actors/v2/G46vjoAVzGkkz/executions/Myp6wvklV0zgQ",
        links={"generated_by": ("106bd127-e2d2-57ac-b9be-11ed06042e68",), "acted_on": ()},
    )
    shown = shown_job(job, [HistoryEntry("108", "finish", MOMENT, None)])
    printed = [
        "agent",
        "archive_path",
        "archive_system",
        "data",
        "generated_by",
        "history",
        "last_event",
        "pipeline_uuid",
        "session",
        "state",
        "task",
        "updated",
        "uuid",
    ]
    assert list(shown) == sorted(shown)
    assert set(shown) == {*printed, "archive_patterns", "product_patterns"}
    assert shown["history"] == [{"data": None, "date": "2018-12-08T00:53:45.000+0000", "name": "finish", "uuid": "108"}]
    assert shown["updated"] == "2018-12-08T00:53:45.000+0000"
    assert shown["state"] == "FINISHED"
    assert job.archive_uri == "agave://data-sd2e-community/products/v2/a"


def test_a_pipeline_is_shown_with_its_uuid() -> None:
    pipeline = Pipeline("106", {"name": "n", "id": "a"}, "alice", MOMENT, MOMENT)
    assert shown_pipeline(pipeline) == {"id": "a", "name": "n", "uuid": "106"}
    assert pipeline.id == "a"
    assert Pipeline("106", {"name": "n"}, "alice", MOMENT, MOMENT).id is None


def test_objects_merge_and_all_else_is_replaced() -> None:
    left = {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"z": 1}}
    right = {"a": {"y": [3]}, "c": 5, "d": {}}
    assert merged(left, right) == {"a": {"x": 1, "y": [3]}, "b": 1, "c": 5, "d": {}}
    assert left == {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"z": 1}}


@settings(deadline=None)
@given(OBJECTS, OBJECTS)
def test_merging_twice_is_merging_once(left: Any, right: Any) -> None:
    once = merged(left, right)
    assert merged(once, right) == once
    assert merged(left, left) == left
