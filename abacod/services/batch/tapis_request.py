"""Agave's job definitions in the words of Tapis' jobs, version 3 (docs/how-to/batch-engines.md has the table)."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from abacod.errors import BatchJobRefused
from abacod.ids import TenantId

_APP: Final = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.~-]{0,79})-(?P<version>\d[A-Za-z0-9_.~-]{0,63})", re.ASCII)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RUN_TIME: Final = re.compile(r"(\d{1,4}):([0-5]?\d):([0-5]?\d)", re.ASCII)
_MEMORY: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(MB|GB|TB)", re.ASCII | re.IGNORECASE)
_MEGABYTES: Final = {"MB": 1, "GB": 1024, "TB": 1024 * 1024}
_URI: Final = re.compile(r"[a-z][a-z0-9+.-]*://\S", re.ASCII)
_LONGEST_NAME: Final = 64
_RESERVED: Final = "_tapis"
# Fields that only have another name, or the same.
_TEXTS: Final = {
    "archiveSystem": "archiveSystemId",
    "archivePath": "archiveSystemDir",
    "executionSystem": "execSystemId",
    "batchQueue": "execSystemLogicalQueue",
}
_NUMBERS: Final = {"nodeCount": "nodeCount", "processorsPerNode": "coresPerNode"}


class AppKey(NamedTuple):
    """What Tapis calls an app: its id and its version."""

    id: str
    version: str


def app_key(app_id: Any) -> AppKey | None:
    """The parts of `NAME-VERSION`, the version from the last hyphen with a digit behind it; None if it is no such text."""
    match = _APP.fullmatch(app_id) if isinstance(app_id, str) else None
    return AppKey(match["name"], match["version"]) if match else None


def tag_of(tenant: TenantId, key: str) -> str:
    """The tag by which a job is known again."""
    return "abacod-" + hashlib.sha256(f"{tenant}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def request_of(definition: Mapping[str, Any], app: Mapping[str, Any], tag: str) -> dict[str, Any]:
    """The request for a job; `app` is the app as Tapis describes it.

    Raises:
        BatchJobRefused: something in the definition cannot be said so; the message names it.
    """
    key = app_key(definition.get("appId"))
    if key is None:
        raise BatchJobRefused("appId: give the id of an app, as NAME-VERSION.")
    name = definition.get("name") or definition["appId"]
    request: dict[str, Any] = {
        "name": _text("name", name)[:_LONGEST_NAME],
        "appId": key.id,
        "appVersion": key.version,
        "tags": ["abacod", tag],
        **_inputs(_object(definition, "inputs")),
        "parameterSet": _parameters(_object(definition, "parameters"), _argument_names(app)),
    }
    for ours, theirs in _TEXTS.items():
        if (value := definition.get(ours)) not in (None, ""):
            request[theirs] = _text(ours, value)
    for ours, theirs in _NUMBERS.items():
        if (value := definition.get(ours)) is not None:
            request[theirs] = _count(ours, value)
    if (value := definition.get("maxRunTime")) is not None:
        request["maxMinutes"] = _minutes(value)
    if (value := definition.get("memoryPerNode")) is not None:
        request["memoryMB"] = _megabytes(value)
    return request


def _object(definition: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = definition.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BatchJobRefused(f"{field}: give an object of names and values.")
    return value


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str) or "\0" in value or not _is_unicode(value):
        raise BatchJobRefused(f"{_shown(field)}: give a text, without NUL and halves of surrogate pairs.")
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(field: str) -> str:
    return field[:200].encode("ascii", "backslashreplace").decode()


def _count(field: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        raise BatchJobRefused(f"{field}: give a whole number from 1.")
    return value


def _minutes(value: Any) -> int:
    match = _RUN_TIME.fullmatch(value) if isinstance(value, str) else None
    hours, minutes, seconds = map(int, match.groups()) if match else (0, 0, 0)
    if not (total := 3600 * hours + 60 * minutes + seconds):
        raise BatchJobRefused("maxRunTime: write HH:MM:SS, as 01:00:00.")
    return math.ceil(total / 60)


def _megabytes(value: Any) -> int:
    match = _MEMORY.fullmatch(value.strip()) if isinstance(value, str) else None
    found = math.ceil(float(match[1]) * _MEGABYTES[match[2].upper()]) if match else 0
    if not 0 < found < 2**31:
        raise BatchJobRefused("memoryPerNode: write a number and MB, GB or TB, as 4GB.")
    return found


# --- inputs ---------------------------------------------------------------------------------------------------------


def _inputs(given: Mapping[str, Any]) -> dict[str, Any]:
    single = [
        {"name": _text("inputs", name), "sourceUrl": _source(name, value)}
        for name, value in given.items()
        if isinstance(value, str)
    ]
    several = [
        {"name": _text("inputs", name), "sourceUrls": _sources(name, value)}
        for name, value in given.items()
        if not isinstance(value, str) and value not in (None, [])
    ]
    return {"fileInputs": single, **({"fileInputArrays": several} if several else {})}


def _sources(name: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        raise BatchJobRefused(f"inputs.{_shown(name)}: give a URI, or an array of URIs.")
    return [_source(name, each) for each in value]


def _source(name: str, value: Any) -> str:
    uri = _text(f"inputs.{name}", value)
    if not _URI.match(uri):
        raise BatchJobRefused(f"inputs.{_shown(name)}: give a whole URI, as agave://SYSTEM/PATH.")
    return "tapis://" + uri.removeprefix("agave://") if uri.startswith("agave://") else uri


# --- parameters -----------------------------------------------------------------------------------------------------


def _argument_names(app: Mapping[str, Any]) -> frozenset[str]:
    """The named arguments of the app's command line."""
    found: Any = app
    for name in ("jobAttributes", "parameterSet", "appArgs"):
        found = found.get(name) if isinstance(found, dict) else None
    names = [each.get("name") for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return frozenset(name for name in names if isinstance(name, str))


def _parameters(given: Mapping[str, Any], arguments: frozenset[str]) -> dict[str, Any]:
    args, variables = [], []
    for name, value in given.items():
        if value is None:
            continue
        text = _text(f"parameters.{name}", _value(name, value))
        if name in arguments:
            args.append({"name": name, "arg": text})
        elif not _VARIABLE.fullmatch(name) or name.startswith(_RESERVED):
            raise BatchJobRefused(
                f"parameters.{_shown(name)}: it becomes an environment variable; use letters, digits and _, not {_RESERVED}."
            )
        else:
            variables.append({"key": name, "value": text})
    return {"appArgs": args, "envVariables": variables}


def _value(name: str, value: Any) -> str:
    """A value as the app sees it: texts as they are, lists joined by spaces, all else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(_value(name, each) for each in value if not isinstance(each, list))
    try:
        return json.dumps(value, allow_nan=False)
    except (RecursionError, TypeError, ValueError) as error:
        raise BatchJobRefused(f"parameters.{_shown(name)}: give a text, a number, or true or false.") from error
