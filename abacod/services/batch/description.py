"""App descriptions: Agave's, with what a container needs beside (docs/reference/apps.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import re2
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from abacod.errors import InvalidField
from abacod.models.actor import parse_memory
from abacod.models.app import AppDescription, AppInput, AppParameter, ValueType
from abacod.models.message import MAX_ENVIRONMENT_STRING_BYTES
from abacod.runtime.container_spec import is_reference
from abacod.services.environment import is_reserved

# The longest id, and its form (spec/pipelinejobs 1.2), which the reference gives as a pattern.
_LONGEST_ID: Final = 64
_ID: Final = re.compile(r"[a-zA-Z0-9_.-]+-(?:0|[1-9]+\d*)[\d.]*(?:u[0-9]+)?", re.ASCII)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RUN_TIME: Final = re.compile(r"(\d{1,4}):([0-5]\d):([0-5]\d)", re.ASCII)
_NANO: Final = 1_000_000_000
_MOST_CPUS: Final = 10_000
_OTHER_NAMES: Final = {"boolean": "bool", "enum": "enumeration"}
OWN_PREFIX: Final = "AGAVE_"
"""How the variables begin that tell an app of its job."""


def _choice(value: Any) -> Any:
    """Agave writes a choice as its value, or as an object from the value to a label."""
    if isinstance(value, dict) and len(value) == 1:
        return next(iter(value))
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class _Described(BaseModel):
    """Fields that are not known are Agave's own, and are kept."""

    model_config = ConfigDict(extra="allow", strict=True)


class _InputValue(_Described):
    default: str | list[str] | None = None
    required: bool = False


class _Input(_Described):
    id: str
    value: _InputValue = Field(default_factory=_InputValue)


