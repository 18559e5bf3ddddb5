"""What lets others in, and other names: nonces, aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from abacod.client.commands.options import Actor, Json, connected, put_one
from abacod.client.naming import actor_id
from abacod.client.output import Column, put_json, put_table, say
from abacod.client.paths import segment

if TYPE_CHECKING:
    from abacod.client.server import Server

nonces = typer.Typer(help="Nonces: links that let others use an actor without an account.", no_args_is_help=True)
aliases = typer.Typer(help="Aliases: further names of actors. Lists them if nothing else is said.")

_NONCES = {
    "ID": "id",
    "LEVEL": "level",
    "USES": "current_uses",
    "LEFT": "remaining_uses",
    "LAST USED": "last_use_time",
    "DESCRIPTION": "description",
}
_ALIASES = {"ALIAS": "alias", "ACTOR": "actor_id", "OWNER": "owner"}

OfAlias = Annotated[bool, typer.Option("--alias", "-A", help="ACTOR is an alias, and the nonce shall be bound to it.")]
Nonce = Annotated[str, typer.Argument(metavar="NONCE", help="Id of the nonce.", show_default=False)]
Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="The alias.", show_default=False)]


@nonces.command("list")
def list_nonces(actor: Actor, of_alias: OfAlias = False, as_json: Json = False) -> None:
    """List the nonces of an actor or an alias."""
    with connected() as server:
        _put_list(server.call("GET", _nonces(server, actor, of_alias)), _NONCES, as_json)


@nonces.command("show")
def show_nonce(actor: Actor, nonce: Nonce, of_alias: OfAlias = False, as_json: Json = False) -> None:
    """Show a nonce."""
    with connected() as server:
        put_one(server.call("GET", _one(_nonces(server, actor, of_alias), nonce)), as_json)


@nonces.command("create")
def create_nonce(
    actor: Actor,
    level: Annotated[
        str | None, typer.Option("--level", "-p", help="READ, EXECUTE or UPDATE. Default: EXECUTE.")
    ] = None,
    max_uses: Annotated[int | None, typer.Option("--max-uses", metavar="N", help="Default: -1, without limit.")] = None,
    description: Annotated[str | None, typer.Option("--description", "-d", help="What it is for.")] = None,
    of_alias: OfAlias = False,
    as_json: Json = False,
) -> None:
    """Make a nonce, and print its id."""
    given = {"level": level.upper() if level else None, "max_uses": max_uses, "description": description}
    fields = {name: value for name, value in given.items() if value is not None}
    with connected() as server:
        nonce = server.call("POST", _nonces(server, actor, of_alias), json=fields)
    if as_json:
        put_json(nonce)
    else:
        typer.echo(nonce["id"])


@nonces.command("delete")
def delete_nonce(actor: Actor, nonce: Nonce, of_alias: OfAlias = False, as_json: Json = False) -> None:
    """Delete a nonce; it opens nothing any more."""
    with connected() as server:
        server.call("DELETE", _one(_nonces(server, actor, of_alias), nonce))
    _put_done(f"Deleted nonce {nonce}.", as_json)


@aliases.callback(invoke_without_command=True)
def _aliases(context: typer.Context, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        list_aliases(None, as_json)


@aliases.command("list")
def list_aliases(
    alias: Annotated[
        str | None, typer.Argument(metavar="ALIAS", help="Show only this one.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the aliases of your tenant, or show one."""
    with connected() as server:
        if alias is None:
            _put_list(server.call("GET", "/aliases"), _ALIASES, as_json)
        else:
            put_one(server.call("GET", _one("/aliases", alias)), as_json)


@aliases.command("create")
def create_alias(actor: Actor, alias: Alias, as_json: Json = False) -> None:
    """Give an actor a further name."""
    with connected() as server:
        fields = {"actor_id": actor_id(server, actor), "alias": alias}
        _put_alias(server.call("POST", "/aliases", json=fields), as_json)


@aliases.command("update")
def update_alias(alias: Alias, actor: Actor, as_json: Json = False) -> None:
    """Let an alias mean another actor."""
    with connected() as server:
        fields = {"actor_id": actor_id(server, actor)}
        _put_alias(server.call("PUT", _one("/aliases", alias), json=fields), as_json)


@aliases.command("delete")
def delete_alias(alias: Alias, as_json: Json = False) -> None:
    """Remove an alias; the actor stays."""
    with connected() as server:
        server.call("DELETE", _one("/aliases", alias))
    _put_done(f"Deleted alias {alias}.", as_json)


def _nonces(server: Server, actor: str, of_alias: bool) -> str:
    return f"{_one('/aliases', actor)}/nonces" if of_alias else f"/{actor_id(server, actor)}/nonces"


def _one(path: str, name: str) -> str:
    return f"{path}/{segment(name)}"


def _put_list(records: list[dict[str, Any]], columns: dict[str, str], as_json: bool) -> None:
    if as_json:
        put_json(records)
        return
    heads = [Column(head, whole=number == 0 or head == "ACTOR") for number, head in enumerate(columns)]
    put_table(heads, [[record[name] for name in columns.values()] for record in records])


def _put_alias(alias: dict[str, Any], as_json: bool) -> None:
    if as_json:
        put_json(alias)
    else:
        say(f"{alias['alias']} means {alias['actor_id']}.")


def _put_done(text: str, as_json: bool) -> None:
    if as_json:
        put_json(None)
    else:
        say(text)
