"""The data catalog: what stands in it, and how its records hang together (spec/pipelinejobs 1.1, 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from abacod.ids import Username


class RecordKind(StrEnum):
    """What a record of the catalog describes; the values are the type keys of typed UUIDs."""

    EXPERIMENT_DESIGN = "experiment_design"
    EXPERIMENT = "experiment"
    SAMPLE = "sample"
    MEASUREMENT = "measurement"
    FILE = "file"
    REFERENCE = "reference"
    PROCESS = "process"
    CHALLENGE_PROBLEM = "challenge_problem"
    FIXITY = "fixity"


LINK_NAMES: Final = ("child_of", "derived_from", "derived_using", "generated_by", "acted_on", "acted_using")
"""How records, jobs and pipelines are linked (spec/pipelinejobs 1.8); a link goes from the child to its parents."""

IDENTIFYING: Final[Mapping[RecordKind, tuple[str, ...]]] = {
    RecordKind.EXPERIMENT_DESIGN: ("experiment_design_id",),
    RecordKind.EXPERIMENT: ("experiment_id",),
    RecordKind.SAMPLE: ("sample_id",),
    RecordKind.MEASUREMENT: ("measurement_id",),
    RecordKind.FILE: ("file_id",),
    RecordKind.REFERENCE: ("reference_id", "uri"),
    RecordKind.PROCESS: ("process_id",),
    RecordKind.CHALLENGE_PROBLEM: ("id",),
    RecordKind.FIXITY: (),
}
"""The fields of a document whose texts are readable ids; no two records of a kind share one.

Files and fixities are found by their paths as well, of which their UUIDs are made.
"""


@dataclass(frozen=True, slots=True)
class Record:
    """What is to be known of one thing. `document` is what users see, without UUID and links.

    `links` are UUIDs by the name of the link; those of a stored record are sorted.
    """

    uuid: str
    kind: RecordKind
    document: Mapping[str, Any]
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def identifiers(self) -> tuple[str, ...]:
        """Its readable ids."""
        texts = (self.document.get(name) for name in IDENTIFYING[self.kind])
        return tuple(dict.fromkeys(text for text in texts if isinstance(text, str) and text))


@dataclass(frozen=True, slots=True)
class StoredRecord(Record):
    """A record of the catalog. `revision` counts its changes, from 0."""

    _: KW_ONLY
    owner: Username
    created: datetime
    modified: datetime
    revision: int = 0


class Outcome(StrEnum):
    """What writing a record did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Change:
    """A record after it was written."""

    uuid: str
    kind: RecordKind
    outcome: Outcome
    revision: int
