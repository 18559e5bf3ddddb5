from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactors.pipelinejobs.archive import LONGEST_SESSION, archive_path, clean_path, instance, join_uri, split_uri
from reactors.pipelinejobs.identifiers import Identifiers
from reactors.pipelinejobs.sessions import ADJECTIVES, ANIMALS
from tests.reactors.pipelinejobs.published import EXPERIMENT, JOBS_DEMO, NOVEL_CHASSIS, PROXY_DATA

IDS: Final = Identifiers()
MOMENT: Final = datetime(2019, 2, 15, 21, 30, 9, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pipeline", "linkage", "data", "end"),
    [
        (JOBS_DEMO, ["1041ab3f-5221-5c79-8781-8838dfb6eef9"], {}, "kZpoopq2GBKYy6DQ9pqqNbk8/PAVpwrObxp5YjYRvrJOd5yVp"),
        (
            JOBS_DEMO,
            ["104dae4d-a677-5991-ae1c-696d2ee9884e", "10483e8d-6602-532a-8941-176ce20dd05a"],
            {},
            "3pGOjjEYq3BZ2DJ6e0jLQqWb/PAVpwrObxp5YjYRvrJOd5yVp",
        ),
        (JOBS_DEMO, ["103246e1-bcdf-5b6e-a8dc-4c7e81b91141"], {}, "kZgygQV2EDAAkDLRzrep1gO2/PAVpwrObxp5YjYRvrJOd5yVp"),
        (JOBS_DEMO, [EXPERIMENT], {}, "Db6rzKZnnyA8E5qvwvxjpwZ4/PAVpwrObxp5YjYRvrJOd5yVp"),
        (JOBS_DEMO, [EXPERIMENT], {"alpha": 0.5}, "Db6rzKZnnyA8E5qvwvxjpwZ4/0p5yeV3VR3OELzgoJ5kk6Yxw"),
        (JOBS_DEMO, [EXPERIMENT], {"alpha": 0.6}, "Db6rzKZnnyA8E5qvwvxjpwZ4/3pGLppQE69r3Z36EY3jlxxpN"),
        (
            NOVEL_CHASSIS,
            ["10395836-b9b5-5676-99e5-e6504f9078d4"],
            PROXY_DATA,
            "5pV4rV9rxq1Bxqg1R6WynrnG/DbpWZ6XLK80dzYVqdvQNQ6Lr",
        ),
        (JOBS_DEMO, [], {}, "BAkwe8wKZY2NgXyBpX8K5R1D/PAVpwrObxp5YjYRvrJOd5yVp"),
        (
            JOBS_DEMO,
            ["1040f711-9a56-58b4-aa57-4d0118f424e8", "1048e4b1-94c8-50c9-8d62-fe762234e55f"],
            {},
            "9gpgGb2qj016BbyDxnp5pBYD/PAVpwrObxp5YjYRvrJOd5yVp",
        ),
        (JOBS_DEMO, ["10452d7e-7f0a-59df-a1a3-c5bb44e07f2f"], {}, "5pQxBkRrRe2GEPOWWZBq4LNQ/PAVpwrObxp5YjYRvrJOd5yVp"),
    ],
)
def test_known_paths(pipeline: str, linkage: list[str], data: dict[str, Any], end: str) -> None:
    path = archive_path(IDS, pipeline, linkage, data, instance=None)
    assert path == f"/products/v2/{pipeline.replace('-', '')}/{end}"
    assert archive_path(IDS, pipeline, linkage, data, instance="one-two") == f"{path}/one-two"


def test_the_order_of_keys_and_of_the_linkage_does_not_matter() -> None:
    one = archive_path(IDS, JOBS_DEMO, ["b", "a"], {"x": {"a": 1, "b": 2}, "y": 3}, instance=None)
    assert one == archive_path(IDS, JOBS_DEMO, ["a", "b"], {"y": 3, "x": {"b": 2, "a": 1}}, instance=None)
    assert one != archive_path(IDS, JOBS_DEMO, ["a", "b"], {"y": 3, "x": {"b": 2, "a": 2}}, instance=None)


def test_instances_are_a_session_and_a_time() -> None:
    assert instance("sensible-adder", MOMENT) == "sensible-adder-20190215T213009Z"
    assert instance("ends-", MOMENT) == "ends-20190215T213009Z"
    west = MOMENT.astimezone(timezone(timedelta(hours=-6)))
    assert instance("sensible-adder", west) == "sensible-adder-20190215T213009Z"


@pytest.mark.parametrize("session", ["", "abc", "a/b", "../"])
def test_a_short_session_is_replaced(session: str) -> None:
    first, second, stamp = instance(session, MOMENT).split("-")
    assert (first in ADJECTIVES, second in ANIMALS, stamp) == (True, True, "20190215T213009Z")


@pytest.mark.parametrize(
    "session", ["../../etc", "a/bcd", "abc\0d", "abc\n", ".hidden", "-abc", "x" * 65, "abcd\ud800", "ümlaut"]
)
def test_a_session_that_is_no_name_is_refused(session: str) -> None:
    with pytest.raises(ValueError, match="is no name for a directory") as caught:
        instance(session, MOMENT)
    assert str(caught.value).isprintable()


@settings(deadline=None)
@given(st.text())
def test_an_instance_is_one_part_of_a_path(session: str) -> None:
    try:
        made = instance(session, MOMENT)
    except ValueError:
        return
    assert clean_path(f"/a/{made}") == f"/a/{made}"
    assert len(made) <= LONGEST_SESSION + len("-20190215T213009Z")


@pytest.mark.parametrize(
    ("uri", "system", "path"),
    [
        ("agave://data-sd2e-community/products/v2/a", "data-sd2e-community", "/products/v2/a"),
        ("agave://data.tacc.cloud//a/./b//c/", "data.tacc.cloud", "/a/b/c"),
        ("agave://s", "s", "/"),
        ("agave://s/", "s", "/"),
        ("agave://s/a b%20ü…", "s", "/a b%20ü…"),
        ("agave://s/..a/b../...", "s", "/..a/b../..."),
    ],
)
def test_uris_are_split_and_joined(uri: str, system: str, path: str) -> None:
    assert split_uri(uri) == (system, path)
    assert split_uri(join_uri(system, path)) == (system, path)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("/products/a", "not of the form"),
        ("", "not of the form"),
        ("agave:///a", "not of the form"),
        ("AGAVE://s/a", "not of the form"),
        ("https://s/a", "not of the form"),
        ("agave://a b/c", "not of the form"),
        ("agave://../etc", "not of the form"),
        ("agave://s\n/a", "not of the form"),
        ("agave://s/../etc", "has a part '..'"),
        ("agave://s/a/..", "has a part '..'"),
        ("agave://s/a\0b", "NUL"),
        ("agave://s/\ud800", "UTF-8"),
        ("x" * 1_000_000, "not of the form"),
    ],
)
def test_bad_uris_are_refused(uri: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        split_uri(uri)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_a_relative_path_is_refused() -> None:
    for path in ("", "a", "./a", "../a"):
        with pytest.raises(ValueError, match="is not absolute"):
            clean_path(path)


@settings(deadline=None)
@given(st.text())
def test_a_clean_path_stays_as_it_is(text: str) -> None:
    try:
        clean = clean_path("/" + text)
    except ValueError:
        return
    assert clean_path(clean) == clean
    assert clean == "/" or not clean.endswith("/")
    assert "//" not in clean
    assert not {".", ".."} & set(clean.split("/"))
