"""The command line `abaco`: which commands there are, and how they end.

Everything that takes long to load, the HTTP client before all, is loaded by the command that needs it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.completion import get_completion_inspect_parameters
from typer.core import TyperGroup

from abacod import __version__
from abacod.client.commands import account, actors, more, runs, sharing
from abacod.client.commands.completion import completion
from abacod.client.commands.deploy import deploy
from abacod.client.errors import BROKEN_PIPE, INTERRUPTED, ClientError, Usage
from abacod.client.output import abandon, one_line, prepare, say

PROGRAM: Final = "abaco"
_COMPLETE: Final = "_ABACO_COMPLETE"
"""The variable through which a shell's script asks for completions."""

# Typer has a copy of click in new versions and uses click itself in older ones; this is the root of its errors in both.
_UsageError: Final[type[Any]] = typer.BadParameter.__mro__[1]


class _Commands(TyperGroup):
    """Ends each command with one line for what went wrong and a status of its own, never with a traceback."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        prepare()
        if _COMPLETE in os.environ:
            # This makes Typer know the shells; it does so by itself only for its own options.
            get_completion_inspect_parameters()
        try:
            status = super().main(*args, **{**options, "standalone_mode": False})
            sys.stdout.flush()
        except ClientError as error:
            say(f"{PROGRAM}: {one_line(error.message)}")
            status = error.status
        except _UsageError as error:
            status = _explain(error)
        except (KeyboardInterrupt, typer.Abort):
            status = INTERRUPTED
        except OSError as error:
            say(f"{PROGRAM}: {one_line(str(error))}")
            status = ClientError.status
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, *args: Any, **options: Any) -> Any:
        try:
            return super().invoke(*args, **options)
        except BrokenPipeError:
            # Typer would end with 1, as if the command had failed.
            abandon()
            raise typer.Exit(BROKEN_PIPE) from None


def _explain(error: Any) -> int:
    """Say what is wrong with the command line, in one line; the exit status."""
    # Whoever gives nothing at all gets the help, and this error carries it as its text.
    if type(error).__name__ == "NoArgsIsHelpError":
        say(error.format_message())
        return Usage.status
    command = error.ctx.command_path if error.ctx else PROGRAM
    say(f"{PROGRAM}: {one_line(error.format_message())} Try `{command} --help`.")
    return Usage.status


app = typer.Typer(
    cls=_Commands,
    help="Run actors on an Abaco server. `abaco login` comes first.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain lines, also in pipes
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _add(command: Callable[..., None], *further_names: str) -> None:
    app.command(command.__name__)(command)
    for name in further_names:
        app.command(name, hidden=True, help=f"Another name of `{command.__name__}`.")(command)


_add(account.login)
_add(account.logout)
_add(account.whoami)
_add(actors.ls, "list")
_add(actors.show)
_add(actors.create)
_add(actors.update)
_add(actors.rm, "delete")
_add(deploy)
_add(runs.run, "submit")
_add(runs.logs)
_add(runs.executions)
_add(runs.halt)
_add(runs.results)
_add(runs.messages)
_add(actors.state)
_add(actors.permissions)
app.add_typer(sharing.nonces, name="nonces")
app.add_typer(sharing.aliases, name="aliases")
_add(more.workers)
_add(more.search)
app.add_typer(more.configs, name="configs")
_add(completion)


def main() -> None:
    """Run the command given on the command line."""
    app(prog_name=PROGRAM)
