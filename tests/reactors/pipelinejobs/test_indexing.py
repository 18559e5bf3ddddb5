from __future__ import annotations

import time
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactors.pipelinejobs.indexing import FileToIndex, IndexRequest, index_requests, located_source, select, warnings

BAM: Final = "/products/v2/p/l/d/a.bam"
TXT: Final = "/products/v2/p/l/d/b.txt"
DEEP: Final = "/products/v2/p/l/d/a.bam.d/sample.uw_biofab.141715"
PATHS: Final = (TXT, BAM, DEEP, TXT)


def found(filters: Any, level: str = "1", **more: Any) -> list[tuple[str, str]]:
    return [(each.path, each.level) for each in select(PATHS, index_requests(filters, level, **more), level)]


def test_without_filters_every_file_is_found_once_and_sorted() -> None:
    nothing: list[str] | None
    for nothing in (None, []):
        assert found(nothing) == [(BAM, "1"), (DEEP, "1"), (TXT, "1")]


def test_texts_are_decoded_and_searched_for_in_the_base_name() -> None:
    assert found([".bam%24"], "2") == [(BAM, "2")]
    assert found(["sample%5C.uw_biofab%5C.141715"], "2") == [(DEEP, "2")]
    assert index_requests(["sample%5C.uw_biofab%5C.141715"])[0].patterns == (r"sample\.uw_biofab\.141715",)
    assert found(["^B"]) == []
    assert found(["products"]) == []


def test_a_plus_stays_one_and_half_a_percent_code_too() -> None:
    assert index_requests(["a+b%2B", "100%"])[0].patterns == ("a+b+", "100%")


def test_texts_are_one_request_and_objects_one_each() -> None:
    requests = index_requests(
        ["a", {"patterns": ["x%41"], "level": "2", "note": "n"}, "b", {"filters": ["y"], "processing_level": "User"}],
        "3",
    )
    assert requests == (
        IndexRequest(("a", "b"), "3"),
        IndexRequest(("x%41",), "2", "n"),
        IndexRequest(("y",), "User"),
    )


def test_objects_fall_back_to_the_level_of_the_message() -> None:
    assert found([{"patterns": []}], "2") == [(BAM, "2"), (DEEP, "2"), (TXT, "2")]


def test_a_product_says_what_a_file_is_made_of() -> None:
    request = {
        "patterns": ["bam$"],
        "derived_from": ["./b.txt"],
        "derived_using": ["ref"],
        "generated_by": ["p"],
        "note": "n",
    }
    assert select(PATHS, index_requests([request])) == (
        FileToIndex(BAM, "1", "n", False, ("./b.txt",), ("ref",), ("p",)),
    )


def test_requests_for_one_file_add_up() -> None:
    filters = [
        {"patterns": ["bam$"], "level": "2", "note": "first", "fixity": False},
        {"patterns": ["a"], "derived_from": ["x", "y"], "note": "second"},
        {"patterns": [], "derived_from": ["y", "z"], "fixity": True},
    ]
    (bam, deep, txt) = select(PATHS, index_requests(filters, "3"), "3")
    assert bam == FileToIndex(BAM, "2", "second", True, ("x", "y", "z"), (), ())
    assert deep == FileToIndex(DEEP, "3", "second", True, ("x", "y", "z"), (), ())
    assert txt == FileToIndex(TXT, "3", None, True, ("y", "z"), (), ())
    assert (
        select([BAM], index_requests([{"patterns": [], "level": "1"}, {"patterns": [], "level": "2"}]))[0].level == "2"
    )


def test_without_filters_the_patterns_of_the_job_count() -> None:
    job = [{"level": "2", "patterns": ["b.txt$"]}]
    assert found(None, archive_patterns=job) == [(TXT, "2")]
    assert found([], archive_patterns=job) == [(TXT, "2")]
    assert found(["bam$"], archive_patterns=job) == [(BAM, "1")]
    assert found(None, archive_patterns=["%24", "bam$"]) == [(BAM, "1")]  # as they are, not decoded
    product = {"patterns": ["bam$"], "derived_from": ["./b.txt"]}
    (bam, *others) = select(PATHS, index_requests(None, product_patterns=[product]))
    assert (bam.derived_from, bam.fixity, len(others)) == (("./b.txt",), True, 2)
    assert found(None, archive_patterns=[{"level": "2", "patterns": []}]) == [(BAM, "2"), (DEEP, "2"), (TXT, "2")]


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(a)\1", "invalid escape sequence"),
        ("(?=a)", "invalid perl operator"),
        ("(?<!a)b", "invalid"),
        ("(", "missing )"),
        ("a)|(b", "unexpected )"),
        ("a{1001}", "invalid repetition size"),
        ("[", "missing ]"),
        ("\ud800", "a character that UTF-8 cannot say"),
        ("(\n" * 100, "missing )"),
    ],
)
def test_a_bad_pattern_is_named_with_the_reason(pattern: str, reason: str) -> None:
    for filters in ([{"patterns": ["fine", pattern]}], [pattern]):
        with pytest.raises(ValueError, match="is no pattern for RE2") as caught:
            select(PATHS, index_requests(filters))
        assert reason in str(caught.value)
        assert repr(pattern)[1:40] in str(caught.value)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 400


