"""Reading the message that an execution was started with."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from typing import Any, Callable

_READERS: tuple[tuple[str, Callable[[str], Any]], ...] = (("JSON", json.loads), ("a Python literal", ast.literal_eval))


@dataclass(frozen=True)
class Parsed:
    """A text as a value. `log` says as what it could not be read; if it is nothing, `value` is None and `understood` false."""

    value: Any = None
    understood: bool = False
    log: tuple[str, ...] = ()


def parsed(text: str | None) -> Parsed:
    """A text, read as JSON first and as a Python literal second (spec/pipelinejobs 2)."""
    log: list[str] = []
    for name, read in _READERS if text else ():
        try:
            return Parsed(read(text or ""), True, tuple(log))
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:  # noqa: PERF203 - two rounds
            log.append(f"message is not {name}: {type(error).__name__}")
    return Parsed(log=tuple(log))
