"""Addresses below that of the server."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from abacod.client.errors import Usage

ACTORS: Final = "/v3/actors"
TOKENS: Final = "/v3/oauth2/tokens"
USER: Final = "/v3/oauth2/userinfo"


def segment(text: str) -> str:
    """A text as one part of a path.

    Raises:
        Usage: it is no text.
    """
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise Usage("The command line holds something that is not UTF-8.") from error
