"""An actor from a directory: what is to be built there, and the build."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from abacod.client.errors import ClientError, NotFound, Usage
from abacod.client.registration import NAMES, Fields, of_content

FILE: Final = "actor.toml"
_STANDARD_ERROR: Final = 2
_BUILDERS: Final = ("docker", "podman")


@dataclass(frozen=True, slots=True)
class Project:
    """A directory with a Dockerfile, and the fields of the registration that its `actor.toml` gives."""

    directory: Path
    fields: Fields
    has_file: bool

    @classmethod
    def at(cls, directory: Path) -> Project:
        """Read a directory.

        Raises:
            Usage: it is none, or its `actor.toml` cannot be read or holds something unknown.
        """
        if not directory.is_dir():
            raise Usage(f"{directory} is not a directory.")
        file = directory / FILE
        try:
            content = tomllib.loads(file.read_text())
        except FileNotFoundError:
            return cls(directory, {}, has_file=False)
        except (OSError, ValueError) as error:
            raise Usage(f"{file} cannot be read: {error}.") from error
        return cls(directory, _fields(content, file), has_file=True)

    @property
    def default_name(self) -> str:
        """What an actor is called if nobody says it: as its directory."""
        return self.directory.resolve().name

    def build(self, image: str, builder: str | None, *, push: bool) -> None:
        """Build the image, and push it to its registry if wanted. What the builder says goes to standard error.

        Raises:
            Usage: there is no Dockerfile.
            NotFound: there is no builder.
            ClientError: the build fails.
        """
        if not any((self.directory / name).is_file() for name in ("Dockerfile", "Containerfile")):
            raise Usage(f"{self.directory} has no Dockerfile; --image takes an image that there is.")
        program = _builder(builder)
        _run(program, "build", "-t", image, str(self.directory))
        if push:
            _run(program, "push", image)


def image_of(name: str) -> str:
    """An image name for an actor's name: images have small letters, digits and `._-`."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return plain or "actor"


def _fields(content: dict[str, Any], file: Path) -> Fields:
    if "environment" in content:
        content["default_environment"] = content.pop("environment")
    given = of_content(content)
    known = of_content(dict.fromkeys(content, ""))
    if len(known) != len(content):
        raise Usage(f"{file} has something that is no property of an actor. There are: {', '.join(sorted(NAMES))}.")
    variables = given.get("default_environment", {})
    if not isinstance(variables, dict):
        raise Usage(f"{file}: environment is a table of names and values.")
    if variables:
        given["default_environment"] = {
            name: value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in variables.items()
        }
    return given


def _builder(wanted: str | None) -> str:
    for name in (wanted,) if wanted else _BUILDERS:
        if found := shutil.which(name):
            return found
    raise NotFound(f"There is no {wanted or ' or '.join(_BUILDERS)} here to build with; --image takes a built image.")


def _run(program: str, *arguments: str) -> None:
    try:
        status = subprocess.run([program, *arguments], stdout=_STANDARD_ERROR, check=False).returncode  # noqa: S603 - the user's own builder
    except (OSError, ValueError) as error:
        raise ClientError(f"Cannot run {program}: {error}.") from error
    if status:
        raise ClientError(f"`{Path(program).name} {arguments[0]}` failed with exit code {status}.")
