"""From the ids that people give to records of the data catalog (spec/pipelinejobs 5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from abacod.errors import InvalidField, RecordNotFound
from abacod.ids import TenantId
from abacod.models.catalog import RecordKind
from abacod.store import links, pipelines, records
from abacod.store.database import Transaction
from reactors.pipelinejobs.identifiers import PREFIXES, Identifiers, Kind, is_typed, is_uuid, kind_of
from reactors.pipelinejobs.linkage import IDENTITY_ORDER, KEYS, identity_key, path_key

# Ids of these begin with their kind (5.1); experiment designs are called as one likes.
_PREFIXED: Final = frozenset({Kind.MEASUREMENT, Kind.SAMPLE, Kind.EXPERIMENT})
# Where to look for a readable id whose beginning says nothing (5.2).
_ORDER: Final[tuple[str, ...]] = (
    RecordKind.FILE,
    RecordKind.REFERENCE,
    Kind.PIPELINE,
    RecordKind.SAMPLE,
    RecordKind.MEASUREMENT,
    RecordKind.EXPERIMENT,
    RecordKind.EXPERIMENT_DESIGN,
    RecordKind.CHALLENGE_PROBLEM,
    RecordKind.PROCESS,
    RecordKind.FIXITY,
)
_URI: Final = "agave://"


@dataclass(frozen=True, slots=True)
class Linkage:
    """What a job is linked to; all are sorted UUIDs without repetition.

    `child_of` is stored with the job, `path` goes into its archive path, `identity` into its own UUID.
    """

    child_of: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Used:
    """The files and references that a job's data name; sorted UUIDs."""

    acted_on: tuple[str, ...] = ()
    acted_using: tuple[str, ...] = ()


def resolve(tx: Transaction, tenant: TenantId, identifiers: Identifiers, given: Mapping[str, Sequence[str]]) -> Linkage:
    """What the linkage keys mean (spec/pipelinejobs 5.2, REC). `given` are UUIDs or readable ids by key.

    Where the finest kind that is given is coarser than measurements, `child_of` are the measurements below each of the
    records, or the record itself as long as it has none.

    Raises:
        InvalidField: a key is none of the four or has no value, or a value is no id of what the key names.
        RecordNotFound: the catalog has not all of them; the message names those that are missing.
    """
    meant = {key: {_meant(identifiers, key, value): value for value in _listed(key, given[key])} for key in given}
    every = {uuid: value for uuids in meant.values() for uuid, value in uuids.items()}
    known = records.known(tx, tenant, list(every))
    missing = ", ".join(sorted(value for uuid, value in every.items() if uuid not in known))
    if missing:
        raise RecordNotFound(f"The data catalog does not have: {missing}. Load the records first, or correct the ids.")
    finest, path = identity_key(meant), path_key(meant)
    if finest is None or path is None:
        return Linkage()
    identity = tuple(sorted(meant[finest]))
    return Linkage(_measurements(tx, tenant, identity), tuple(sorted(meant[path])), identity)


def find_used(tx: Transaction, tenant: TenantId, identifiers: Identifiers, candidates: Iterable[str]) -> Used:
    """Which of the texts name a reference of the catalog, or else a file; the others are passed over (5.4)."""
    acted_on: set[str] = set()
    acted_using: set[str] = set()
    for candidate in set(candidates):
        uuid = lookup(tx, tenant, identifiers, candidate, (RecordKind.REFERENCE, RecordKind.FILE))
        if uuid is not None:
            (acted_using if is_typed(uuid, Kind.REFERENCE) else acted_on).add(uuid)
    return Used(tuple(sorted(acted_on)), tuple(sorted(acted_using)))


