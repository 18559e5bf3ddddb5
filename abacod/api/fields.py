"""The types of fields in requests, and how a wrong one is told (spec/actors-api 1.5, 1.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError

from abacod.api.body import whole_number
from abacod.errors import InvalidField

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


Boolean = Annotated[bool, BeforeValidator(_boolean)]
Integer = Annotated[int, BeforeValidator(_integer)]
Text = Annotated[str, BeforeValidator(_text)]


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
        help_text = model.model_fields[field].description or ""
        problem = f"{item['msg'].removeprefix('Value error, ')}. {help_text}"
        problems.setdefault(field, problem)
    return problems
