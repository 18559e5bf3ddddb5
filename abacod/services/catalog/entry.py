"""What a record that is to be loaded says: its kind, its UUID, its own fields, and whom it names (spec/pipelinejobs 5.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from abacod.errors import InvalidRecord
from abacod.models.catalog import IDENTIFYING, LINK_NAMES, Record, RecordKind
from abacod.services.catalog.source import Item
from reactors.pipelinejobs.identifiers import Identifiers, Kind, is_uuid, normal_path
from reactors.pipelinejobs.validation import violation

_TOLD_BY: Final = (
    ("measurement_id", RecordKind.MEASUREMENT),
    ("sample_id", RecordKind.SAMPLE),
    ("experiment_id", RecordKind.EXPERIMENT),
    ("experiment_design_id", RecordKind.EXPERIMENT_DESIGN),
    ("reference_id", RecordKind.REFERENCE),
    ("process_id", RecordKind.PROCESS),
    ("name", RecordKind.FILE),
    ("id", RecordKind.CHALLENGE_PROBLEM),
)
"""The field that tells what a record is, the first that it has. A measurement may mention its sample, and so on."""

# Of whom a record may be a child, and what else it may be linked to. No kind stands above itself, so nothing goes in circles.
_METADATA: Final = frozenset(
    {Kind.CHALLENGE_PROBLEM, Kind.EXPERIMENT_DESIGN, Kind.EXPERIMENT, Kind.SAMPLE, Kind.MEASUREMENT}
)
_CHILD_OF: Final[Mapping[RecordKind, frozenset[Kind]]] = {
    RecordKind.CHALLENGE_PROBLEM: frozenset(),
    RecordKind.EXPERIMENT_DESIGN: frozenset({Kind.CHALLENGE_PROBLEM}),
    RecordKind.EXPERIMENT: frozenset({Kind.EXPERIMENT_DESIGN}),
    RecordKind.SAMPLE: frozenset({Kind.EXPERIMENT}),
    RecordKind.MEASUREMENT: frozenset({Kind.SAMPLE}),
    RecordKind.FILE: _METADATA | {Kind.PIPELINEJOB},
    RecordKind.REFERENCE: frozenset({Kind.CHALLENGE_PROBLEM, Kind.EXPERIMENT_DESIGN, Kind.EXPERIMENT}),
    RecordKind.PROCESS: frozenset(),
}
_LINKS_OF_FILES: Final[Mapping[str, frozenset[Kind]]] = {
    "derived_from": frozenset({Kind.FILE}),
    "derived_using": frozenset({Kind.REFERENCE, Kind.FILE}),
    "generated_by": frozenset({Kind.PIPELINE, Kind.PIPELINEJOB, Kind.PROCESS}),
}
# Records that may be written inside another one, by the field; they become records of their own.
_NESTED: Final[Mapping[tuple[RecordKind, str], RecordKind]] = {
    (RecordKind.SAMPLE, "measurements"): RecordKind.MEASUREMENT,
    (RecordKind.MEASUREMENT, "files"): RecordKind.FILE,
}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# Longest readable id, in characters.
_LONGEST: Final = 1000
_URN: Final = "uri:urn:"


@dataclass(frozen=True, slots=True)
class Entry:
    """A record that is to be loaded. `names` are the texts that its links name others by, as they were given."""

    place: str
    record: Record
    names: Mapping[str, tuple[str, ...]]


def entries(item: Item, identifiers: Identifiers) -> Iterator[Entry]:
    """The record, and those that are written inside it.

    Fields whose names begin with `_` are dropped. `kind` tells what the record is where its fields leave it open.

    Raises:
        InvalidRecord: a field is missing or wrong; the message names place, field and problem.
    """
    yield from _entries(item, identifiers, None)


def allowed_kinds(kind: RecordKind, link: str) -> frozenset[Kind]:
    """What a record of that kind may name in that link; nothing if it has no such link."""
    if link == "child_of":
        return _CHILD_OF.get(kind, frozenset())
    return _LINKS_OF_FILES.get(link, frozenset()) if kind is RecordKind.FILE else frozenset()


def _entries(item: Item, identifiers: Identifiers, wanted: RecordKind | None) -> Iterator[Entry]:
    place = item.place
    if not isinstance(item.value, dict):
        raise InvalidRecord(f"{place}: a record is a JSON object, not {type(item.value).__name__}.")
    fields = {name: value for name, value in item.value.items() if not name.startswith("_")}
    kind = _kind(place, fields, wanted)
    if why := violation(kind, fields):
        raise InvalidRecord(f"{place}: {why.replace('The message', f'The {kind}')}")
    if kind is RecordKind.FILE:
        _complete_file(fields, identifiers)
    uuid = _UUID_OF[kind](identifiers, fields)
    _check_given(place, "uuid", str(fields.pop("uuid", uuid)).removeprefix(_URN), uuid)
    if kind is RecordKind.FILE:
        _check_given(place, "file_id", fields["file_id"], identifiers.file_id(fields["name"], fields["storage_system"]))
    nested = [(name, inner) for (outer, name), inner in _NESTED.items() if outer is kind and name in fields]
    inside = [(name, inner, fields.pop(name)) for name, inner in nested]
    names = _links(place, kind, fields)
    record = Record(uuid, kind, fields)
    for text in record.identifiers:
        _check_identifier(place, text)
    yield Entry(place, record, names)
    for name, inner, values in inside:
        for number, value in enumerate(values):
            within = Item(f"{place}, {name}[{number}]", _inner(value, inner, uuid))
            yield from _entries(within, identifiers, inner)


def _kind(place: str, fields: dict[str, Any], wanted: RecordKind | None) -> RecordKind:
    told = next((kind for name, kind in _TOLD_BY if name in fields), None)
    given = fields.pop("kind", None)
    if given is not None:
        if given not in list(_CHILD_OF):
            raise InvalidRecord(f"{place}: kind: give one of {', '.join(_CHILD_OF)}.")
        told = RecordKind(given)
    if wanted is not None:
        if given is not None and told is not wanted:
            raise InvalidRecord(f"{place}: kind: {given} stands in a list of records of the kind {wanted}.")
        return wanted
    if told is None:
        ids = ", ".join(name for name, _ in _TOLD_BY)
        raise InvalidRecord(f"{place}: it cannot be told what this is; give its id ({ids}), or its `kind`.")
    return told


def _inner(value: Any, kind: RecordKind, parent: str) -> Any:
    """A record inside another one, which is a child of that."""
    if kind is RecordKind.FILE and isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, dict):
        return value
    parents = value.get("child_of", [])
    return value | {"child_of": [*parents, parent] if isinstance(parents, list) else parents}


def _links(place: str, kind: RecordKind, fields: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Take the links out of the fields."""
    found = {}
    for link in LINK_NAMES:
        values = fields.pop(link, None)
        if values is None or values == []:
            continue
        if not allowed_kinds(kind, link):
            raise InvalidRecord(f"{place}: {link}: a record of the kind {kind} has no such link; leave it out.")
        found[link] = tuple(dict.fromkeys(values))
    return found


