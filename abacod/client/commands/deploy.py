"""deploy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from abacod.client.building import Project, image_of
from abacod.client.commands.actors import put_registered
from abacod.client.commands.options import Json, connected
from abacod.client.errors import EndedBadly, NotFound, Unreachable, Usage
from abacod.client.output import is_terminal, one_line, say
from abacod.client.registration import Fields, of_actor, with_flags

if TYPE_CHECKING:
    from abacod.client.server import Server

_PAUSE: Final = 0.3
"""Between two looks at the actor, in seconds."""


@with_flags
def deploy(
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="With a Dockerfile, and perhaps an actor.toml.")
    ] = Path(),
    image: Annotated[
        str | None, typer.Option("--image", metavar="IMAGE", help="Take this image; nothing is built.")
    ] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", "-t", metavar="IMAGE", help="What to call the built image.")
    ] = None,
    builder: Annotated[
        str | None, typer.Option("--builder", metavar="PROGRAM", help="Default: docker, else podman.")
    ] = None,
    push: Annotated[bool, typer.Option("--push", help="Push the built image, for a server elsewhere.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, metavar="SECONDS", help="How long to wait until it is ready.")
    ] = 600,
    as_json: Json = False,
    *,
    given: Fields,
) -> None:
    """Build an image, register it or update the actor of that name, and wait until the actor is ready."""
    if image and (tag or push or builder):
        raise Usage("--image takes an image that there is, so --tag, --push and --builder have no place with it.")
    project = Project.at(directory)
    fields = project.fields | given
    name = fields.setdefault("name", project.default_name)
    if not isinstance(name, str) or not name:
        raise Usage("The name of the actor is a text that is not empty.")
    fields["image"] = image or tag or fields.get("image") or image_of(name)
    with connected() as server:
        # Whoever may not deploy should hear of it before a long build.
        before = _actor_named(server, name)
        if not image:
            project.build(fields["image"], builder, push=push)
        actor = _registered(server, before, fields, keep=not project.has_file)
        actor = _until_settled(server, actor, timeout)
    if actor["status"] != "READY":
        raise EndedBadly(f"Actor {actor['id']} is {actor['status']}: {one_line(actor['status_message'])}")
    put_registered(actor, as_json)


def _actor_named(server: Server, name: str) -> dict[str, Any] | None:
    found = [actor for actor in server.call("GET", "") if actor["name"] == name]
    if len(found) > 1:
        ids = ", ".join(actor["id"] for actor in found)
        raise NotFound(f"{len(found)} actors are called {one_line(name)} ({ids}); delete or rename all but one.")
    return dict(found[0]) if found else None


def _registered(server: Server, before: dict[str, Any] | None, fields: Fields, *, keep: bool) -> dict[str, Any]:
    """Register or update; `keep` leaves what is not given as it is, for directories that say nothing about it."""
    if before is None:
        actor = server.call("POST", "", json=fields)
        say(f"Registered {one_line(fields['name'])} as {actor['id']}.")
        return dict(actor)
    kept = of_actor(before) if keep else {}
    # The same name may be another image by now.
    actor = server.call("PUT", f"/{before['id']}", json={**kept, **fields, "force": True})
    say(f"Updated {one_line(fields['name'])}, which is {actor['id']}.")
    return dict(actor)


def _until_settled(server: Server, actor: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Wait until the actor is no longer SUBMITTED.

    Raises:
        Unreachable: it takes longer than `timeout` seconds.
    """
    end = time.monotonic() + timeout
    with _progress(f"Waiting until {actor['id']} is ready"):
        while actor["status"] == "SUBMITTED":
            if time.monotonic() > end:
                message = one_line(actor["status_message"])
                raise Unreachable(f"Actor {actor['id']} is not ready after {timeout:g} s. {message}".rstrip())
            time.sleep(_PAUSE)
            actor = dict(server.call("GET", f"/{actor['id']}"))
    return actor


@contextmanager
def _progress(text: str) -> Iterator[None]:
    """Something that moves on a terminal, a line elsewhere."""
    if not is_terminal():
        say(f"{text}.")
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - see `put_table`
    from rich.status import Status  # noqa: PLC0415

    with Status(f"{text} …", console=Console(stderr=True, markup=False)):
        yield
