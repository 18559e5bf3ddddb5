"""The types of fields in requests, and how a wrong one is told (spec/actors-api 1.5, 1.6)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError

from abacod.api.body import whole_number
from abacod.errors import InvalidField
from abacod.models.search_values import datetime_of

M = TypeVar("M", bound=BaseModel)

_MAX_INT: Final = 2**53


def _boolean(value: object) -> object:
    """True and false, as JSON or as text; the number 1 is none (spec/actors-api 1.5)."""
    if isinstance(value, bool):
        return value
    texts = {"true": True, "1": True, "false": False, "0": False}
    if isinstance(value, str) and value.lower() in texts:
        return texts[value.lower()]
    raise ValueError("give true or false")


def _integer(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("give a whole number")
    try:
        number = value if isinstance(value, int) else whole_number(value)
    except ValueError:
        raise ValueError("give a whole number") from None
    if abs(number) > _MAX_INT:
        raise ValueError("give a number nearer to zero")
    return number


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("give a text")
    return value


def _texts(value: object) -> object:
    """A text or a list of texts."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(each, str) for each in values):
        raise ValueError("give a text or a list of texts")
    return tuple(values)


def _objects(value: object) -> object:
    if not isinstance(value, list | tuple) or not all(isinstance(each, dict | str) for each in value):
        raise ValueError("give a list of objects")
    return tuple(value)


def _object(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError("give an object")
    return value


def _time(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("give a time, such as 2019-02-15T21:30:09Z")
    return datetime_of(value)


Boolean = Annotated[bool, BeforeValidator(_boolean)]
Integer = Annotated[int, BeforeValidator(_integer)]
Text = Annotated[str, BeforeValidator(_text)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Objects = Annotated[tuple[Any, ...], BeforeValidator(_objects)]
"""Objects, and texts where the field says what they stand for."""
OneObject = Annotated[dict[str, Any], BeforeValidator(_object)]
Time = Annotated[datetime, BeforeValidator(_time)]


def validated(model: type[M], given: Mapping[str, Any], kind: str) -> M:
    """The fields of a request as the model wants them; `kind` is what they describe, for the message.

    Raises:
        InvalidField: a field is missing or wrong; the message names each such field with what to give.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InvalidField(f"Invalid {kind} description: {_problems(model, error)}") from error


def _problems(model: type[BaseModel], error: ValidationError) -> Mapping[str, str]:
    """Field by field: what is wrong and what to give."""
    problems: dict[str, str] = {}
    for item in error.errors(include_url=False, include_context=False):
        field = str(item["loc"][0])
        known = model.model_fields.get(field)
        help_text = (known.description or "") if known else f"The fields are {', '.join(model.model_fields)}."
        problem = f"{item['msg'].removeprefix('Value error, ')}. {help_text}"
        problems.setdefault(field, problem)
    return problems
