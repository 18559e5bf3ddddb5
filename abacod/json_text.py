"""Reading JSON that others wrote: nothing that JSON or UTF-8 cannot carry on, or that nobody can mean."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from abacod.errors import BadRequest

# Deepest nesting of JSON; far below the depth at which Python's own reader and writer give up.
_MAX_DEPTH: Final = 200
# Longest whole number read; the time Python takes to read one grows with the square of its length. In digits.
_MAX_DIGITS: Final = 4000
_BLANK: Final = " \t\r\n"


def parse(text: str, what: str) -> Any:
    """The value of a JSON text; `what` it is, for the message.

    Raises:
        BadRequest: it is malformed, nested too deeply, or holds what JSON or UTF-8 cannot carry on (NaN, 1e999, a lone
            surrogate) or nobody can mean (a name twice in one object, a number with thousands of digits).
    """
    try:
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise BadRequest(f"{what} is not valid JSON: {error}.") from error
    _check(value, text, 0, len(text))
    return value


def parse_all(text: str, what: str) -> Iterator[tuple[int, Any]]:
    """The values of JSON texts that follow each other, as the lines of a file do, each with the line on which it begins.

    Raises:
        BadRequest: as `parse`.
    """
    position, line = _skip(text, 0), 1
    counted = 0
    while position < len(text):
        line += text.count("\n", counted, position)
        counted = position
        try:
            value, end = _DECODER.raw_decode(text, position)
        except RecursionError as error:
            raise _too_deep() from error
        except json.JSONDecodeError as error:
            raise BadRequest(f"{what} is not valid JSON: {error}.") from error
        except ValueError as error:
            raise BadRequest(f"{what} is not valid JSON: {error} (in what begins on line {line}).") from error
        _check(value, text, position, end)
        yield line, value
        position = _skip(text, end)


def whole(text: str) -> int:
    """The whole number that digits spell.

    Raises:
        ValueError: there are thousands of them.
    """
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number has more than {_MAX_DIGITS} digits")
    return int(text)


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _BLANK:
        position += 1
    return position


def _check(value: Any, text: str, start: int, end: int) -> None:
    """Refuse what the decoder lets pass in the value that stands there in the text."""
    if text.count("[", start, end) + text.count("{", start, end) > _MAX_DEPTH:
        _check_depth(value)
    if text.find("\\u", start, end) >= 0 or text.find("\\U", start, end) >= 0:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise BadRequest("The JSON holds half of a surrogate pair, which is no character.") from error


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> BadRequest:
    return BadRequest(f"The JSON is nested more than {_MAX_DEPTH} levels deep.")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        repeated = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the name {repeated[:100]!r} stands twice in one object")
    return fields


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


_DECODER: Final = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, parse_int=whole, object_pairs_hook=_once_each
)
