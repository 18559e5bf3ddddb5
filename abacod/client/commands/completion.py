"""completion."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]  # where older versions have it, too

from abacod.client.output import put


class Shell(StrEnum):
    """Shells whose completion is known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False)],
) -> None:
    """Print a script that lets the shell complete commands, options, and the names of your actors."""
    put(get_completion_script(prog_name="abaco", complete_var="_ABACO_COMPLETE", shell=shell.value) + "\n")
