"""A search as a user asks for it: reading the parameters of a query into conditions (seeds: Database Search)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import re2

from abacod.errors import InvalidField
from abacod.models.search_values import Operand, Scalar, datetime_of, list_of, value_of

TIME_FIELDS: Final = frozenset(
    {
        "create_time",
        "last_update_time",
        "message_received_time",
        "start_time",
        "finish_time",
        "last_execution_time",
        "last_health_check_time",
        "final_state.StartedAt",
        "final_state.FinishedAt",
    }
)
"""The fields whose values are read as times (spec/actors-api 9, Value conversion)."""

# Longest pattern of `like`, in characters, and the memory its automaton may take, in bytes.
_MAX_PATTERN: Final = 1000
_PATTERN_MEMORY: Final = 1 << 20
# Words of one text to search for; a natural question has far fewer.
_MAX_WORDS: Final = 100
# Longest number of records, in digits; longer ones do not fit into the database's whole numbers.
_MAX_DIGITS: Final = 15
# Names that no path into JSON can spell.
_UNSPEAKABLE: Final = re.compile(r'["\\\x00-\x1f]')
_WORD: Final = re.compile(r"[^\W_]+")
_SHOWN: Final = 80


class Operator(StrEnum):
    """What a condition asks; as the suffix of a parameter's name."""

    EQ = "eq"
    NEQ = "neq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    NIN = "nin"
    LIKE = "like"
    NLIKE = "nlike"
    BETWEEN = "between"


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold of a record. `field` is the way to it, from the record's own fields inwards.

    `operands` are the values to compare with; for `like` and `nlike` the pattern; for `between` the lower and the upper end.
    """

    field: tuple[str, ...]
    operator: Operator
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for: all conditions must hold, each of `any_words` must share a word with the record, each of `phrases`
    must occur in it. `limit` and `skip` are numbers of records.
    """

    limit: int
    skip: int = 0
    conditions: tuple[Condition, ...] = ()
    any_words: tuple[tuple[str, ...], ...] = ()
    phrases: tuple[str, ...] = ()

    @property
    def about_text(self) -> bool:
        """Whether the full-text index is needed."""
        return bool(self.any_words or self.phrases)


@dataclass(frozen=True, slots=True)
class Limits:
    """`default` and `most` are numbers of records in an answer, `conditions` of parameters in a query."""

    default: int
    most: int
    conditions: int


def read_query(pairs: Iterable[tuple[str, str]], limits: Limits) -> Query:
    """The search that the parameters ask for; their names begin with a field's name in snake case.

    Raises:
        InvalidField: a parameter makes no sense; the message names it.
    """
    numbers: dict[str, int] = {}
    conditions: list[Condition] = []
    any_words: list[tuple[str, ...]] = []
    phrases: list[str] = []
    for count, (name, value) in enumerate(pairs):
        if count >= limits.conditions:
            raise InvalidField(f"Invalid search: it has more than {limits.conditions} parameters; give fewer.")
        match name:
            case "limit":
                _set_once(numbers, name, _number(name, value, limits.most))
            case "skip" | "offset":
                _set_once(numbers, "skip", _number(name, value, 10**_MAX_DIGITS - 1))
            case "search":
                any_words.append(tuple(_words(name, value)))
            case "exactsearch":
                phrases.append(_phrase(name, value))
            case _:
                conditions.append(_condition(name, value))
    return Query(
        limit=numbers.get("limit", min(limits.default, limits.most)),
        skip=numbers.get("skip", 0),
        conditions=tuple(conditions),
        any_words=tuple(any_words),
        phrases=tuple(phrases),
    )


def words_of(text: str) -> list[str]:
    """The words of a text: what stands between spaces and punctuation."""
    return _WORD.findall(text)


def finder(pattern: str) -> Callable[[str], object]:
    """A function that looks for the pattern, in a time that grows only with the text; it gives None if there is none.

    Raises:
        ValueError: it is no pattern, or takes too much memory; the message says what is wrong.
    """
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY
    options.log_errors = False
    try:
        find: Callable[[str], object] = re2.compile(pattern, options).search
    except re2.error as error:
        reason = error.args[0] if error.args else "it is malformed"
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from error
    return find


def exact_pattern(phrase: str) -> str:
    """A pattern for the very words of a phrase, in any case; the full-text index alone would also find their other forms."""
    return rf"(?i)(?:^|[^\pL\pN])\s*{re2.escape(phrase.strip())}(?:$|[^\pL\pN])"


# --- one parameter --------------------------------------------------------------------------------------------------


def _condition(name: str, value: str) -> Condition:
    *front, last = name.split(".")
    try:
        operator, field = Operator(last), tuple(front)
    except ValueError:
        operator, field = Operator.EQ, (*front, last)
    if _UNSPEAKABLE.search(name):
        raise _invalid(name, "a field's name with quotes, backslashes or control characters cannot be searched")
    is_time = ".".join(field) in TIME_FIELDS
    try:
        return Condition(field, operator, _operands(operator, value, is_time=is_time))
    except ValueError as error:
        raise _invalid(name, f"{_cut(value)!r}: {error}") from error


def _operands(operator: Operator, value: str, *, is_time: bool) -> tuple[Operand, ...]:
    match operator:
        case Operator.LIKE | Operator.NLIKE:
            if len(value) > _MAX_PATTERN:
                raise ValueError(f"a pattern has at most {_MAX_PATTERN} characters")
            finder(value)
            return (value,)
        case Operator.IN | Operator.NIN:
            return tuple(_element(item, is_time=is_time) for item in list_of(value))
        case Operator.BETWEEN:
            ends = value.split(",")
            if len(ends) != 2:  # noqa: PLR2004 - a lower and an upper one
                raise ValueError("give two values with a comma between them")
            return tuple(value_of(end.strip(), is_time=is_time) for end in ends)
        case _:
            return (value_of(value, is_time=is_time),)


def _element(item: Scalar, *, is_time: bool) -> Operand:
    return datetime_of(item) if is_time and isinstance(item, str) else item


def _number(name: str, value: str, most: int) -> int:
    text = value.strip()
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS or int(text) > most:
        raise _invalid(name, f"{_cut(value)!r}: give a whole number from 0 to {most}")
    return int(text)


def _set_once(numbers: dict[str, int], name: str, number: int) -> None:
    if name in numbers:
        raise _invalid(name, "it is given more than once; give it once")
    numbers[name] = number


def _words(name: str, text: str) -> list[str]:
    words = words_of(text)
    if len(words) > _MAX_WORDS:
        raise _invalid(name, f"it has more than {_MAX_WORDS} words; give fewer")
    return words


def _phrase(name: str, text: str) -> str:
    _words(name, text)
    try:
        if len(text) > _MAX_PATTERN:
            raise ValueError(f"a text has at most {_MAX_PATTERN} characters")
        finder(exact_pattern(text))
    except ValueError as error:
        raise _invalid(name, f"{_cut(text)!r}: {error}") from error
    return text


def _cut(value: str) -> str:
    return value if len(value) <= _SHOWN else value[:_SHOWN] + "…"


def _invalid(name: str, problem: str) -> InvalidField:
    return InvalidField(f"Invalid search: {_cut(name)}: {problem}.")