def _complete_file(fields: dict[str, Any], identifiers: Identifiers) -> None:
    fields["name"] = normal_path(fields["name"])
    system = fields.setdefault("storage_system", identifiers.default_system)
    fields.setdefault("file_id", identifiers.file_id(fields["name"], system))


def _check_given(place: str, field: str, given: str, computed: str) -> None:
    if given != computed:
        raise InvalidRecord(f"{place}: {field}: {given[:100]} is not that of this record, {computed}; leave it out.")


def _check_identifier(place: str, text: str) -> None:
    problem = (
        f"has more than {_LONGEST} characters"
        if len(text) > _LONGEST
        else "has a control character in it"
        if _CONTROL.search(text)
        else "begins or ends with a blank"
        if text != text.strip()
        else "looks like a UUID"
        if is_uuid(text)
        else None
    )
    if problem:
        raise InvalidRecord(f"{place}: the id {text[:100]!r} {problem}; give another one.")


def _named_by(kind: RecordKind) -> Callable[[Identifiers, Mapping[str, Any]], str]:
    return lambda identifiers, fields: identifiers.typed(Kind(kind), fields[IDENTIFYING[kind][0]])


def _file_uuid(identifiers: Identifiers, fields: Mapping[str, Any]) -> str:
    return identifiers.file(fields["name"], fields["storage_system"])


# Of what the UUID of each kind is made (spec/pipelinejobs 1.2).
_UUID_OF: Final[Mapping[RecordKind, Callable[[Identifiers, Mapping[str, Any]], str]]] = {
    **{kind: _named_by(kind) for kind in _CHILD_OF},
    RecordKind.FILE: _file_uuid,
}
