"""Job definitions: what a user may ask of an app, checked before anything is accepted (docs/reference/apps.md)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import re2

from abacod.errors import BatchJobRefused, InvalidField, PathRefused
from abacod.models.app import AppDescription, AppParameter, ValueType
from abacod.models.batch_job import BatchStatus, Hook
from abacod.models.message import MAX_ENVIRONMENT_STRING_BYTES
from abacod.services.batch.description import check_variable, run_seconds, unwritable
from abacod.services.storage.systems import Place
from abacod.services.webhooks import site_of

_LONGEST_NAME: Final = 256
_LONGEST_URL: Final = 8192
_MOST_HOOKS: Final = 50
# What fits into an environment beside everything else, all values together. In bytes.
_MOST_ROOM: Final = 1_000_000
_EVENT: Final = re.compile(r"[A-Za-z_]{1,40}", re.ASCII)
_KEPT: Final = frozenset({"inputs", "parameters", "notifications"})

Split = Callable[[str], Place]
"""What a URI means. Raises PathRefused."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A definition that fits its app. `rest` is all of it that has no other place here; `archive_system` and
    `archive_path` are None where the definition has none."""

    name: str
    inputs: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, Any]
    hooks: tuple[Hook, ...]
    run_seconds: int | None
    archive: bool
    archive_system: str | None
    archive_path: str | None
    rest: Mapping[str, Any]


def checked(definition: Mapping[str, Any], app: AppDescription, split: Split) -> Wanted:
    """Fit a definition to its app, with the app's defaults where it gives no value.

    Raises:
        BatchJobRefused: it does not fit; the message names the field and what to do.
    """
    if (problem := unwritable(definition)) is not None:
        raise _refused("the document", problem)
    given_inputs = _object(definition, "inputs")
    given_parameters = _object(definition, "parameters")
    inputs = _inputs(given_inputs, app, split)
    parameters = _parameters(given_parameters, app)
    if both := inputs.keys() & parameters.keys():
        raise _refused(min(both), "it is an input and a parameter; each needs a name of its own")
    if sum(len(text_of(value).encode()) for value in parameters.values()) > _MOST_ROOM:
        raise _refused("parameters", f"together they are longer than {_MOST_ROOM} bytes; put large values into a file")
    archive_system = _text(definition, "archiveSystem")
    archive_path = _text(definition, "archivePath")
    try:
        place = split(f"agave://{archive_system}/") if archive_system else None
        if archive_path and place:
            split(f"agave://{archive_system}/{archive_path}")
    except PathRefused as error:
        raise _refused("archiveSystem and archivePath", error.message) from error
    return Wanted(
        name=_name(definition, app),
        inputs=inputs,
        parameters=parameters,
        hooks=_hooks(definition.get("notifications")),
        run_seconds=_run_seconds(definition, app),
        archive=_flag(definition, "archive", default=True),
        archive_system=archive_system,
        archive_path=archive_path,
        rest={name: value for name, value in definition.items() if name not in _KEPT},
    )


def text_of(value: Any) -> str:
    """A parameter's value as the app sees it: texts as they are, lists joined by spaces, all else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return " ".join(map(text_of, value))
    return json.dumps(value)


def file_name(uri: str) -> str:
    """The name that an input has in the work directory."""
    return uri.rstrip("/").rpartition("/")[2]


def _refused(field: str, problem: str) -> BatchJobRefused:
    shown = f"{field[:200]}: {problem.rstrip('.')}."
    return BatchJobRefused(f"Invalid job definition: {shown}".encode("utf-8", "backslashreplace").decode())