def lookup(
    tx: Transaction,
    tenant: TenantId,
    identifiers: Identifiers,
    text: str,
    kinds: Collection[str] | None = None,
) -> str | None:
    """The UUID of what a text names: a UUID, readable id, `agave://` URI, or path on the default storage system.

    None if there is no such thing, or it is none of the `kinds` (type keys of UUIDs). A readable id is sought among the
    records of the kind that it begins with, as `sample.`, and else among all; references come before files where both are
    meant by an address.

    UUIDs may also be those of jobs and pipelines, ids those of pipelines.
    """
    if not _is_storable(text):
        return None
    if is_uuid(text):
        return _wanted(text, kinds) if records.known(tx, tenant, [text]) else None
    path = located(identifiers, text)
    if path is not None:
        return _by_address(tx, tenant, identifiers, text, path, kinds)
    found: dict[str, str] = {kind: uuid for (kind, _), uuid in records.identified(tx, tenant, [text]).items()}
    pipeline = pipelines.find_id(tx, tenant, text) if kinds is None or Kind.PIPELINE in kinds else None
    if pipeline is not None:
        found[Kind.PIPELINE] = pipeline.uuid
    prefix = text.partition(".")[0]
    order = (prefix,) if prefix in _PREFIXED | {RecordKind.FILE} and "." in text else _ORDER
    return next((found[kind] for kind in order if kind in found and (kinds is None or kind in kinds)), None)


def _listed(key: str, values: object) -> list[str]:
    """The values of a key, which come from users."""
    if key not in KEYS:
        raise InvalidField(f"{key} is no linkage key; use one of {', '.join(IDENTITY_ORDER)}.")
    listed = [values] if isinstance(values, str) else list(values) if isinstance(values, list | tuple) else []
    if not listed:
        raise InvalidField(f"{key}: there is no id in it; give a text or a list of texts, or leave the key out.")
    return listed


def _meant(identifiers: Identifiers, key: str, value: object) -> str:
    """The UUID of the record that a value of a key means, whether there is one or not."""
    kind = KEYS[key]
    if not isinstance(value, str) or not value or not _is_storable(value):
        raise InvalidField(f"{key}: {value!r} is no id; give a text.")
    if is_uuid(value):
        if not is_typed(value, kind):
            raise InvalidField(f"{key}: {value} is no UUID of this kind; those begin with {PREFIXES[kind]}.")
        return value
    if kind in _PREFIXED and not value.startswith(f"{kind}."):
        raise InvalidField(f"{key}: {value} is no id of this kind; those begin with `{kind}.`.")
    return identifiers.typed(kind, value)


def _measurements(tx: Transaction, tenant: TenantId, uuids: tuple[str, ...]) -> tuple[str, ...]:
    """The measurements below each of the UUIDs; the UUID itself where there are none yet."""
    if kind_of(uuids[0]) is Kind.MEASUREMENT:
        return uuids
    below = {uuid: links.descendants(tx, tenant, (uuid,), RecordKind.MEASUREMENT) for uuid in uuids}
    return tuple(sorted({each for uuid, found in below.items() for each in (found or (uuid,))}))


def _by_address(
    tx: Transaction,
    tenant: TenantId,
    identifiers: Identifiers,
    text: str,
    path: tuple[str, str],
    kinds: Collection[str] | None,
) -> str | None:
    """References are found by their URI as it was given, files by the place that it means."""
    uri = f"{_URI}{path[0]}{path[1]}"
    references = records.identified(tx, tenant, {text, uri})
    file = identifiers.file(path[1], path[0])
    candidates = [
        references.get((RecordKind.REFERENCE, text)),
        references.get((RecordKind.REFERENCE, uri)),
        file if records.known(tx, tenant, [file]) else None,
    ]
    return next((uuid for uuid in candidates if uuid is not None and _wanted(uuid, kinds)), None)


def located(identifiers: Identifiers, text: str) -> tuple[str, str] | None:
    """The storage system and path that an address means, None if it is none."""
    if text.startswith("/"):
        return identifiers.default_system, text
    if not text.startswith(_URI):
        return None
    system, slash, path = text.removeprefix(_URI).partition("/")
    return (system, slash + path) if system and slash else None


def _wanted(uuid: str, kinds: Collection[str] | None) -> str | None:
    try:
        kind = kind_of(uuid)
    except ValueError:
        return None
    return uuid if kinds is None or kind in kinds else None


def _is_storable(text: str) -> bool:
    """Half of a surrogate pair, which JSON can carry, is no character, and no id has a NUL in it."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
