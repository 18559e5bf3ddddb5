"""Which files of the data catalog are asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileConditions:
    """Which files are meant; None is no condition. `below` and `child_of` are UUIDs.

    `below` means what is at the end of chains of `child_of` from there; the chains lead over experiments, samples,
    measurements and jobs. `path` is how the file's path begins.
    """

    below: str | None = None
    child_of: str | None = None
    type: str | None = None
    level: str | None = None
    system: str | None = None
    path: str | None = None
