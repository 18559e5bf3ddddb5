"""From the conditions of a search to SQL, for all four databases alike.

What a user gives only ever becomes a parameter. Values compare as in a document store: only with values of their own kind,
a list holds if one of its elements does, and a field that is not there equals null and is different from everything else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from abacod.clock import to_ms
from abacod.models.search import Condition, Operator, finder
from abacod.models.search_values import Operand
from abacod.store.search_fields import Field, Kind, Searched

MATCHES: Final = "matches"
"""The SQL function that looks for a pattern: number of the pattern, text or bytes."""

_NOTHING: Final = "0"
_ELEMENTS: Final = "(SELECT value FROM json_each({}))"
_SOME_ELEMENT: Final = "EXISTS (SELECT 1 FROM json_each({}, {}) AS e WHERE "
_COMPARISONS: Final = {Operator.GT: ">", Operator.GTE: ">=", Operator.LT: "<", Operator.LTE: "<="}
_OPPOSITES: Final = {Operator.NEQ: Operator.EQ, Operator.NIN: Operator.IN, Operator.NLIKE: Operator.LIKE}
_JSON_TYPES: Final = {Kind.TEXT: "('text')", Kind.NUMBER: "('integer', 'real')", Kind.TIME: "('text')"}


class Translation:
    """The SQL of conditions, with its parameters and patterns, as it grows."""

    def __init__(self, searched: Searched) -> None:
        self._fields = searched.fields
        self.parameters: dict[str, Any] = {}
        self._patterns: list[Callable[[str], object]] = []

    def sql(self, conditions: Iterable[Condition]) -> str:
        """An SQL expression that is 1 for the rows of which all conditions hold."""
        return " AND ".join(["1", *map(self._condition, conditions)])

    def parameter(self, value: Any) -> str:
        """A name for a value, to be put into SQL."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def pattern(self, pattern: str) -> str:
        """A number for a pattern, to be given to `MATCHES`."""
        self._patterns.append(finder(pattern))
        return str(len(self._patterns) - 1)

    def matches(self, number: int, value: object) -> bool:
        """The SQL function `MATCHES`."""
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        return isinstance(value, str) and self._patterns[number](value) is not None

    def _condition(self, condition: Condition) -> str:
        opposite = _OPPOSITES.get(condition.operator)
        if opposite is not None:
            # Not `NOT`: what is unknown because the field is not there is different, too.
            return f"(({self._holds(condition, opposite)}) IS NOT 1)"
        return f"({self._holds(condition, condition.operator)})"

    def _holds(self, condition: Condition, operator: Operator) -> str:
        name, *inner = condition.field or ("",)
        field = self._fields.get(name)
        if field is None or (inner and field.kind is not Kind.JSON):
            found: _Scalar | _InJson = _Absent()
        elif field.kind is Kind.JSON:
            path = "$" + "".join(f'."{part}"' for part in (*field.path, *inner))
            found = _InJson(self, field.sql, self.parameter(path))
        else:
            found = _Scalar(self, field)
        match operator:
            case Operator.EQ | Operator.IN:
                return found.equals(condition.operands)
            case Operator.BETWEEN:
                low, high = condition.operands
                return f"{found.compares('>=', low)} AND {found.compares('<=', high)}"
            case Operator.LIKE:
                (pattern,) = condition.operands
                return found.matches(self.pattern(str(pattern)))
            case _:
                return found.compares(_COMPARISONS[operator], condition.operands[0])


class _Scalar:
    """A field with a column of its own, whose values are all of one kind."""

    def __init__(self, translation: Translation, field: Field) -> None:
        self._translation = translation
        self._field = field

    def equals(self, values: tuple[Operand, ...]) -> str:
        sql = self._field.sql
        alike = [_stored(value) for value in values if _kind_of(value) is self._field.kind]
        found = [f"{sql} IS NULL"] if None in values else []
        if len(alike) == 1:
            found.append(f"{sql} = {self._translation.parameter(alike[0])}")
        elif alike:
            found.append(f"{sql} IN {_ELEMENTS.format(self._translation.parameter(_json(alike)))}")
        return " OR ".join(found) or _NOTHING

    def compares(self, operator: str, value: Operand) -> str:
        if _kind_of(value) is not self._field.kind:
            return _NOTHING
        return f"{self._field.sql} {operator} {self._translation.parameter(_stored(value))}"

    def matches(self, pattern: str) -> str:
        if self._field.kind is Kind.NUMBER:
            return _NOTHING
        return f"{MATCHES}({pattern}, {self._field.readable or self._field.sql})"


class _Absent(_Scalar):
    """A field that no record has."""

    def __init__(self) -> None:
        """Nothing to remember."""

    def equals(self, values: tuple[Operand, ...]) -> str:
        return "1" if None in values else _NOTHING

    def compares(self, operator: str, value: Operand) -> str:
        return _NOTHING

    def matches(self, pattern: str) -> str:
        return _NOTHING


class _InJson:
    """A field within a column of JSON, whose values may be of any kind."""

    def __init__(self, translation: Translation, sql: str, path: str) -> None:
        self._translation = translation
        self._type = f"json_type({sql}, {path})"
        self._value = f"json_extract({sql}, {path})"
        # For a plain value one row, for a list one for each element. Of an object this would be its fields: those have names.
        self._elements = f"({self._type} IS NOT 'object') AND {_SOME_ELEMENT.format(sql, path)}"

    def equals(self, values: tuple[Operand, ...]) -> str:
        return " OR ".join(self._equals(value) for value in values) or _NOTHING

    def _equals(self, value: Operand) -> str:
        if value is None:
            return f"coalesce({self._type}, 'null') = 'null'"
        if isinstance(value, bool):
            return f"({self._elements} e.type = '{str(value).lower()}'))"
        if isinstance(value, tuple):
            return f"({self._type} = 'array' AND {self._value} = json({self._translation.parameter(_json(value))}))"
        return f"({self.compares('=', value)})"

    def compares(self, operator: str, value: Operand) -> str:
        kind = _kind_of(value)
        if kind is None:
            return _NOTHING
        # Times within JSON are text, in the one form whose alphabetical order is that of time.
        operand = _iso(value) if isinstance(value, datetime) else value
        return f"({self._elements} e.type IN {_JSON_TYPES[kind]} AND e.atom {operator} {self._translation.parameter(operand)}))"

    def matches(self, pattern: str) -> str:
        return f"({self._elements} e.type = 'text' AND {MATCHES}({pattern}, e.atom)))"


def _kind_of(value: Operand) -> Kind | None:
    """The kind of fields that can equal the value; None for those without an order: null, truth values and lists."""
    if isinstance(value, str):
        return Kind.TEXT
    if isinstance(value, datetime):
        return Kind.TIME
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Kind.NUMBER
    return None


def _stored(value: Operand) -> Any:
    return to_ms(value) if isinstance(value, datetime) else value


def _iso(moment: datetime) -> str:
    # Not `strftime`, which leaves out the leading zeros of early years.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _json(values: Iterable[Any]) -> str:
    return json.dumps(list(values), ensure_ascii=False)