def _object(definition: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = definition.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _refused(field, "give an object of names and values")
    return value


def _text(definition: Mapping[str, Any], field: str) -> str | None:
    value = definition.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _refused(field, "give a text")
    return value


def _flag(definition: Mapping[str, Any], field: str, *, default: bool) -> bool:
    value = definition.get(field)
    if value is None:
        return default
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise _refused(field, "give true or false")
    return value


def _name(definition: Mapping[str, Any], app: AppDescription) -> str:
    name = _text(definition, "name") or app.id
    if len(name) > _LONGEST_NAME or not _is_plain(name):
        raise _refused("name", f"use up to {_LONGEST_NAME} characters, with no NUL and no half of a surrogate pair")
    return name


def _is_plain(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _run_seconds(definition: Mapping[str, Any], app: AppDescription) -> int | None:
    text = _text(definition, "maxRunTime")
    if text is None:
        return app.run_seconds
    try:
        return run_seconds(text)
    except ValueError as error:
        raise _refused("maxRunTime", str(error)) from error


# --- inputs and parameters -------------------------------------------------------------------------------------------


def _inputs(given: Mapping[str, Any], app: AppDescription, split: Split) -> dict[str, tuple[str, ...]]:
    _check_names("inputs", given, [each.id for each in app.inputs])
    found = {name: _uris(name, value, split) for name, value in given.items() if value not in (None, "", [])}
    for declared in app.inputs:
        if declared.id not in found and declared.default:
            found[declared.id] = _uris(declared.id, declared.default, split)
        if declared.id not in found and declared.required:
            raise _refused(f"inputs.{declared.id}", f"the app {app.id} needs it; name a file as agave://SYSTEM/PATH")
    names = [file_name(uri) for uris in found.values() for uri in uris]
    if twice := {name for name in names if names.count(name) > 1}:
        raise _refused("inputs", f"two of them are called {min(twice)}; the app finds all of them in one directory")
    return found


def _uris(name: str, value: Any, split: Split) -> tuple[str, ...]:
    uris = [value] if isinstance(value, str) else value
    if not isinstance(uris, list | tuple) or not all(isinstance(uri, str) for uri in uris):
        raise _refused(f"inputs.{name}", "give the URI of a file, or an array of such")
    try:
        places = [split(uri) for uri in uris]
    except PathRefused as error:
        raise _refused(f"inputs.{name}", error.message) from error
    for place in places:
        if not file_name(place.path):
            raise _refused(f"inputs.{name}", f"{place.uri} is a whole storage system; name a file or directory in it")
    return tuple(place.uri for place in places)


def _parameters(given: Mapping[str, Any], app: AppDescription) -> dict[str, Any]:
    _check_names("parameters", given, [each.id for each in app.parameters])
    found = {name: value for name, value in given.items() if value is not None}
    for declared in app.parameters:
        if declared.id not in found and declared.default is not None:
            found[declared.id] = declared.default
        if declared.id in found:
            _check_value(declared, found[declared.id])
        elif declared.required:
            raise _refused(f"parameters.{declared.id}", f"the app {app.id} needs it; give a {declared.type}")
    for name, value in found.items():
        _check_text(f"parameters.{name}", value)
    return found


def _check_names(field: str, given: Mapping[str, Any], declared: list[str]) -> None:
    """What an app does not declare is refused if it declares anything of that kind."""
    for name in given:
        if declared and name not in declared:
            raise _refused(f"{field}.{name}", f"the app has no such name; it has {', '.join(declared)}")
        try:
            check_variable(name, field)
        except InvalidField as error:
            raise BatchJobRefused(f"Invalid job definition: {error.message}") from error


def _check_value(declared: AppParameter, value: Any) -> None:
    field = f"parameters.{declared.id}"
    for each in value if isinstance(value, list) else [value]:
        match declared.type:
            case ValueType.STRING if not isinstance(each, str):
                raise _refused(field, "give a text")
            case ValueType.NUMBER if isinstance(each, bool) or not isinstance(each, int | float):
                raise _refused(field, "give a number")
            case ValueType.BOOL | ValueType.FLAG if not isinstance(each, bool):
                raise _refused(field, "give true or false")
            case ValueType.ENUMERATION if text_of(each) not in declared.choices:
                raise _refused(field, f"give one of {', '.join(declared.choices)}")
        if declared.validator and _is_plain(text_of(each)) and not re2.search(declared.validator, text_of(each)):
            raise _refused(field, f"it does not match {declared.validator}")


def _check_text(field: str, value: Any) -> None:
    values = value if isinstance(value, list) else [value]
    for each in values:
        if isinstance(each, float) and not math.isfinite(each):
            raise _refused(field, "give a finite number")
        if not isinstance(each, str | int | float | bool) or (isinstance(each, str) and not _is_plain(each)):
            raise _refused(field, "give a text, a number, true or false, or an array of such")
    if len(text_of(value).encode()) > MAX_ENVIRONMENT_STRING_BYTES // 2:
        raise _refused(field, f"it is longer than {MAX_ENVIRONMENT_STRING_BYTES // 2} bytes; put it into a file")


# --- notifications -----------------------------------------------------------------------------------------------------


def _hooks(given: Any) -> tuple[Hook, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise _refused("notifications", "give an array of objects with url, event and persistent")
    if len(given) > _MOST_HOOKS:
        raise _refused("notifications", f"give at most {_MOST_HOOKS}")
    return tuple(_hook(f"notifications.{number}", each) for number, each in enumerate(given))


def _hook(field: str, given: Mapping[str, Any]) -> Hook:
    url, event = given.get("url"), given.get("event", "*")
    if not isinstance(url, str) or len(url) > _LONGEST_URL or not _is_url(url):
        raise _refused(f"{field}.url", f"give an http or https URL of up to {_LONGEST_URL} characters")
    # Also statuses that are never sent from here: a definition may be one that was written for Agave.
    if not isinstance(event, str) or (event != "*" and not _EVENT.fullmatch(event)):
        raise _refused(f"{field}.event", f"give * or a status: {', '.join(BatchStatus)}")
    return Hook(url, site_of(url), event.upper(), _flag(given, "persistent", default=False))


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and _is_plain(url)
    except ValueError:
        return False
