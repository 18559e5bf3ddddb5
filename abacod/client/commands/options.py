"""Options and arguments that several commands share, and the way to the server."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from abacod.client.errors import ClientError, Usage
from abacod.client.output import put_json, put_record

if TYPE_CHECKING:
    from abacod.client.server import Server

_COMPLETION_LIMIT: Final = 200
"""More names than that are no help in a terminal."""
_SPECIAL: Final = frozenset(" \t\n\"'\\$`&|;<>(){}[]*?!~#:")
"""What means something to a shell."""


def connected(*, nonce: str | None = None) -> Server:
    """The server of the account in use."""
    # The HTTP client takes longer to load than all the rest; `--help` and completion scripts do without.
    from abacod.client.account import current  # noqa: PLC0415
    from abacod.client.server import Server  # noqa: PLC0415

    return Server(current(), nonce=nonce)


def _actors(incomplete: str) -> list[tuple[str, str]]:
    """Names, aliases and ids that begin so; nothing if the server cannot be asked."""
    found: list[tuple[str, str]] = []
    # What could be asked for in time is offered.
    with suppress(ClientError), connected() as server:
        server.be_quick()
        actors = server.call("GET", "")
        found += [(str(actor["name"]), str(actor["image"])) for actor in actors if actor["name"]]
        found += [(str(actor["id"]), str(actor["name"] or actor["image"])) for actor in actors]
        found += [(str(alias["alias"]), f"alias of {alias['actor_id']}") for alias in server.call("GET", "/aliases")]
    # Names that the shell would take apart are left to the user.
    plain = [(word, about) for word, about in found if word.isprintable() and not set(word) & _SPECIAL]
    return [each for each in plain if each[0].startswith(incomplete)][:_COMPLETION_LIMIT]


Actor = Annotated[
    str,
    typer.Argument(
        metavar="ACTOR",
        help="Id, alias, or a name that only one actor has.",
        autocompletion=_actors,
        show_default=False,
    ),
]
Execution = Annotated[
    str | None,
    typer.Argument(metavar="EXECUTION", help="Id of the execution. Default: the latest.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", "-v", help="Print the result as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def put_one(record: dict[str, Any], as_json: bool) -> None:
    """One thing, for the human or as JSON."""
    if as_json:
        put_json(record)
    else:
        put_record(record)


def confirm(question: str) -> None:
    """Go on only after a yes.

    Raises:
        Usage: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise Usage("There is no terminal to ask; use --yes.")
    typer.confirm(question, abort=True, err=True)
