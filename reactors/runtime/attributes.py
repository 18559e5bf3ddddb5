"""Dictionaries whose keys can be read as attributes."""

from __future__ import annotations

from typing import Any, Dict, Mapping


class AttributeDict(Dict[str, Any]):
    """A dictionary that reads `d.key` as `d["key"]`, at every depth.

    A key with the name of a method of dictionaries, such as `items`, can be read with brackets only.
    """

    def __init__(self, content: Mapping[str, Any] | None = None) -> None:
        super().__init__({key: wrapped(value) for key, value in (content or {}).items()})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no {name} here") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = wrapped(value)

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"there is no {name} here") from None


def wrapped(value: Any) -> Any:
    """A value whose mappings are AttributeDicts."""
    if isinstance(value, Mapping):
        return AttributeDict(value)
    if isinstance(value, list):
        return [wrapped(item) for item in value]
    return value
