"""What the value of a search parameter means: every value comes as text (seeds: Database Search, Inputs)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

Scalar = str | int | float | bool | None
Operand = Scalar | datetime | tuple[Any, ...]
"""Something a field is compared with; a tuple is a list, compared as a whole."""

_INT64: Final = 2**63
_NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,5})?")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}")
# Texts within JSON: with double quotes as they should be, with single ones, and with those a text processor makes of both.
_QUOTED: Final = re.compile(
    r"""("(?:[^"\\]|\\.)*") | '((?:[^'\\]|\\.)*)'
        | [\u201c\u201d]([^\u201c\u201d]*)[\u201c\u201d] | [\u2018\u2019]([^\u2018\u2019]*)[\u2018\u2019]""",
    re.DOTALL | re.VERBOSE,
)
_MOMENT: Final = re.compile(
    r"""
    ([0-9]{4}) (?:- ([0-9]{2}) (?:- ([0-9]{2})
      (?:[Tt] ([0-9]{2}) (?:: ([0-9]{2}) (?:: ([0-9]{2}) (?:[.:] ([0-9]{1,12}))? )? )? )? )? )?
    ([Zz] | [+\- ][0-9]{2}:?[0-9]{2})?
    """,
    re.VERBOSE,
)
_MOMENT_HELP: Final = "give a time as 2020-04-29T20:15:52.246-06:00, or only its beginning, as 2020-04"


def value_of(text: str, *, is_time: bool) -> Operand:
    """The value that a text stands for; `is_time` says that it is compared with a time (spec/actors-api 9, Value conversion).

    Raises:
        ValueError: it is an object, or should be a time and is none.
    """
    word = text.strip().lower()
    if word in ("true", "false"):
        return word == "true"
    if word == "none":
        return None
    if is_time:
        return datetime_of(text)
    if _NUMBER.fullmatch(text.strip()):
        return _number(text.strip())
    try:
        value = _json(text)
    except ValueError:
        return text
    return _checked(value)


def list_of(text: str) -> tuple[Scalar, ...]:
    """The elements of a list of plain values, with any kind of quotes.

    Raises:
        ValueError: it is no such list.
    """
    try:
        value = _json(text)
    except ValueError:
        value = None
    if not isinstance(value, list) or any(isinstance(item, list | dict) for item in value):
        raise ValueError('give a list of texts or numbers, as ["READY","BUSY"]')
    for item in value:
        _check_text(item)
    return tuple(_bounded(item) for item in value)


def datetime_of(text: str) -> datetime:
    """The moment that a text names, in UTC and cut to whole milliseconds; what is missing takes its least value.

    A space before the zone is the plus sign, which means a space in a query (spec/actors-api 9, Datetimes).

    Raises:
        ValueError: it names none.
    """
    match = _MOMENT.fullmatch(text.strip())
    if match is None:
        raise ValueError(_MOMENT_HELP)
    *parts, fraction, zone = match.groups()
    year, month, day, hour, minute, second = (
        int(part) if part else least for part, least in zip(parts, (1, 1, 1, 0, 0, 0), strict=True)
    )
    milliseconds = int((fraction or "0").ljust(3, "0")[:3])
    try:
        moment = datetime(year, month, day, hour, minute, second, milliseconds * 1000, tzinfo=_zone(zone))
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(_MOMENT_HELP) from error


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    sign = -1 if text[0] == "-" else 1
    hours, minutes = int(text[1:3]), int(text[-2:])
    if minutes > 59:  # noqa: PLR2004 - minutes of an hour
        raise ValueError("an hour has 60 minutes")
    return timezone(sign * timedelta(hours=hours, minutes=minutes))


def _number(text: str) -> int | float:
    # A whole number stays one where the database has such: large sums of nanoseconds would lose their last digits.
    if _WHOLE.fullmatch(text):
        whole = int(text)
        return whole if -_INT64 <= whole < _INT64 else float(whole)
    return float(text)


def _bounded(value: Any) -> Any:
    """The value, as a number of the kind the database can hold."""
    if isinstance(value, int) and not isinstance(value, bool) and not -_INT64 <= value < _INT64:
        return float(value) if abs(value) < 10**300 else float("inf") * (1 if value > 0 else -1)
    return value


def _json(text: str) -> Any:
    """The value of a JSON text in which texts may have any kind of quotes.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(_QUOTED.sub(_with_double_quotes, text), parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _with_double_quotes(match: re.Match[str]) -> str:
    if match[1] is not None:
        return match[1]
    if match[2] is not None:
        return json.dumps(re.sub(r"\\(.)", r"\1", match[2], flags=re.DOTALL))
    return json.dumps(match[3] if match[3] is not None else match[4])


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _checked(value: Any) -> Operand:
    """The value, if it holds no object: such could only be meant for a document store's own language.

    Raises:
        ValueError: it does.
    """
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            raise ValueError("an object is no value to compare with; give the field within it, as final_state.ExitCode")
        if isinstance(item, list):
            waiting += item
        else:
            _check_text(item)
    return tuple(value) if isinstance(value, list) else _bounded(value)


def _check_text(value: object) -> None:
    try:
        if isinstance(value, str):
            value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("it holds half of a surrogate pair, which is no character") from error
