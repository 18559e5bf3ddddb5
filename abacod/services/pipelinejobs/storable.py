"""Users' own JSON, as far as it can be kept and shown again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from abacod.errors import InvalidField

# Deepest nesting; SQLite reads JSON up to 1000 levels, and every reader of it has a limit of its own.
_MAX_DEPTH: Final = 200


def storable(field: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """The same value, of plain JSON types; it is large work for large values, and belongs on no event loop.

    Raises:
        InvalidField: `field` holds what JSON cannot say (NaN, a set), or is nested too deeply.
    """
    try:
        text = json.dumps(value, allow_nan=False)
        kept: dict[str, Any] = json.loads(text)
    except RecursionError as error:
        raise InvalidField(f"{field}: it is nested more than {_MAX_DEPTH} levels deep; make it flatter.") from error
    except (TypeError, ValueError) as error:
        raise InvalidField(f"{field}: it has a value that JSON cannot say: {error}.") from error
    if text.count("[") + text.count("{") > _MAX_DEPTH:
        _check_depth(field, kept)
    return kept


def _check_depth(field: str, value: Any) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise InvalidField(f"{field}: it is nested more than {_MAX_DEPTH} levels deep; make it flatter.")
