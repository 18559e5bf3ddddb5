"""What commands print: results on standard output, everything else on standard error.

Tables fit the terminal; in a pipe they are plain lines as long as they need to be. Ids are never cut.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_COLOURS: Final = {
    "READY": "green",
    "COMPLETE": "green",
    "RUNNING": "cyan",
    "BUSY": "cyan",
    "SUBMITTED": "yellow",
    "ERROR": "red",
    "SHUTTING_DOWN": "magenta",
}
_PIPE_WIDTH: Final = 1_000_000
"""Wider than any line; in characters."""
_LEAST: Final = 12
"""What a column that may be folded keeps on a narrow terminal, in characters."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `whole` ones are neither cut nor folded."""

    head: str
    whole: bool = False


def say(text: str) -> None:
    """A line for the human, on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def is_terminal() -> bool:
    """Whether a human sees standard error."""
    return sys.stderr.isatty()


def put(text: str) -> None:
    """Text of a result, as it is."""
    sys.stdout.write(text)
    sys.stdout.flush()


def put_bytes(data: bytes) -> None:
    """Bytes of a result, as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def put_json(result: Any) -> None:
    """A result as JSON."""
    readable = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(result, indent=2, ensure_ascii=not readable)
    # Half of a surrogate pair is a text in JSON, but not in UTF-8.
    if any("\ud800" <= character <= "\udfff" for character in text):
        text = json.dumps(result, indent=2)
    put(f"{text}\n")


def put_table(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
    """A table; also an empty one has its head."""
    # Loaded only for commands that show a table, for it takes about as long as a request.
    from rich.cells import cell_len  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    cells = [[shown(value) for value in row] for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    needed = 0
    for number, column in enumerate(columns):
        width = max(cell_len(column.head), *(cell_len(row[number]) for row in cells), 0)
        needed += 2 + (width if column.whole else min(width, _LEAST))
        table.add_column(Text(column.head), no_wrap=column.whole, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, force_terminal=terminal, width=None if terminal else _PIPE_WIDTH)
    console.width = max(console.width, needed)
    if terminal:
        console.print(table)
        return
    with console.capture() as capture:
        console.print(table)
    put("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def put_record(record: dict[str, Any]) -> None:
    """One thing, a line for each field."""
    # Links are for programs.
    fields = [(name, value) for name, value in record.items() if name != "_links"]
    width = max((len(name) for name, _ in fields), default=0)
    put("".join(f"{name:<{width}}  {shown(value)}".rstrip() + "\n" for name, value in fields))


def shown(value: object) -> str:
    """A value in one line, without anything a terminal would obey."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return one_line(value)
    return one_line(json.dumps(value, ensure_ascii=False))


def one_line(text: str) -> str:
    """The text on one line, with control characters made visible."""
    joined = " ".join(text.split())
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "backslashreplace").decode() for each in joined
    )


def prepare() -> None:
    """Let no character be a reason to fail: what the terminal's encoding lacks is shown escaped."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def abandon() -> None:
    """Nobody reads the output any more: do not complain about it at the end, either."""
    with open(os.devnull, "w") as nothing:  # noqa: PTH123 - a path of the system
        for stream in (sys.stdout, sys.stderr):
            try:
                os.dup2(nothing.fileno(), stream.fileno())
            except (OSError, ValueError):
                continue
