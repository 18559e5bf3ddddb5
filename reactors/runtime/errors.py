"""What the SDK raises."""

from __future__ import annotations


class ReactorError(Exception):
    """The root of all errors of the SDK."""


class SettingsInvalid(ReactorError):
    """`config.yml` cannot be read as settings."""


class DaemonError(ReactorError):
    """The daemon refused a request, or did not answer it.

    `status` is that of HTTP, 0 if there was no answer. The text never holds the query, which may hold a nonce.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


class MessageNotSent(ReactorError):
    """A message could not be sent, also not by trying again."""


class ResultNotSent(ReactorError):
    """A result could not be sent: there is no results socket, nobody reads it, or the result is too large."""
