"""What a job is for, as messages say it, and which files its data name (spec/pipelinejobs 5.1, 5.2 and 5.4).

Nothing is looked up here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reactors.pipelinejobs.identifiers import PREFIXES, Kind, bare, is_typed, is_uuid

KEYS: Final[Mapping[str, Kind]] = {
    "experiment_design_id": Kind.EXPERIMENT_DESIGN,
    "experiment_id": Kind.EXPERIMENT,
    "sample_id": Kind.SAMPLE,
    "measurement_id": Kind.MEASUREMENT,
}
"""The linkage parameters, the coarsest first, and what their values are ids of."""

PATH_ORDER: Final = ("sample_id", "experiment_id", "experiment_design_id", "measurement_id")
"""The first one of these that is given decides the archive path."""

IDENTITY_ORDER: Final = ("measurement_id", "sample_id", "experiment_id", "experiment_design_id")
"""The first one of these that is given, the finest, decides which job it is."""

_ID: Final = re.compile(r"([a-z]+)\.[^.\x00-\x1f]+\.[^\x00-\x1f]+")
_SHOWN: Final = 80

_URI: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/]", re.IGNORECASE)
_WEB: Final = re.compile(r"https?:")
_MANAGED: Final = re.compile(r"(agave://[^/]+)?/(uploads|products|reference)/")
_WITHIN: Final = ("/uploads/", "/products/", "/reference/")


def given_linkage(message: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The linkage parameters of a message: by key the ids or UUIDs, each once. Keys that are absent or null are left out.

    Raises:
        ValueError: a value is neither a text nor a list of texts that is not empty, or no id or UUID of what its key is
            for; the text names key and value.
    """
    return {key: _values(key, message[key]) for key in KEYS if message.get(key) is not None}


def path_key(given: Mapping[str, object]) -> str | None:
    """The key whose records decide the archive path: sample, experiment, experiment design, measurement; None without any."""
    return next((key for key in PATH_ORDER if key in given), None)


def identity_key(given: Mapping[str, object]) -> str | None:
    """The key whose records decide the job's UUID, the finest that is given; None without any."""
    return next((key for key in IDENTITY_ORDER if key in given), None)


def used_files(data: Mapping[str, Any], default_system: str) -> tuple[str, ...]:
    """What in a job's data may name a file or a reference of the catalog, sorted; most of it is in no catalog.

    Looked at are the texts of `inputs` and `parameters`, and of the lists in them. Paths get `agave://`, the default system
    in front; addresses of the web, UUIDs and ids stay as they are.
    """
    inputs, parameters = data.get("inputs"), data.get("parameters")
    found: set[str] = set()
    if isinstance(inputs, Mapping):
        found.update(_texts(inputs))
    elif isinstance(inputs, list | tuple):
        found.update(text for text in _texts({"": inputs}) if _MANAGED.match(text) or _WEB.match(text))
    if isinstance(parameters, Mapping):
        found.update(text for text in _texts(parameters) if _names_file(text))
    return tuple(sorted({_addressed(text, default_system) for text in found}))


def _values(key: str, value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not values:
        raise ValueError(f"{key}: give an id, a UUID, or a list of them that is not empty.")
    return tuple(dict.fromkeys(_identifier(key, each) for each in values))


def _identifier(key: str, value: Any) -> str:
    kind = KEYS[key]
    if not isinstance(value, str):
        raise ValueError(f"{key}: each id or UUID must be a text.")
    text, shown = bare(value), repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")
    if is_uuid(text):
        if not is_typed(text, kind):
            raise ValueError(f"{key}: {shown} is no UUID of this kind; those begin with {PREFIXES[kind]}.")
        return text
    found = _ID.fullmatch(text)
    # Designs are called as one likes, all else is KIND.LAB.NAME (5.1).
    named = bool(text) if kind is Kind.EXPERIMENT_DESIGN else found is not None and found[1] == kind
    if not named or not _is_storable(text):
        form = "a text" if kind is Kind.EXPERIMENT_DESIGN else f"{kind}.LAB.NAME"
        raise ValueError(f"{key}: {shown} is no id of this kind; those are of the form {form}.")
    return text


def _texts(values: Mapping[str, Any]) -> Iterator[str]:
    """The texts among the values, and in the lists among them."""
    for value in values.values():
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, str) and each.strip() and _is_storable(each):
                yield each


def _names_file(text: str) -> bool:
    return _URI.match(text) is not None or _WEB.match(text) is not None or any(part in text for part in _WITHIN)


def _addressed(text: str, default_system: str) -> str:
    if _URI.match(text) or _WEB.match(text) or "/" not in text:
        return text
    return f"agave://{default_system}/{text.lstrip('/')}"


def _is_storable(text: str) -> bool:
    """Half of a surrogate pair, which JSON can carry, is no character, and NUL is in no name."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
