"""What a message to a built-in reactor holds: JSON, or what Python writes for the same (spec/pipelinejobs 2)."""

from __future__ import annotations

import ast
import json
from typing import Any, Final

DEEPEST: Final = 200
"""How deeply values may be nested; far below the depth at which readers and writers of JSON give up."""

# An object whose field for the message is empty reaches an actor as a whole.
_EMPTY: Final = ({"message": ""}, {"message": None})

# Longest Python literal that is read, in characters: all that a text message may have. Python takes some 100 times as much memory.
_LONGEST_LITERAL: Final = 200_000


def decoded(text: str) -> Any:
    """The value that a message stands for, as JSON has values; an empty message is an empty object, however it was sent.

    Raises:
        ValueError: it is neither JSON nor a Python literal, or holds what JSON cannot: numbers without an end, halves of
            characters, values nested too deeply.
    """
    if not text.strip():
        return {}
    value = _read(text)
    if value in _EMPTY:
        return {}
    if _depth(value) > DEEPEST:
        raise ValueError(f"The message is nested more than {DEEPEST} levels deep.")
    try:
        # Whatever is accepted here can be stored and shown.
        return json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except UnicodeEncodeError as error:
        raise ValueError("The message holds half of a surrogate pair, which is no character.") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"The message holds a value that JSON has not: {error}") from error


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("The message is nested too deeply.") from error
    except ValueError as error:
        try:
            if len(text) <= _LONGEST_LITERAL:
                return ast.literal_eval(text.strip())
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            pass
        raise ValueError(f"The message is neither JSON nor a Python literal: {error}") from error


def _depth(value: Any) -> int:
    """How many objects and arrays lie in each other."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list | tuple)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth
