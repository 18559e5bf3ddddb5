"""Configs: values that several actors share, some of them secret."""

from __future__ import annotations

from dataclasses import dataclass

from abacod.ids import TenantId, Username


@dataclass(frozen=True, slots=True)
class Config:
    """A value that actors find in their environment (spec/actors-api 10.1).

    `value` is sealed if `is_secret`, and then never shown. `actors` is the text that the user gave: ids and aliases,
    separated by commas.
    """

    tenant: TenantId
    name: str
    value: str
    is_secret: bool
    actors: str
    owner: Username

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The ids and aliases named in `actors`, each once."""
        return identifiers(self.actors)


def identifiers(actors: str) -> tuple[str, ...]:
    """The ids and aliases in a comma-separated text, each once, in order; spaces around them are no part of them."""
    return tuple(dict.fromkeys(part for part in map(str.strip, actors.split(",")) if part))
