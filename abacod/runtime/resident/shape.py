"""What a resident process is started with, and cannot be changed later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from abacod.runtime.run import RunSpec
from abacod.runtime.warm import held


@dataclass(frozen=True, slots=True)
class Shape:
    """A run that needs something else needs another process: another container, or another environment."""

    container: held.Shape
    environment: Mapping[str, str]

    @classmethod
    def of(cls, spec: RunSpec) -> Shape:
        """The shape that a run needs."""
        return cls(held.Shape.of(spec), spec.lasting_environment)
