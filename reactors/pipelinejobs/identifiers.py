"""Typed UUIDs and short hashes: the same names for the same things, everywhere (spec/pipelinejobs 1.2-1.5).

Whoever knows the rules can compute an identifier without asking; published ones come out the same here.
"""

from __future__ import annotations

import json
import posixpath
import re
import secrets
import string
import uuid
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from hashids import Hashids

DEFAULT_DOMAIN: Final = "sd2e.org"
"""The domain whose namespace published identifiers are in."""

DEFAULT_SYSTEM: Final = "data-sd2e-community"
"""The storage system whose files are named by their path alone."""


class Kind(StrEnum):
    """What a typed UUID stands for; the values are the type keys of spec/pipelinejobs 1.2."""

    GENERIC = "generic"
    CHALLENGE_PROBLEM = "challenge_problem"
    EXPERIMENT = "experiment"
    SAMPLE = "sample"
    MEASUREMENT = "measurement"
    FILE = "file"
    PIPELINE = "pipeline"
    PIPELINEJOB = "pipelinejob"
    PIPELINEJOB_EVENT = "pipelinejob_event"
    REFERENCE = "reference"
    PRODUCT = "product"
    UPLOAD = "upload"
    EXPERIMENT_DESIGN = "experiment_design"
    INPUT_CLASSIFIER = "input_classifier"
    FIXITY = "fixity"
    PROCESS = "process"
    ANNOTATION = "annotation"
    INLINE_ANNOTATION = "inline_annotation"
    QUERY = "query"
    DASHBOARD = "dashboard"
    TAG_ANNOTATION = "tag_annotation"
    TEXT_ANNOTATION = "text_annotation"
    ASSOCIATION = "association"
    STRUCTURED_REQUEST = "structured_request"


PREFIXES: Final[Mapping[Kind, str]] = {
    **dict(zip(list(Kind)[:12], (str(number) for number in range(100, 112)), strict=True)),
    **dict(zip(list(Kind)[12:], (str(number) for number in range(114, 126)), strict=True)),
}
"""The first three digits of each kind's UUIDs; 112 and 113 are unused."""

_KINDS: Final = {prefix: kind for kind, prefix in PREFIXES.items()}
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SHORT: Final = Hashids(salt="xCPJ7PKTdp8BYYb4twh9xNYD")
_EVENT_TEXT: Final = (string.ascii_uppercase + string.digits).encode()
_EVENT_LENGTH: Final = 128
# From random bytes to letters and digits: asking for random ones one by one takes longer than all else of an event.
_EVENT_LETTERS: Final = bytes(_EVENT_TEXT[byte % len(_EVENT_TEXT)] for byte in range(256))


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID as it is written here: lower-case, with dashes."""
    return _UUID.fullmatch(text) is not None


def kind_of(identifier: str) -> Kind:
    """What the typed UUID stands for.

    Raises:
        ValueError: it is no UUID, or its first three digits are no known type.
    """
    kind = _KINDS.get(identifier[:3]) if is_uuid(identifier) else None
    if kind is None:
        raise ValueError(f"{identifier} is not a typed UUID")
    return kind


def is_typed(identifier: str, kind: Kind) -> bool:
    """Whether it is a UUID of that kind."""
    return is_uuid(identifier) and identifier.startswith(PREFIXES[kind])


def bare(identifier: str) -> str:
    """A UUID without the `uri:urn:` that may stand in front of it in messages."""
    return identifier.removeprefix("uri:urn:")


def retyped(identifier: str, kind: Kind) -> str:
    """The same UUID with the first three digits of `kind`, as untyped UUIDs of old records are converted."""
    return PREFIXES[kind] + identifier[3:]


def canonical_json(value: Any) -> str:
    """JSON as it is hashed: keys sorted at every depth, no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def short_hash(identifier: str) -> str:
    """About 24 letters and digits for a UUID (spec/pipelinejobs 1.5)."""
    return str(_SHORT.encode(uuid.UUID(identifier).int))


def normal_path(path: str) -> str:
    """An absolute path as it is hashed: trimmed, one slash in front, `.` and `..` resolved."""
    return posixpath.normpath("/" + path.strip().lstrip("/"))


class Identifiers:
    """Makes identifiers in the namespace of a domain."""

    def __init__(self, domain: str = DEFAULT_DOMAIN, default_system: str = DEFAULT_SYSTEM) -> None:
        self._namespace = uuid.uuid3(uuid.NAMESPACE_DNS, domain)
        self.default_system = default_system

    def typed(self, kind: Kind, text: str) -> str:
        """The UUID of that kind for a text; for most records the text is their own id (spec/pipelinejobs 1.2)."""
        return retyped(str(uuid.uuid5(self._namespace, text)), kind)

    def pipeline(self, document: Mapping[str, Any]) -> str:
        """The UUID of a pipeline: of its `id` and its `components`, whose order counts, and of nothing else (1.3)."""
        name = document.get("id", "pipeline.id")
        return self.typed(Kind.PIPELINE, f"{name}:{canonical_json(document['components'])}")

    def job(self, pipeline_uuid: str, linkage: Sequence[str], data: Mapping[str, Any]) -> str:
        """The UUID of a job: `linkage` are the UUIDs of the finest level that was given, in their final order (1.4, 5.2)."""
        listed = "[" + ", ".join(f"'{identifier}'" for identifier in linkage) + "]"
        return self.typed(Kind.PIPELINEJOB, ":".join(sorted((pipeline_uuid, listed, canonical_json(data)))))

    def file(self, path: str, system: str | None = None) -> str:
        """The UUID of a file: of its path, and of its storage system unless that is the default one."""
        return self.typed(Kind.FILE, self._located(path, system))

    def fixity(self, path: str, system: str | None = None) -> str:
        """The UUID of the record of a file's checksum."""
        return self.typed(Kind.FIXITY, self._located(path, system))

    def file_id(self, path: str, system: str | None = None) -> str:
        """The text that stands for a file beside its UUID: `file.tacc.` and a short hash."""
        uri = f"agave://{system or self.default_system}{normal_path(path)}"
        return "file.tacc." + short_hash(self.typed(Kind.FILE, uri))

    def event(self) -> str:
        """A new UUID for an entry in a job's history: of random text, unlike all others."""
        return self.typed(Kind.PIPELINEJOB_EVENT, secrets.token_bytes(_EVENT_LENGTH).translate(_EVENT_LETTERS).decode())

    def hashed(self, text: str) -> str:
        """The short hash of a text, as parts of archive paths are (1.6)."""
        return short_hash(self.typed(Kind.GENERIC, text))

    def _located(self, path: str, system: str | None) -> str:
        path = normal_path(path)
        return path if system in (None, self.default_system) else f"agave://{system}{path}"