def test_a_pattern_cannot_reach_into_the_next_one() -> None:
    assert found([r"\Qb.t", "bam$"]) == [(BAM, "1"), (TXT, "1")]
    assert found(["(?i)B.TXT", "BAM$"]) == [(TXT, "1")]


def test_patterns_that_need_exponential_time_elsewhere_are_fast() -> None:
    name = "/a/" + "a" * 50_000 + "!"
    begin = time.monotonic()
    assert select([name], index_requests([{"patterns": ["^(a+)+$", "(a|aa)+$", "(.*)*x"]}])) == ()
    assert time.monotonic() - begin < 2


def test_groups_in_each_other_take_neither_time_nor_memory() -> None:
    begin = time.monotonic()
    assert len(select([BAM], index_requests([{"patterns": ["(" * 20_000 + "bam" + ")" * 20_000]}]))) == 1
    assert time.monotonic() - begin < 2


def test_many_large_patterns_that_do_not_fit_together_still_work() -> None:
    patterns = [f"[a-z]{{900}}{number}" for number in range(60)]
    assert [each.path for each in select([BAM], index_requests([{"patterns": [*patterns, "bam$"]}]))] == [BAM]


@pytest.mark.parametrize(
    ("filters", "why"),
    [
        ([1], r"The field filters\[0\] must be a string or an object"),
        ("text", "The field filters must be an array"),
        ({"patterns": []}, "The field filters must be an array"),
        ([{"patterns": "x"}], r"The field filters\[0\].patterns must be an array"),
        ([{}], r"filters\[0\] needs at least one of the fields patterns, filters"),
        ([{"patterns": [], "level": "9"}], r"filters\[0\].level must be 0 or"),
        (["%FF"], "The field filters has '%FF', which is not UTF-8"),
    ],
)
def test_what_is_no_request_is_refused(filters: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        index_requests(filters)


def test_an_unknown_level_is_refused() -> None:
    for level in ("4", "", 1, None):
        with pytest.raises(ValueError, match="The field level must be"):
            index_requests(None, level)  # type: ignore[arg-type]  # what a message may hold


def test_there_are_warnings_where_there_are_many() -> None:
    assert warnings([IndexRequest(("a",))] * 99) == []
    assert warnings([IndexRequest()] * 100) == ["100 filters are many; indexing may take long."]
    assert warnings([IndexRequest(("a",) * 511)]) == []
    assert warnings([IndexRequest(("a",) * 512)]) == ["512 patterns are many; indexing may take long."]


def test_sources_under_the_archive_path() -> None:
    assert located_source("./a/b.txt", "/products/x") == "/products/x/a/b.txt"
    for other in ("agave://s/a", "/uploads/a", "105fb204-530b-5915-9fd6-caf88ca9ad8a", "file.tacc.x"):
        assert located_source(other, "/products/x") == other
    with pytest.raises(ValueError, match=r"has a part '\.\.'"):
        located_source("./../../etc/passwd", "/products/x")


@settings(deadline=None)
@given(st.lists(st.text()), st.lists(st.text(max_size=8)))
def test_names_and_patterns_may_be_anything(names: list[str], patterns: list[str]) -> None:
    try:
        selected = select(names, index_requests([{"patterns": patterns}]))
    except ValueError:
        return
    paths = [each.path for each in selected]
    assert paths == sorted(set(paths))
    assert set(paths) <= set(names)
    if not patterns:
        assert paths == sorted(set(names))


def test_names_that_are_not_utf8_can_be_matched() -> None:
    assert [each.path for each in select(["/a/b\udcff.bam"], index_requests(["bam$"]))] == ["/a/b\udcff.bam"]
