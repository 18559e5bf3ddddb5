"""Where the server is, and who the user is there: the environment, and a file that only its owner can read."""

from __future__ import annotations

import base64
import json
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from abacod.client.errors import ClientError, NotAuthorised, Usage

DEFAULT_URL: Final = "http://127.0.0.1:8000"
_EARLY: Final = 30.0
"""A token is renewed this long before its end, so that it does not expire on its way. In seconds."""


@dataclass(frozen=True, slots=True)
class Account:
    """A server and the tokens for it; without `access_token` nobody is logged in."""

    url: str
    username: str = ""
    access_token: str = ""
    refresh_token: str = ""
    stored: bool = False
    """Whether this came from the file, so that new tokens belong there."""

    @property
    def expires_soon(self) -> bool:
        """Whether the access token has ended, or will in a moment."""
        end = expiry(self.access_token)
        return end is not None and end - _EARLY < time.time()

    def with_tokens(self, access_token: str, refresh_token: str) -> Account:
        """The same account with new tokens."""
        return replace(self, access_token=access_token, refresh_token=refresh_token)


def current() -> Account:
    """The account to use: `ABACO_URL` and `ABACO_TOKEN` win over the file.

    Raises:
        NotAuthorised: no server is named.
    """
    url, token = os.environ.get("ABACO_URL", ""), os.environ.get("ABACO_TOKEN", "")
    stored = load()
    if url:
        url = checked_url(url)
    elif stored:
        url = stored.url
    else:
        raise NotAuthorised("You are not logged in. Run `abaco login`, or set ABACO_URL and ABACO_TOKEN.")
    if token:
        return Account(url, access_token=token)
    # A token is shown to the server that gave it and to no other.
    return stored if stored and stored.url == url else Account(url)


def place() -> Path:
    """The file with the account."""
    if given := os.environ.get("ABACO_CONFIG"):
        return Path(given)
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "abaco" / "account.json"


def load() -> Account | None:
    """The account in the file, if there is one."""
    path = place()
    try:
        content = json.loads(path.read_bytes())
        texts = {each.name: str(content.get(each.name) or "") for each in fields(Account) if each.name != "stored"}
        return Account(**{**texts, "url": checked_url(texts["url"])}, stored=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ClientError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, AttributeError, Usage) as error:
        raise ClientError(f"{path} cannot be understood. Run `abaco login` to write it anew.") from error


def save(account: Account) -> None:
    """Write the file whole or not at all, readable by its owner only."""
    path = place()
    content = {name: value for name, value in asdict(account).items() if name != "stored"}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes files with mode 0600, whatever the umask.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(content, file, indent=2)
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise ClientError(f"Cannot write {path}: {error.strerror}.") from error


def forget() -> bool:
    """Remove the file; whether there was one."""
    try:
        place().unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ClientError(f"Cannot remove {place()}: {error.strerror}.") from error
    return True


def checked_url(text: str) -> str:
    """The address below which `/v3/actors` is, without a slash at its end.

    Raises:
        Usage: it is no such address.
    """
    url = text.strip().rstrip("/")
    for ending in ("/v3/actors", "/v3"):
        url = url.removesuffix(ending)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise Usage(f"{text!r} is no address: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise Usage(f"{text!r} is no address of a server; write for example {DEFAULT_URL}.")
    return url


def expiry(token: str) -> float | None:
    """When a token ends, in seconds since 1970, as far as it tells. It is not checked: that is for the server."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (IndexError, ValueError, TypeError, KeyError):
        return None
