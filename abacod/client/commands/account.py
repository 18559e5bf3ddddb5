"""login, logout, whoami."""

from __future__ import annotations

import os
import sys
import time
from typing import Annotated

import typer

from abacod.client import account as accounts
from abacod.client.account import DEFAULT_URL, Account
from abacod.client.commands.options import Json, connected, put_one
from abacod.client.errors import Usage
from abacod.client.output import say
from abacod.client.paths import USER


def login(
    url: Annotated[str | None, typer.Argument(metavar="URL", help="Address of the server.", show_default=False)] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", help="Name of the user.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
    ] = False,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Tenant. Default: the server's own.")] = None,
) -> None:
    """Log in at a server; what is not given is asked for. The tokens are stored, the password is not."""
    from abacod.client.server import Server  # noqa: PLC0415 - see `connected`

    before = accounts.load() if accounts.place().exists() else None
    known = os.environ.get("ABACO_URL") or (before.url if before else DEFAULT_URL)
    address = accounts.checked_url(url or _asked("URL", known))
    name = user or _asked("User", before.username if before else "")
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else _asked("Password", hidden=True)
    with Server(Account(address)) as server:
        account = server.log_in(name, password, tenant)
    accounts.save(account)
    say(f"Logged in as {name} at {address}.")
    if os.environ.get("ABACO_TOKEN"):
        say("ABACO_TOKEN is set and still wins over this login; unset it.")


def logout() -> None:
    """Forget the tokens that `login` stored."""
    say("Logged out." if accounts.forget() else "Nobody was logged in.")


def whoami(as_json: Json = False) -> None:
    """Show who you are at which server, as the server sees it."""
    with connected() as server:
        user = server.result(server.request("GET", USER))
        account = server.account
    if as_json:
        put_one(user, as_json)
        return
    end = accounts.expiry(account.access_token)
    put_one(
        {
            "user": user["username"],
            "server": account.url,
            "token until": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end)) if end else None,
            "renewed by itself": bool(account.refresh_token),
        },
        as_json,
    )


def _asked(what: str, default: str = "", *, hidden: bool = False) -> str:
    if not sys.stdin.isatty():
        missing = "--password-stdin" if hidden else f"the {what.lower()}"
        raise Usage(f"There is no terminal to ask for the {what.lower()}; give {missing} on the command line.")
    # On standard error, as everything that is no result.
    return str(typer.prompt(what, default=default or None, hide_input=hidden, err=True))
