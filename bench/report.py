"""The results as Markdown and as a picture."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from abacod import __version__
from bench.measure import Goal, Line

_HEAD: Final = """\
# Measurements

Made with `{command}` on {day}: abacod {version}, Python {python}, {cpus} CPUs, {system}, kernel {kernel}.

Each cell is the median of its repetitions, with the least and the greatest in brackets. The two sides were measured in turn,
A B A B. The sender, both servers and the engine share one machine, so only the ratio is of use, and it is of this machine.

| what | A: abacod | B | B is | A / B | to reach | reached |
| --- | --- | --- | --- | --- | --- | --- |
"""
# Heights of the picture, in inches.
_ROW: Final = 0.45
_FRAME: Final = 1.3
_LONGEST_LABEL: Final = 70


def page(lines: Sequence[Line], command: str) -> str:
    """The whole table; `command` made it."""
    head = _HEAD.format(
        command=command,
        day=datetime.now(UTC).strftime("%Y-%m-%d"),
        version=__version__,
        python=platform.python_version(),
        cpus=os.cpu_count(),
        system=f"{platform.system()} {platform.machine()}",
        kernel=platform.release(),
    )
    return head + "".join(map(_row, lines))


def _row(line: Line) -> str:
    floor = _cell(line.floors) if line.floors else ""
    ratio = "" if line.ratio is None else f"{line.ratio:.3g}"
    goal = "" if line.goal is None else _spelled(line.goal)
    reached = {None: "", True: "yes", False: "**no**"}[line.reached]
    return f"| {line.what} | {_cell(line.ours)} | {floor} | {line.floor} | {ratio} | {goal} | {reached} |\n"


def _cell(values: Sequence[float]) -> str:
    digits = 0 if median(values) >= 100 else 1 if median(values) >= 1 else 3  # three figures say all there is to say
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _spelled(goal: Goal) -> str:
    return f"{'A / B' if goal.of == 'ratio' else 'A'} {'≥' if goal.bound == 'least' else '≤'} {goal.limit:g}"


def draw(lines: Sequence[Line], path: Path) -> None:
    """Draw how far each line with a goal is from it: right of the middle it is reached.

    A dot is a repetition, the stroke their median. The scale is logarithmic.
    """
    # Only here: it is the one thing that needs the picture's library.
    from matplotlib.figure import Figure  # noqa: PLC0415 - see above

    judged = [(line, line.goal) for line in lines if line.goal]
    figure = Figure(figsize=(11, _FRAME + _ROW * len(judged)), layout="constrained")
    axes = figure.subplots()
    for row, (line, goal) in enumerate(reversed(judged)):
        reaches = _reaches(line, goal)
        axes.plot(reaches, [row] * len(reaches), "o", color="tab:blue", alpha=0.4, markersize=5)
        colour = "tab:green" if line.reached else "tab:red"
        axes.plot([_of_goal(_judged(line, goal), goal)], [row], "|", color=colour, markersize=18, markeredgewidth=3)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(judged)), [_label(line, goal) for line, goal in reversed(judged)], fontsize=8)
    axes.set_xlabel("how many times better than what is to be reached")
    axes.grid(visible=True, axis="x", which="both", alpha=0.2)
    figure.savefig(path)


def _reaches(line: Line, goal: Goal) -> list[float]:
    """How far each repetition is from the goal; 1 just reaches it, more is better."""
    if goal.of == "value":
        return [_of_goal(value, goal) for value in line.ours]
    return [_of_goal(ours / floor, goal) for ours, floor in zip(line.ours, line.floors, strict=False)]


def _judged(line: Line, goal: Goal) -> float:
    return median(line.ours) if goal.of == "value" or line.ratio is None else line.ratio


def _of_goal(value: float, goal: Goal) -> float:
    value = max(value, 1e-9)  # a growth may be none
    return value / goal.limit if goal.bound == "least" else goal.limit / value


def _label(line: Line, goal: Goal) -> str:
    what = line.what.replace("`", "")
    shown = what if len(what) <= _LONGEST_LABEL else what[: _LONGEST_LABEL - 1] + "…"
    return f"{shown}\n{_spelled(goal)}"
