"""Actors: ls, show, create, update, rm, state, permissions."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from abacod.client.commands.options import Actor, Json, Yes, confirm, connected, put_one
from abacod.client.errors import Usage
from abacod.client.naming import actor_id, find_actor
from abacod.client.output import Column, put_json, put_table, say
from abacod.client.paths import segment
from abacod.client.registration import NAMES, Fields, of_actor, with_flags
from abacod.client.sending import parse_json, read_text

COLUMNS = (Column("ID", whole=True), Column("NAME"), Column("IMAGE"), Column("OWNER"), Column("STATUS", whole=True))

Image = Annotated[str | None, typer.Argument(metavar="IMAGE", help="The Docker image.", show_default=False)]
ImageFlag = Annotated[str | None, typer.Option("--image", metavar="IMAGE", help="The same as the argument.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Fetch the image again even if its name is the same.")]


def ls(
    actor: Annotated[
        str | None, typer.Argument(metavar="ACTOR", help="Show only this one, as `show`.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the actors you may see, the oldest first."""
    if actor is not None:
        show(actor, as_json)
        return
    with connected() as server:
        actors = server.call("GET", "")
    if as_json:
        put_json(actors)
    else:
        put_table(COLUMNS, [[each[column.head.lower()] for column in COLUMNS] for each in actors])


def show(actor: Actor, as_json: Json = False) -> None:
    """Show an actor with all its properties."""
    with connected() as server:
        put_one(find_actor(server, actor), as_json)


@with_flags
def create(image: Image = None, image_flag: ImageFlag = None, as_json: Json = False, *, given: Fields) -> None:
    """Register an image as an actor."""
    fields = _with_image(given, image, image_flag)
    if not fields.get("image"):
        raise Usage("Give the image of the actor.")
    with connected() as server:
        put_registered(server.call("POST", "", json=fields), as_json)


@with_flags
def update(
    actor: Actor,
    image: Image = None,
    image_flag: ImageFlag = None,
    force: Force = False,
    reset: Annotated[
        list[str] | None, typer.Option("--reset", metavar="FIELD", help="Property that returns to its default.")
    ] = None,
    unset_env: Annotated[
        list[str] | None, typer.Option("--unset-env", metavar="KEY", help="Environment variable to remove.")
    ] = None,
    as_json: Json = False,
    *,
    given: Fields,
) -> None:
    """Change an actor. Only what is given changes; `--env` adds to the variables there are."""
    resets = [name.replace("-", "_") for name in reset or ()]
    if wrong := [name for name in resets if name not in NAMES or name in ("image", "name", "stateless", "cron_on")]:
        raise Usage(f"{wrong[0]!r} is no property with a default to return to.")
    with connected() as server:
        found = find_actor(server, actor)
        before = {name: value for name, value in of_actor(found).items() if name not in resets}
        variables = {**before.get("default_environment", {}), **given.pop("default_environment", {})}
        before["default_environment"] = {key: variables[key] for key in variables if key not in (unset_env or ())}
        fields = before | _with_image(given, image, image_flag) | {"force": force}
        put_registered(server.call("PUT", f"/{found['id']}", json=fields), as_json)


def rm(
    actors: Annotated[
        list[str], typer.Argument(metavar="ACTOR...", help="Ids, aliases, or names.", show_default=False)
    ],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete actors: their messages, logs and state are gone."""
    with connected() as server:
        found = [find_actor(server, each) for each in actors]
        for actor in found:
            name = f" ({actor['name']})" if actor["name"] else ""
            if not yes:
                confirm(f"Delete actor {actor['id']}{name}?")
            server.call("DELETE", f"/{actor['id']}")
            if not as_json:
                say(f"Deleted actor {actor['id']}{name}.")
    if as_json:
        put_json(None)


def state(
    actor: Actor,
    value: Annotated[
        str | None, typer.Argument(metavar="JSON", help="The new state; `-` is stdin.", show_default=False)
    ] = None,
    file: Annotated[str | None, typer.Option("--file", "-F", help="File with the new state.")] = None,
    as_json: Json = False,
) -> None:
    """Show the state of an actor, or set it."""
    if value is not None and file is not None:
        raise Usage("Give the state or a file, not both.")
    text = read_text(file or "-") if file is not None or value == "-" else value
    new = None if text is None else parse_json(text, "The state")
    with connected() as server:
        path = f"/{actor_id(server, actor)}/state"
        if text is None:
            result = server.call("GET", path)
            put_json(result if as_json else result["state"])
            return
        # A bare null is a state, too, and httpx would take None for no body.
        body = text.encode()
        changed = server.call("POST", path, content=body, content_type="application/json")
    if as_json:
        put_json(changed)
    else:
        say("The state is set." if new is not None else "The state is null now.")


def permissions(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Actor; alias or config with the flag for it.")],
    user: Annotated[str | None, typer.Option("--user", "-u", help="User to give a level; ABACO_WORLD is all.")] = None,
    level: Annotated[str | None, typer.Option("--level", "-p", help="NONE, READ, EXECUTE or UPDATE.")] = None,
    of_alias: Annotated[bool, typer.Option("--alias", "-A", help="NAME is an alias, and its own are meant.")] = False,
    of_config: Annotated[bool, typer.Option("--config", help="NAME is a config.")] = False,
    as_json: Json = False,
) -> None:
    """Show who may do what with an actor, or give a user a level."""
    if (user is None) != (level is None):
        raise Usage("--user and --level go together.")
    if of_alias and of_config:
        raise Usage("Give --alias or --config, not both.")
    with connected() as server:
        if of_alias or of_config:
            path = f"/{'aliases' if of_alias else 'configs'}/{segment(name)}/permissions"
        else:
            path = f"/{actor_id(server, name)}/permissions"
        if user is None:
            result = server.call("GET", path)
        else:
            result = server.call("POST", path, json={"user": user, "level": str(level).upper()})
    if as_json:
        put_json(result)
    else:
        put_table((Column("USER", whole=True), Column("LEVEL", whole=True)), list(result.items()))


def _with_image(given: Fields, image: str | None, flag: str | None) -> Fields:
    if image and flag and image != flag:
        raise Usage("Give the image once.")
    return given | ({"image": image or flag} if image or flag else {})


def put_registered(actor: dict[str, Any], as_json: bool) -> None:
    """An actor as it was registered, in one line or as JSON."""
    if as_json:
        put_json(actor)
    else:
        put_table(COLUMNS, [[actor[column.head.lower()] for column in COLUMNS]])
