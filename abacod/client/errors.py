"""What can go wrong for the user of `abaco`, and with which exit status the command then ends."""

from __future__ import annotations

from typing import ClassVar, Final

INTERRUPTED: Final = 130
"""Exit status after ctrl-C: 128 and the number of the signal, as shells have it."""
BROKEN_PIPE: Final = 141
"""Exit status when nobody reads the output any more; likewise."""


class ClientError(Exception):
    """The command cannot do what it was asked for; also the server's refusals without a class of their own."""

    status: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Usage(ClientError):
    """The command line, or a file it names, is not what the command takes."""

    status = 2


class NotAuthorised(ClientError):
    """Nobody is logged in, or the user may not do this."""

    status = 3


class NotFound(ClientError):
    """There is no such thing, or a name fits several."""

    status = 4


class Unreachable(ClientError):
    """The server does not answer, or somebody else does in its place."""

    status = 5


class EndedBadly(ClientError):
    """The actor or the execution that was waited for ended in ERROR."""

    status = 6
