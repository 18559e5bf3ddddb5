"""workers, search, configs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from abacod.client.commands.options import Actor, Json, connected, put_one
from abacod.client.errors import Usage
from abacod.client.naming import actor_id, lasting_name
from abacod.client.output import Column, put_json, put_table, say
from abacod.client.paths import ACTORS, segment
from abacod.client.sending import read_text

configs = typer.Typer(help="Configs: values that actors get at each execution. Lists them if nothing else is said.")

_WORKERS = ("id", "status", "image", "create_time", "last_execution_time")
_CONFIGS = ("name", "is_secret", "actors", "value")
# What a table of found records shows, where it is there; all the rest is in the JSON.
_FOUND = {
    "actors": ("id", "name", "image", "owner", "status"),
    "executions": ("id", "actor_id", "status", "exit_code", "start_time", "finish_time"),
    "workers": ("id", "actor_id", "status", "image", "last_execution_time"),
    "logs": ("logs",),
}

ConfigName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the config.", show_default=False)]


def workers(
    actor: Actor,
    worker: Annotated[str | None, typer.Option("--worker", "-w", metavar="WORKER", help="Show only this one.")] = None,
    number: Annotated[
        int | None, typer.Option("--number", "-n", metavar="N", help="Have at least N. Needs a role.")
    ] = None,
    stop: Annotated[
        str | None, typer.Option("--stop", metavar="WORKER", help="Stop this one after its message.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the workers of an actor; show, ask for, or stop some."""
    if sum(each is not None for each in (worker, number, stop)) > 1:
        raise Usage("Give one of --worker, --number and --stop.")
    with connected() as server:
        path = f"/{actor_id(server, actor)}/workers"
        if worker is not None:
            put_one(server.call("GET", f"{path}/{segment(worker)}"), as_json)
            return
        if number is not None or stop is not None:
            method, path = ("POST", path) if stop is None else ("DELETE", f"{path}/{segment(stop)}")
            envelope = server.request(method, ACTORS + path, json={"num": number} if stop is None else None)
            if as_json:
                put_json(server.result(envelope))
            else:
                say(str(envelope.json()["message"]))
            return
        found = server.call("GET", path)
    if as_json:
        put_json(found)
    else:
        _put(_WORKERS, found)


def search(
    database: Annotated[str, typer.Argument(metavar="DATABASE", help="actors, executions, workers or logs.")],
    conditions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIELD.OP=VALUE...", help="As status=READY, or start_time.gt=2024-05.", show_default=False
        ),
    ] = None,
    text: Annotated[str | None, typer.Option("--search", "-s", metavar="TEXT", help="Any of these words.")] = None,
    phrase: Annotated[str | None, typer.Option("--exact", metavar="TEXT", help="These very words.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", help="At most so many.")] = None,
    skip: Annotated[int | None, typer.Option("--skip", metavar="N", help="Leave out the first.")] = None,
    as_json: Json = False,
) -> None:
    """Find actors, executions, workers or logs that meet all the conditions."""
    named = (("search", text), ("exactsearch", phrase), ("limit", limit), ("skip", skip))
    params = [_condition(each) for each in conditions or ()]
    params += [(name, str(value)) for name, value in named if value is not None]
    with connected() as server:
        result = server.call("GET", f"/search/{segment(database)}", params=params)
    if as_json:
        put_json(result)
        return
    found = result["search"]
    columns = [name for name in _FOUND.get(database, ("id",)) if not found or any(name in each for each in found)]
    _put(columns, found)
    counts = result["_metadata"]
    if counts["total_count"] > counts["count_returned"]:
        say(f"{counts['count_returned']} of {counts['total_count']}; --limit and --skip show others.")


@configs.callback(invoke_without_command=True)
def _configs(context: typer.Context, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        list_configs(as_json)


@configs.command("list")
def list_configs(as_json: Json = False) -> None:
    """List the configs you may see."""
    with connected() as server:
        found = server.call("GET", "/configs")
    if as_json:
        put_json(found)
    else:
        _put(_CONFIGS, found)


@configs.command("show")
def show_config(name: ConfigName, as_json: Json = False) -> None:
    """Show a config."""
    with connected() as server:
        put_one(server.call("GET", _path(name)), as_json)


@configs.command("create")
def create_config(
    name: ConfigName,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="The value; `-` is stdin.", show_default=False)],
    actors: Annotated[list[str], typer.Option("--actor", "-a", metavar="ACTOR", help="Who gets it; may be repeated.")],
    secret: Annotated[bool, typer.Option("--secret", help="Nobody but the actors shall see the value.")] = False,
    as_json: Json = False,
) -> None:
    """Give actors a value."""
    with connected() as server:
        named = ",".join(lasting_name(server, each) for each in actors)
        fields = {"name": name, "value": _value(value), "is_secret": secret, "actors": named}
        put_one(server.call("POST", "/configs", json=fields), as_json)


@configs.command("update")
def update_config(
    name: ConfigName,
    value: Annotated[
        str | None, typer.Argument(metavar="VALUE", help="The new value; `-` is stdin.", show_default=False)
    ] = None,
    actors: Annotated[
        list[str] | None,
        typer.Option("--actor", "-a", metavar="ACTOR", help="Who gets it from now on; may be repeated."),
    ] = None,
    secret: Annotated[bool | None, typer.Option("--secret/--public", help="Whether only the actors see it.")] = None,
    as_json: Json = False,
) -> None:
    """Change a config. Only what is given changes; the value of a secret one must be given."""
    with connected() as server:
        before = server.call("GET", _path(name))
        if value is None and before["is_secret"]:
            raise Usage("The server does not show the value of a secret config; give it again.")
        fields = {
            "name": name,
            "value": before["value"] if value is None else _value(value),
            "is_secret": before["is_secret"] if secret is None else secret,
            "actors": ",".join(lasting_name(server, each) for each in actors) if actors else before["actors"],
        }
        put_one(server.call("PUT", _path(name), json=fields), as_json)


@configs.command("delete")
def delete_config(name: ConfigName, as_json: Json = False) -> None:
    """Delete a config."""
    with connected() as server:
        server.call("DELETE", _path(name))
    if as_json:
        put_json(None)
    else:
        say(f"Deleted config {name}.")


def _condition(text: str) -> tuple[str, str]:
    field, equals, value = text.partition("=")
    if not field or not equals:
        raise Usage(f"{text!r} is not FIELD=VALUE or FIELD.OP=VALUE.")
    return field, value


def _value(text: str) -> str:
    return read_text("-") if text == "-" else text


def _path(name: str) -> str:
    return f"/configs/{segment(name)}"


def _put(names: tuple[str, ...] | list[str], records: list[dict[str, Any]]) -> None:
    columns = [Column(name.replace("_", " ").upper(), whole=name in ("id", "actor_id", "name")) for name in names]
    put_table(columns, [[record.get(name) for name in names] for record in records])
