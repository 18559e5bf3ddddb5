"""The page of the PipelineJobs system says what the rules are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from reactors.pipelinejobs.agave import EVENTS
from reactors.pipelinejobs.filetypes import RULES
from reactors.pipelinejobs.identifiers import PREFIXES
from reactors.pipelinejobs.states import TRANSITIONS, JobEvent, JobState
from reactors.pipelinejobs.validation import names

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "reference" / "pipelinejobs.md"


def table(head: str) -> list[list[str]]:
    """The cells of the table whose head begins so, without backticks."""
    _, found, rest = PAGE.read_text().partition(f"\n| {head} |")
    assert found, head
    lines = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().replace("`", "") for cell in line.split("|")[1:-1]] for line in lines]


def test_the_table_of_transitions() -> None:
    shown = {event: dict(zip(JobState, cells, strict=True)) for event, *cells in table("event | `CREATED`")}
    assert shown.keys() == set(JobEvent)
    for event, cells in shown.items():
        for state, cell in cells.items():
            target = TRANSITIONS[JobEvent(event)].get(state, "")
            assert cell == ("·" if target == state else target), (event, state)


def test_the_states() -> None:
    assert [state for row in table("state | meaning") for state in row[0].split(", ")] == list(JobState)


def test_the_statuses_of_batch_jobs() -> None:
    shown = {status: row[0] for row in table("event | statuses") for status in row[1].split(", ")}
    assert shown.pop("all others") == "update"
    assert shown == dict(EVENTS)


def test_the_types_of_files() -> None:
    assert [(label, tuple(globs.split(", "))) for label, globs in table("type | names")] == list(RULES)


def test_the_digits_of_uuids() -> None:
    shown = {digits for row in table("digits | kind") for digits in row[0].split(", ")}
    assert shown <= set(PREFIXES.values())


def test_every_schema_is_listed_once() -> None:
    section = PAGE.read_text().partition("\n## Schemas\n")[2].partition("\n## ")[0]
    listed = [
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(listed) == list(names())
