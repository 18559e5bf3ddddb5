"""Reads the settings from their file and puts the flags with them; what is wrong is told in one message."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from abacod.config import Settings
from abacod.errors import ConfigError


def load_settings(config: Path | None = None, **flags: Any) -> Settings:
    """Read the settings.

    `config` is a TOML file; `flags` are values from the command line, by setting name, None where not given; those of a
    section come as a dict under the section's name.

    Raises:
        ConfigError: the file cannot be read, or a setting is unknown or has a bad value; the message names each one.
    """
    try:
        file_values = tomllib.loads(config.read_text()) if config else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"Cannot read the configuration file {config}: {error}") from error
    try:
        return Settings(_file=file_values, **_given(flags))  # type: ignore[call-arg]
    except SettingsError as error:
        raise ConfigError(f"Invalid configuration. {error}: {error.__cause__}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"Invalid configuration. {problems}") from error


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in flags.items():
        if isinstance(value, dict):
            if section := _given(value):
                given[name] = section
        elif value is not None:
            given[name] = value
    return given
