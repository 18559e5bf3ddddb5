"""Which actor the user means: by id, by alias, or by a name that only one actor has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from abacod.client.errors import ClientError, NotAuthorised, NotFound, Usage
from abacod.client.output import one_line
from abacod.client.paths import segment

if TYPE_CHECKING:
    from abacod.client.server import Server

# They would mean something else in a path.
_NO_IDENTIFIERS: Final = ("", ".", "..", "aliases", "configs", "search", "utilization", "admin")


def find_actor(server: Server, identifier: str) -> dict[str, Any]:
    """The actor with that id or alias, else the one of that name.

    Raises:
        NotFound: there is none, or several have the name.
    """
    refusal: ClientError | None = None
    if identifier not in _NO_IDENTIFIERS and "/" not in identifier:
        try:
            return dict(server.call("GET", f"/{segment(identifier)}"))
        except (NotFound, NotAuthorised) as error:
            if not server.account.access_token:
                raise
            refusal = error
    elif not identifier:
        raise Usage("Give the id, the alias or the name of an actor.")
    named = [actor for actor in server.call("GET", "") if actor["name"] == identifier]
    if len(named) == 1:
        return dict(named[0])
    if named:
        candidates = ", ".join(f"{actor['id']} ({actor['image']}, of {actor['owner']})" for actor in named)
        raise NotFound(f"{len(named)} actors are called {one_line(identifier)}; give the id: {one_line(candidates)}.")
    if isinstance(refusal, NotAuthorised):
        raise refusal
    raise NotFound(f"There is no actor with the id, alias or name {one_line(identifier)}.")


def actor_id(server: Server, identifier: str) -> str:
    """The id of `find_actor`."""
    return str(find_actor(server, identifier)["id"])


def lasting_name(server: Server, identifier: str) -> str:
    """How to name the actor where the server keeps the name: an alias as it is, since it may be given to another actor."""
    found = actor_id(server, identifier)
    is_alias = any(each["alias"] == identifier for each in server.call("GET", "/aliases"))
    return identifier if is_alias else found


def execution_id(server: Server, actor: str, given: str | None) -> str:
    """The execution that is given, else the latest one of the actor.

    Raises:
        NotFound: it has had none.
    """
    if given:
        return given
    executions = server.call("GET", f"/{actor}/executions")["executions"]
    if not executions:
        raise NotFound(f"Actor {actor} has not had an execution yet.")
    return str(executions[-1]["id"])
