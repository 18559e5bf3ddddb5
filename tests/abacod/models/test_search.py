"""What a query of a search means."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abacod.errors import InvalidField
from abacod.models.search import Condition, Limits, Operator, Query, exact_pattern, finder, read_query
from abacod.models.search_values import datetime_of, list_of, value_of

LIMITS = Limits(default=10, most=1000, conditions=20)


def query(*pairs: tuple[str, str]) -> Query:
    return read_query(pairs, LIMITS)


def condition(name: str, value: str) -> Condition:
    (found,) = query((name, value)).conditions
    return found


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "field", "operator"),
    [
        ("status", ("status",), Operator.EQ),
        ("status.eq", ("status",), Operator.EQ),
        ("status.nlike", ("status",), Operator.NLIKE),
        ("final_state.ExitCode.gte", ("final_state", "ExitCode"), Operator.GTE),
        ("default_environment.like", ("default_environment",), Operator.LIKE),
        ("default_environment.like.eq", ("default_environment", "like"), Operator.EQ),
        # Only at the end: the letters of an operator within a name mean nothing.
        ("linked.between_us", ("linked", "between_us"), Operator.EQ),
        ("gt.status", ("gt", "status"), Operator.EQ),
        ("status.GT", ("status", "GT"), Operator.EQ),
        ("", ("",), Operator.EQ),
        (".eq", ("",), Operator.EQ),
    ],
)
def test_the_operator_is_the_last_part_of_a_name(name: str, field: tuple[str, ...], operator: Operator) -> None:
    found = condition(name, "x")
    assert (found.field, found.operator) == (field, operator)


def test_all_conditions_count_also_those_on_one_field() -> None:
    found = query(("a.gt", "1"), ("a.gt", "2"), ("a.lt", "3"))
    assert [(each.operator, each.operands) for each in found.conditions] == [
        (Operator.GT, (1,)),
        (Operator.GT, (2,)),
        (Operator.LT, (3,)),
    ]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "state.a\nb", "state.\0"])
def test_a_name_that_no_path_can_spell_is_refused(name: str) -> None:
    with pytest.raises(InvalidField, match="cannot be searched"):
        query((name, "1"))


# --- pages ----------------------------------------------------------------------------------------------------------


def test_a_page_has_a_limit_and_a_beginning() -> None:
    assert (query().limit, query().skip) == (10, 0)
    assert query(("limit", "0")).limit == 0
    assert query(("limit", "1000"), ("skip", " 7 ")).skip == 7
    assert query(("offset", "999999999999999")).skip == 999999999999999


@pytest.mark.parametrize("name", ["limit", "skip", "offset"])
@pytest.mark.parametrize("value", ["-1", "1.5", "ten", "", "1e3", "٣", "9" * 16, "9" * 5000, "null", "[1]", "+1"])
def test_a_limit_that_is_no_number_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidField, match=f"Invalid search: {name}: .*give a whole number from 0 to"):
        query((name, value))


def test_a_limit_has_an_upper_bound() -> None:
    with pytest.raises(InvalidField, match="limit: '1001': give a whole number from 0 to 1000"):
        query(("limit", "1001"))


@pytest.mark.parametrize("pairs", [("limit", "limit"), ("skip", "skip"), ("skip", "offset")])
def test_limit_and_skip_are_given_once(pairs: tuple[str, str]) -> None:
    with pytest.raises(InvalidField, match="give it once"):
        query(*((name, "1") for name in pairs))


def test_a_query_has_a_bound() -> None:
    assert len(query(*[("a", "1")] * 20).conditions) == 20
    with pytest.raises(InvalidField, match="more than 20 parameters"):
        query(*[("a", "1")] * 21)


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("none", None),
        ("None", None),
        ("5", 5),
        ("-5.5", -5.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        (" 7", 7),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("١٢", "١٢"),
        ("1e999", float("inf")),
        ("9223372036854775807", 9223372036854775807),
        ("9223372036854775808", 9223372036854775808.0),
        ("9" * 25, float("9" * 25)),
        ("", ""),
        ("text", "text"),
        ("abacosamples/test", "abacosamples/test"),
        ('"5"', "5"),
        ("'true'", "true"),
        ('["a", 1]', ("a", 1)),
        ("['a']", ("a",)),
        ("[1", "[1"),
        ("{broken", "{broken"),
        ("it's", "it's"),
        ("[" * 50_000, "[" * 50_000),
        ("NaN", "NaN"),
        ("[NaN]", "[NaN]"),
    ],
)
def test_a_value_is_what_its_text_says(text: str, value: object) -> None:
    found = value_of(text, is_time=False)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ['{"$gt": ""}', "{'$ne': null}", '[{"$gt": 1}]', '[[{"a": 1}]]', "{}"])
def test_objects_are_refused_as_values(text: str) -> None:
    with pytest.raises(InvalidField, match=r"status: .*an object is no value"):
        query(("status", text))
    with pytest.raises(InvalidField, match=r"status\.in: .*give a list"):
        query(("status.in", text if text.startswith("[") else f"[{text}]"))


def test_half_a_surrogate_pair_is_refused() -> None:
    for name, value in (("a", '"\\ud800"'), ("a", '["\\ud800"]'), ("a.in", '["\\udfff"]')):
        with pytest.raises(InvalidField, match="surrogate"):
            query((name, value))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('["BUSY","READY"]', ("BUSY", "READY")),
        ("['BUSY', 'READY']", ("BUSY", "READY")),
        ("[\u201cBUSY\u201d,\u201dREQUESTED\u201d,\u201dREADY\u201d]", ("BUSY", "REQUESTED", "READY")),
        ("[\u2018a\u2019, 'it\"s', \"it's\"]", ("a", 'it"s', "it's")),
        (r"['it\'s']", ("it's",)),
        ("[1, 2.5, true, null]", (1, 2.5, True, None)),
        ("[]", ()),
    ],
)
def test_lists_may_have_any_quotes(text: str, values: tuple[Any, ...]) -> None:
    assert list_of(text) == values


@pytest.mark.parametrize("text", ["", "a", "a,b", "[a]", '["a"', "[[1]]", '{"a": 1}', "5", "null", "[" * 50_000])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(InvalidField, match=r"status\.nin: .*give a list"):
        query(("status.nin", text))


@given(st.lists(st.text().filter(lambda text: not set(text) & set("\u2018\u2019\u201c\u201d"))))
def test_any_json_list_of_texts_is_read_as_json(texts: list[str]) -> None:
    assert list_of(json.dumps(texts)) == tuple(texts)


@given(st.text(), st.sampled_from(list(Operator)), st.sampled_from(["status", "start_time", "final_state.ExitCode"]))
def test_any_value_is_read_or_refused(value: str, operator: Operator, field: str) -> None:
    with suppress(InvalidField):
        assert condition(f"{field}.{operator}", value).operator is operator


def test_between_takes_two_values() -> None:
    assert condition("runtime.between", "1, 2.5").operands == (1, 2.5)
    assert condition("start_time.between", " 2020-04-29T20:15:52:246Z, 2021-06-24-05:00").operands == (
        datetime(2020, 4, 29, 20, 15, 52, 246000, tzinfo=UTC),
        datetime(2021, 6, 24, 5, tzinfo=UTC),
    )
    for bad in ("", "1", "1,2,3"):
        with pytest.raises(InvalidField, match=r"runtime\.between"):
            query(("runtime.between", bad))


# --- times ----------------------------------------------------------------------------------------------------------


def utc(*parts: int, ms: int = 0) -> datetime:
    year, month, day, hour, minute, second = (*parts, *(0, 1, 1, 0, 0, 0)[len(parts) :])
    return datetime(year, month, day, hour, minute, second, ms * 1000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        # As the documentation prints them.
        ("2020-04-29T20:15:52:246252-06:00", utc(2020, 4, 30, 2, 15, 52, ms=246)),
        ("2020-04-29T20:15:52:246Z", utc(2020, 4, 29, 20, 15, 52, ms=246)),
        ("2020-04-29T20:15:52-06:00", utc(2020, 4, 30, 2, 15, 52)),
        ("2020-04-29T20:15-06:00", utc(2020, 4, 30, 2, 15)),
        ("2020-04-29T20-06:00", utc(2020, 4, 30, 2)),
        ("2020-04-29-06:00", utc(2020, 4, 29, 6)),
        ("2020-04Z", utc(2020, 4)),
        ("2020", utc(2020)),
        ("2020-04-29T16:21:34.602078-05:00", utc(2020, 4, 29, 21, 21, 34, ms=602)),
        ("2020-04-29T21:21:34.602078", utc(2020, 4, 29, 21, 21, 34, ms=602)),
        ("2020-04-29 06:00", utc(2020, 4, 28, 18)),  # a plus that became a space
        # And others.
        ("2000-05:00", utc(2000, 1, 1, 5)),
        ("2000-0530", utc(2000, 1, 1, 5, 30)),
        ("2020-12+01:30", utc(2020, 11, 30, 22, 30)),
        ("2020-04-29T20:15:52.9999Z", utc(2020, 4, 29, 20, 15, 52, ms=999)),
        ("2020-04-29t20:15:52.5z", utc(2020, 4, 29, 20, 15, 52, ms=500)),
        (" 2020 ", utc(2020)),
        ("0001-01-01T00:00:00Z", utc(1)),
    ],
)
def test_times_have_many_forms(text: str, moment: datetime) -> None:
    assert datetime_of(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "20",
        "202",
        "20200",
        "2020-13",
        "2020-02-30",
        "2020-1-1",
        "2020-01-01T24",
        "2020-01-01T00:60",
        "2020-01-01T00:00:60",
        "2020-01-01T00:00:00.",
        "2020+25:00",
        "2020-01-01T00+01:99",
        "0000",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59-06:00",
        "2020-01-01T00:00:00ZZ",
        "٢٠٢٠",
        "5.5",
        "[2020]",
    ],
)
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidField, match=r"start_time\.gt: .*give a time"):
        query(("start_time.gt", text))


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001 - the zone comes from elsewhere
    st.integers(1, 7),
    st.sampled_from([None, "Z", 0, 330, -360, 845, -719]),
    st.sampled_from(".:"),
)
def test_a_time_is_cut_where_its_text_ends(moment: datetime, parts: int, zone: str | int | None, point: str) -> None:
    pieces = [
        f"{moment.year:04d}",
        f"-{moment.month:02d}",
        f"-{moment.day:02d}",
        f"T{moment.hour:02d}",
        f":{moment.minute:02d}",
        f":{moment.second:02d}",
        f"{point}{moment.microsecond:06d}",
    ]
    offset = zone if isinstance(zone, int) else 0
    spelled = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    text = "".join(pieces[:parts]) + (spelled if isinstance(zone, int) else zone or "")
    kept = [moment.month, moment.day, moment.hour, moment.minute, moment.second][: parts - 1]
    cut = datetime(moment.year, *kept, *[1, 1, 0, 0, 0][len(kept) :], tzinfo=UTC)  # type: ignore[misc,arg-type]
    if parts == 7:
        cut += timedelta(milliseconds=moment.microsecond // 1000)
    assert datetime_of(text) == cut - timedelta(minutes=offset)


@pytest.mark.parametrize("field", ["start_time", "finish_time", "final_state.FinishedAt", "last_health_check_time"])
def test_time_fields_compare_with_times_also_within_lists(field: str) -> None:
    assert condition(field, "2020").operands == (utc(2020),)
    assert condition(field, "none").operands == (None,)
    assert condition(f"{field}.in", '["2020", null]').operands == (utc(2020), None)
    assert condition("final_state.Other", "2020").operands == (2020,)


# --- words and patterns -----------------------------------------------------------------------------------------------


def test_words_and_phrases_are_taken_as_they_are() -> None:
    found = query(("search", 'true "AND" a* (b) NEAR/3 c-d'), ("exactsearch", "2020 x"), ("search", "5"))
    assert found.any_words == (("true", "AND", "a", "b", "NEAR", "3", "c", "d"), ("5",))
    assert found.phrases == ("2020 x",)
    assert found.about_text
    assert not found.conditions


def test_too_many_words_are_refused_by_name() -> None:
    for name, text in (("search", "a " * 101), ("exactsearch", "a " * 101), ("exactsearch", "a" * 1001)):
        with pytest.raises(InvalidField, match=f"Invalid search: {name}"):
            query((name, text))


@pytest.mark.parametrize("pattern", ["(", "a*)(", "[", r"(a)\1", "(?=a)", "*", "a" * 1001, "((a{100}){100}){100}"])
@pytest.mark.parametrize("operator", ["like", "nlike"])
def test_a_bad_pattern_is_refused_by_name(operator: str, pattern: str) -> None:
    with pytest.raises(InvalidField, match=rf"Invalid search: image\.{operator}: "):
        query((f"image.{operator}", pattern))


def test_an_evil_pattern_takes_time_only_as_the_text_grows() -> None:
    find = finder("(a+)+$")

    def seconds(length: int) -> float:
        text = "a" * length + "!"
        rounds = []
        for _ in range(5):
            begin = time.perf_counter()
            assert find(text) is None
            rounds.append(time.perf_counter() - begin)
        return min(rounds)

    # Ten times the text; backtracking would need longer than the age of the universe for either.
    assert seconds(200_000) < 100 * seconds(20_000)


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("run fast", "they Run FAST.", True),
        ("run", "running", False),
        ("run", "rerun", False),
        ("a.b", "axb", False),
        ("[error]", "x [error] y", True),
        ("é", "É", True),
        ("x", "", False),
    ],
)
def test_a_phrase_is_found_as_whole_words(phrase: str, text: str, found: bool) -> None:
    assert (finder(exact_pattern(phrase))(text) is not None) is found
