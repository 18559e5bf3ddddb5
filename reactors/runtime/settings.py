"""The settings of a reactor: `config.yml`, overlaid with variables of the environment (spec/pipelinejobs 8.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

from reactors.runtime.attributes import AttributeDict
from reactors.runtime.errors import SettingsInvalid

NAMESPACE = "_REACTOR"
"""What the names of the variables begin with that overlay settings."""

FILE_NAME = "config.yml"
DEFAULTS: Mapping[str, Any] = {
    "logs": {"level": "DEBUG", "file": None, "url": None, "token": None},
    "slack": {"webhook": None},
    "linked_reactors": {},
}


def load_settings(
    environment: Mapping[str, str], namespace: str = NAMESPACE, directories: Sequence[Path] | None = None
) -> AttributeDict:
    """The defaults, over them `/config.yml`, over it that of the working directory, over all the environment.

    `_REACTOR_KEY` and `_REACTOR_SECTION_KEY`, in upper case, replace settings that are there and are null or a text.

    Raises:
        SettingsInvalid: a file is no YAML, or no mapping.
    """
    settings: Any = DEFAULTS
    for directory in (Path("/"), Path.cwd()) if directories is None else directories:
        settings = merged(settings, _read(directory / FILE_NAME))
    return AttributeDict(_overlaid(settings, environment, namespace, depth=2))


def merged(left: Any, right: Any) -> Any:
    """`right` over `left`: mappings merge at every depth, all else is replaced."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return {**left, **{key: merged(left.get(key), value) for key, value in right.items()}}
    return right


def _read(path: Path) -> Mapping[str, Any]:
    import yaml  # noqa: PLC0415 - programs without a file need not load it

    try:
        content = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, OSError, RecursionError) as error:
        raise SettingsInvalid(f"{path} cannot be read: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsInvalid(f"{path} must hold a mapping of settings, and holds {type(content).__name__}")
    return {str(key): value for key, value in content.items()}


def _overlaid(settings: Mapping[str, Any], environment: Mapping[str, str], prefix: str, depth: int) -> dict[str, Any]:
    return {key: _value(value, environment, f"{prefix}_{key}".upper(), depth) for key, value in settings.items()}


def _value(value: Any, environment: Mapping[str, str], variable: str, depth: int) -> Any:
    if isinstance(value, Mapping) and depth > 1:
        return _overlaid(value, environment, variable, depth - 1)
    return environment.get(variable, value) if value is None or isinstance(value, str) else value
