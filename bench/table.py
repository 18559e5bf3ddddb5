"""The results as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Final

from abacod import __version__

_HEAD: Final = """\
# Measurements

Made with `python -m bench` on {day}: abacod {version}, Python {python}, {cpus} CPUs, {system}.

Each cell is the median of its repetitions, with the least and the greatest in brackets. The two sides were measured in turn,
A B A B. The sender, both servers and the engine share one machine, so only the ratio is of use, and it is of this machine.

| what | A: abacod | B | B is | A / B |
| --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: what a unit of it is, abacod's values, and those of what it is compared with."""

    what: str
    abacod: Sequence[float]
    other_name: str
    other: Sequence[float]


def page(rows: Sequence[Row]) -> str:
    """The whole file."""
    head = _HEAD.format(
        day=datetime.now(UTC).strftime("%Y-%m-%d"),
        version=__version__,
        python=platform.python_version(),
        cpus=os.cpu_count(),
        system=f"{platform.system()} {platform.machine()}",
    )
    return head + "".join(map(_line, rows))


def _line(row: Row) -> str:
    ratio = median(row.abacod) / median(row.other)
    return f"| {row.what} | {_cell(row.abacod)} | {_cell(row.other)} | {row.other_name} | {ratio:.2f} |\n"


def _cell(values: Sequence[float]) -> str:
    digits = 0 if median(values) >= 100 else 1  # three figures say all there is to say
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
