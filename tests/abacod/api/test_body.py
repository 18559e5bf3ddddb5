from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abacod.api.body import (
    MULTIPART,
    parse_form,
    parse_json,
    parse_multipart,
    parse_query,
    snake_case,
    whole_number,
)
from abacod.api.reply import camel_case
from abacod.errors import BadRequest

# Numbers are compared as Python reads them; a float may change in print.
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
LABEL = f'{MULTIPART}; boundary="line"'


def multipart(*parts: str, end: str = "--line--\r\n") -> bytes:
    return ("".join(f"--line\r\n{part}\r\n" for part in parts) + end).encode()


def field(name: str, value: str) -> str:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'


# --- JSON ------------------------------------------------------------------------------------------------------------


@given(json_values)
def test_json_is_read_as_it_was_written(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False)) == value


@given(st.text() | st.text(alphabet='[]{}",:0123456789.eE+-truefalsn\\ud8 '))
def test_any_text_is_a_value_or_a_bad_request(text: str) -> None:
    with suppress(BadRequest):
        json.dumps(parse_json(text), ensure_ascii=False).encode()


@given(st.binary())
def test_any_bytes_are_a_value_or_a_bad_request(data: bytes) -> None:
    with suppress(BadRequest, UnicodeDecodeError):
        parse_json(data.decode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1,]",
        '{"a": 1,}',
        "'a'",
        "{a: 1}",
        "1 2",
        "\ufeff1",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        "-1e999",
        "1" * 5000,
        "-" + "1" * 5000,
        r'"\ud800"',
        r'{"\udfff": 1}',
        r'["\ud800x\udc00"]',
        '"\x01"',
    ],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_json(text)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert parse_json(r'"\ud83d\ude00"') == "\U0001f600"


def test_nesting_is_accepted_up_to_the_limit() -> None:
    assert parse_json("[" * 200 + "]" * 200)
    assert parse_json('{"a":' * 200 + "1" + "}" * 200)
    assert len(parse_json(f"[{','.join(['[]'] * 1000)}]")) == 1000


@pytest.mark.parametrize("depth", [201, 999, 100_000])
@pytest.mark.parametrize(("opening", "middle", "closing"), [("[", "", "]"), ('{"a":', "1", "}"), ('[{"a":', "1", "}]")])
def test_deeper_nesting_is_refused(depth: int, opening: str, middle: str, closing: str) -> None:
    with pytest.raises(BadRequest):
        parse_json(opening * depth + middle + closing * depth)


def test_a_nesting_bomb_is_refused_whether_it_is_closed_or_not() -> None:
    for bomb in ("[" * 10_000_000, '{"a":' * 2_000_000):
        with pytest.raises(BadRequest):
            parse_json(bomb)


def test_refusals_name_no_python() -> None:
    with pytest.raises(BadRequest) as refused:
        parse_json("9" * 5000)
    assert "sys." not in refused.value.message


# --- numbers and names -----------------------------------------------------------------------------------------------


@given(st.integers())
def test_a_whole_number_is_read(number: int) -> None:
    assert whole_number(f" {number} ") == number


@pytest.mark.parametrize("text", ["", " ", "1.0", "1e3", "1_000", "0x10", "--1", "\u0664", "one", "1 2", "9" * 5000])
def test_other_texts_are_no_whole_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        whole_number(text)


@pytest.mark.parametrize(
    ("camel", "snake"),
    [("maxUses", "max_uses"), ("useContainerUid", "use_container_uid"), ("logEx", "log_ex"), ("image", "image")],
)
def test_both_spellings_name_one_field(camel: str, snake: str) -> None:
    assert snake_case(camel) == snake
    assert snake_case(snake) == snake
    assert camel_case(snake) == camel


# --- forms and queries -----------------------------------------------------------------------------------------------


@given(st.text())
def test_any_query_is_read_or_a_bad_request(text: str) -> None:
    with suppress(BadRequest):
        parse_query(text)


def test_pairs_keep_their_order_and_their_repetitions() -> None:
    assert parse_query("b=1&a=2&b=&c") == (("b", "1"), ("a", "2"), ("b", ""), ("c", ""))
    assert parse_form("b=1&a=2&b=+%2B") == (("b", "1"), ("a", "2"), ("b", " +"))


def test_odd_but_harmless_queries_are_tolerated() -> None:
    assert parse_query('status.in=["A","B"]&&%zz=%&=') == (("status.in", '["A","B"]'), ("%zz", "%"), ("", ""))


def test_pairs_that_are_no_text_are_refused() -> None:
    for read in (parse_query, parse_form):
        with pytest.raises(BadRequest):
            read("a=%ff")


def test_thousands_of_parameters_are_refused() -> None:
    assert len(parse_query("&".join(["a=1"] * 1000))) == 1000
    with pytest.raises(BadRequest):
        parse_query("&".join(["a=1"] * 2000))


# --- multipart -------------------------------------------------------------------------------------------------------


def test_a_multipart_form_is_read_in_order() -> None:
    body = multipart(field("b", "1\r\n2"), field("a", ""), field("b", "ü"))
    assert parse_multipart(body, LABEL) == (("b", "1\r\n2"), ("a", ""), ("b", "ü"))


def test_a_multipart_form_may_have_a_preamble_an_epilogue_and_further_headers() -> None:
    part = "Content-Type: text/plain; charset=nonsense\r\ncontent-disposition: Form-Data; NAME=a\r\n\r\n1"
    body = b"before\r\n" + multipart(part, end="--line-- \r\nafter")
    assert parse_multipart(body, f"{MULTIPART}; charset=x; Boundary=line") == (("a", "1"),)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--line",
        b"--line\r\n",
        multipart(field("a", "1"), end=""),
        multipart(field("a", "1"), end="--line\r\n"),
        multipart("no header at all"),
        multipart('Content-Disposition: form-data; name="a"'),
        multipart("Content-Disposition: form-data\r\n\r\n1"),
        multipart('Content-Disposition: attachment; name="a"\r\n\r\n1'),
        multipart('Content-Disposition: form-data; name="a"; filename="b"\r\n\r\n1'),
        multipart(field("a", "1")).replace(b"1", b"\xff"),
        multipart(field("a", "1")).replace(b'"a"', b'"\xff"'),
        multipart(*[field("a", "1")] * 1001),
    ],
)
def test_broken_multipart_forms_are_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_multipart(body, LABEL)


def test_a_multipart_form_without_a_boundary_is_refused() -> None:
    for label in (MULTIPART, f"{MULTIPART}; boundary=", f'{MULTIPART}; boundary=""'):
        with pytest.raises(BadRequest):
            parse_multipart(multipart(field("a", "1")), label)


def test_a_multipart_form_may_have_many_fields_but_not_all_there_are() -> None:
    assert len(parse_multipart(multipart(*[field("a", "1")] * 1000), LABEL)) == 1000


@given(st.binary() | st.lists(st.sampled_from([b"--line", b"\r\n", b"--", b"a", b'form-data; name="a"'])).map(b"".join))
def test_any_multipart_body_is_read_or_a_bad_request(body: bytes) -> None:
    with suppress(BadRequest):
        parse_multipart(body, LABEL)