class _ParameterValue(_Described):
    default: Any = None
    type: Annotated[ValueType, Field(strict=False)] = ValueType.STRING
    required: bool = False
    validator: str | None = None
    enum_values: list[Annotated[str, BeforeValidator(_choice)]] = Field(
        default=[], validation_alias=AliasChoices("enumValues", "enum_values")
    )

    @field_validator("type", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        return _OTHER_NAMES.get(value, value) if isinstance(value, str) else value


class _Parameter(_Described):
    id: str
    value: _ParameterValue = Field(default_factory=_ParameterValue)


class _App(_Described):
    id: str | None = None
    name: str | None = None
    version: str | None = None
    revision: int | str | None = None
    inputs: list[_Input] = []
    parameters: list[_Parameter] = []
    default_max_run_time: str | None = Field(default=None, alias="defaultMaxRunTime")
    is_public: bool = Field(default=True, alias="isPublic")
    image: str | None = None
    template: str | None = None
    command: list[str] | None = None
    entrypoint: list[str] | None = None
    engine: Literal["local", "agave", "tapis"] | None = None
    memory: str | None = None
    cpus: float | int | None = None
    environment: dict[str, str] = {}


def described(document: Mapping[str, Any]) -> AppDescription:
    """Read a description.

    Raises:
        InvalidField: something in it is missing or wrong; the message names it.
    """
    if (problem := unwritable(document)) is not None:
        raise _wrong("the document", problem)
    try:
        app = _App.model_validate(dict(document))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise _wrong(field, first["msg"].removeprefix("Value error, ")) from error
    identifier = _identifier(app)
    _check_run(app)
    names = [*(each.id for each in app.inputs), *(each.id for each in app.parameters)]
    for name in (*names, *app.environment):
        check_variable(name, "Invalid app description")
    if twice := {name for name in names if names.count(name) > 1}:
        raise _wrong("inputs and parameters", f"the id {min(twice)} is there twice; each needs its own")
    return AppDescription(
        id=identifier,
        document={**document, "id": identifier},
        image=app.image,
        template=app.template,
        command=None if app.command is None else tuple(app.command),
        entrypoint=None if app.entrypoint is None else tuple(app.entrypoint),
        engine=app.engine,
        memory=_memory(app.memory),
        nano_cpus=_nano_cpus(app.cpus),
        run_seconds=None if app.default_max_run_time is None else _run_time(app.default_max_run_time),
        is_public=app.is_public,
        environment=app.environment,
        inputs=tuple(map(_input, app.inputs)),
        parameters=tuple(map(_parameter, app.parameters)),
    )


def unwritable(value: Any) -> str | None:
    """Why a user's value cannot be stored as JSON, None if it can."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        return "it is nested too deeply"
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair, which is no character"
    except (ValueError, TypeError):
        return "it holds what JSON cannot write, such as NaN"
    return None


def run_seconds(text: str) -> int:
    """The seconds of `HH:MM:SS`.

    Raises:
        ValueError: it has another form, or is no time at all.
    """
    match = _RUN_TIME.fullmatch(text)
    hours, minutes, seconds = map(int, match.groups()) if match else (0, 0, 0)
    if not (total := 3600 * hours + 60 * minutes + seconds):
        raise ValueError(f"{text[:40]!r} is no running time; write HH:MM:SS, as 01:00:00")
    return total


def check_variable(name: str, what: str) -> None:
    """Whether a name can be, and may be, a variable in an app's environment.

    Raises:
        InvalidField: it is none, or the server sets it.
    """
    shown = name[:100].encode("ascii", "backslashreplace").decode()
    if len(name) > _LONGEST_ID or _VARIABLE.fullmatch(name) is None:
        raise InvalidField(
            f"{what}: {shown}: the name becomes a variable of a shell; use up to {_LONGEST_ID} letters, digits and _."
        )
    if is_reserved(name) or name.startswith(OWN_PREFIX):
        raise InvalidField(f"{what}: {shown}: the server sets this variable itself; use another name.")


def _wrong(field: str, problem: str) -> InvalidField:
    text = f"Invalid app description: {field}: {problem}."
    return InvalidField(text.encode("utf-8", "backslashreplace").decode())


def _identifier(app: _App) -> str:
    identifier = app.id
    if identifier is None:
        if app.name is None or app.version is None:
            raise _wrong("id", "give the id, or name and version")
        number = str(app.revision or "").removeprefix("u")
        identifier = f"{app.name}-{app.version}" + (f"u{number}" if number else "")
    if len(identifier) > _LONGEST_ID or _ID.fullmatch(identifier) is None:
        raise _wrong("id", f"use up to {_LONGEST_ID} characters, a name and a version, as wordcount-0.1.0 or wc-1.2u1")
    return identifier


def _check_run(app: _App) -> None:
    if app.image is not None and not is_reference(app.image):
        raise _wrong("image", "this is no name of an image; write it as for docker pull")
    # An app of another engine needs no image, and that engine may be the default.
    if app.image is None and app.engine == "local":
        raise _wrong("image", "name the image whose container runs the app")
    if app.template is not None and (app.command is not None or app.entrypoint is not None):
        raise _wrong("template", "a template is run instead of command and entrypoint; leave those out")
    for name, texts in (
        ("template", [app.template or ""]),
        ("command", app.command or []),
        ("entrypoint", app.entrypoint or []),
        ("environment", app.environment.values()),
    ):
        for text in texts:
            if not _is_text(text):
                raise _wrong(name, "it has a character in it that no argument can have")
            if name != "template" and len(text.encode()) > MAX_ENVIRONMENT_STRING_BYTES // 2:
                raise _wrong(name, f"a text is longer than {MAX_ENVIRONMENT_STRING_BYTES // 2} bytes")


def _is_text(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _memory(text: str | None) -> int | None:
    try:
        return None if text is None else parse_memory(text)
    except ValueError as error:
        raise _wrong("memory", str(error)) from error


def _nano_cpus(cpus: float | None) -> int | None:
    if cpus is None:
        return None
    if not 0.01 <= cpus <= _MOST_CPUS:  # noqa: PLR2004 - the least the engine takes
        raise _wrong("cpus", f"give a number of CPUs from 0.01 to {_MOST_CPUS}")
    return int(cpus * _NANO)


def _run_time(text: str) -> int:
    try:
        return run_seconds(text)
    except ValueError as error:
        raise _wrong("defaultMaxRunTime", str(error)) from error


def _input(given: _Input) -> AppInput:
    default = given.value.default
    if isinstance(default, list):
        return AppInput(given.id, given.value.required, tuple(default) or None)
    return AppInput(given.id, given.value.required, default or None)


def _parameter(given: _Parameter) -> AppParameter:
    value = given.value
    choices = tuple(value.enum_values)
    if value.type is ValueType.ENUMERATION and not choices:
        raise _wrong(f"parameters.{given.id}", "an enumeration needs its values in enumValues")
    if value.validator:
        try:
            re2.compile(value.validator)
        except (re2.error, UnicodeError) as error:
            raise _wrong(f"parameters.{given.id}.validator", "this regular expression cannot be used") from error
    default = None if value.default == "" and value.type is not ValueType.STRING else value.default
    return AppParameter(given.id, value.type, value.required, default, choices, value.validator or None)
