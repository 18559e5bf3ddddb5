"""Actors over HTTP: list, register, show, update, delete, state."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, TypedDict

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from abacod.api.body import parse_json, read_fields, read_text
from abacod.api.calls import NESTED, Call, Dialect
from abacod.api.fields import Boolean, Integer, Text, validated
from abacod.api.reply import Moment, Replies, moment
from abacod.api.search import Found, SearchForm
from abacod.errors import BadRequest, TooLarge
from abacod.models.actor import Actor, ActorDefinition
from abacod.models.states import ActorStatus
from abacod.services.actors import Actors
from abacod.services.search import Search
from abacod.services.status import Status


def _hints(value: object) -> object:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(
        isinstance(hint, str | int | float) and not isinstance(hint, bool) for hint in value
    ):
        raise ValueError("give a list of texts")
    return tuple(str(hint) for hint in value)


def _variables(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError("give an object of names and texts")
    for name, text in value.items():
        if not isinstance(text, str):
            raise ValueError(f"the value of {name!r} is no text; put it in quotes")
    return value


class Registration(BaseModel):
    """The fields of a registration or update; null means not given, unknown fields are ignored (spec/actors-api 1.6)."""

    model_config = ConfigDict(extra="ignore")

    image: Text = Field(min_length=1, description="The Docker image of the actor.")
    name: Text | None = Field(None, description="A name for the actor.")
    description: Text | None = Field(None, description="A description of the actor.")
    default_environment: Annotated[dict[str, str] | None, BeforeValidator(_variables)] = Field(
        None, description="Environment variables of every execution, as an object of texts."
    )
    hints: Annotated[tuple[str, ...] | None, BeforeValidator(_hints)] = Field(None, description="A list of tags.")
    link: Text | None = Field(None, description="Id or alias of the actor that gets this one's events.")
    webhook: Text | None = Field(None, description="URL that gets this actor's events.")
    stateless: Boolean | None = Field(None, description="Whether the actor keeps no state: true or false.")
    token: Boolean | None = Field(None, description="Whether executions get an access token: true or false.")
    privileged: Boolean | None = Field(None, description="Whether containers are privileged: true or false.")
    use_container_uid: Boolean | None = Field(None, description="Whether to run as the image's user: true or false.")
    run_as_executor: Boolean | None = Field(None, description="Whether to run as the sender: true or false.")
    max_workers: Integer | None = Field(None, description="Most workers at a time, a whole number.")
    max_cpus: Integer | None = Field(None, description="CPU limit in billionths of a CPU, a whole number.")
    mem_limit: Text | None = Field(None, description="Memory limit, as 512m or 3g.")
    queue: Text | None = Field(None, description="The queue whose workers serve the actor.")
    log_ex: Integer | None = Field(None, description="Life time of logs in seconds, a whole number.")
    cron_schedule: Text | None = Field(None, description="When to run by itself, as: yyyy-mm-dd hh + 1 day.")
    cron_on: Boolean | None = Field(None, description="Whether the schedule is on: true or false.")
    type: Text | None = Field(None, description="none, bin or json; has no effect.")
    force: Boolean | None = Field(None, description="Whether an update fetches the image again: true or false.")

    def definition(self, defaults: ActorDefinition) -> ActorDefinition:
        """The definition asked for, with `defaults` for what is not given."""
        given = {name: value for name, value in self.model_dump(exclude={"force"}).items() if value is not None}
        return replace(defaults, **given)


class MountShown(TypedDict):
    """A directory of the host in an actor's containers."""

    host_path: str
    container_path: str
    mode: Literal["ro", "rw"]


class ActorLinks(TypedDict):
    """Addresses that belong to an actor."""

    self: str
    owner: str
    executions: str


class ActorShown(TypedDict):
    """An actor."""

    id: str
    name: str | None
    description: str
    image: str
    owner: str
    status: ActorStatus
    status_message: str
    create_time: Moment
    last_update_time: Moment
    stateless: bool
    state: Any
    type: str
    link: str
    webhook: str
    hints: list[str]
    token: Annotated[bool | str, Field(description="A text only under `compat = abaco`, where it was not given.")]
    privileged: bool
    use_container_uid: bool
    run_as_executor: bool
    default_environment: dict[str, str]
    mounts: list[MountShown]
    max_workers: int | None
    max_cpus: Annotated[int | None, Field(description="In billionths of a CPU.")]
    mem_limit: str | None
    queue: str
    revision: int
    log_ex: Annotated[int | None, Field(description="In seconds.")]
    cron_schedule: str | None
    cron_on: bool
    cron_next_ex: str | None
    uid: int | None
    gid: int | None
    tasdir: str | None
    _links: ActorLinks


class ActorsFound(Found):
    """Actors that fit a search."""

    search: Annotated[list[ActorShown], NESTED]


ActorsListed = list[ActorShown] | ActorsFound
"""A list, which with any query parameter is a search."""


class StateShown(TypedDict):
    """The state of a stateful actor."""

    state: Any


class ActorsApi:
    """Handlers for actors."""

    def __init__(
        self,
        actors: Actors,
        search: Search,
        status: Status,
        replies: Replies,
        form: SearchForm,
        *,
        max_text_bytes: int,
        default_token: bool,
    ) -> None:
        self._actors = actors
        self._search = search
        self._form = form
        self._status = status
        self._replies = replies
        self._max_text_bytes = max_text_bytes
        self._default_token = default_token

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /: List the caller's actors, oldest first, or search them."""
        if self._form.is_asked(call):
            return await self.search(call, "Actors search completed successfully.")
        actors = await self._actors.listed(call.caller)
        return self._replies.ok(call, [self.shown(actor, call) for actor in actors], "Actors retrieved successfully.")

    async def search(self, call: Call, message: str) -> web.StreamResponse:
        """Search the actors that the caller may read."""
        query = self._form.query(call)
        found = await self._search.actors(call.caller, query)
        shown = [self.shown(actor, call) for actor in found.records]
        return self._form.answer(call, query, shown, found.total, message)

    async def create(self, call: Call) -> web.StreamResponse:
        """POST /: Register an actor."""
        registration = await self._registration(call)
        definition = registration.definition(ActorDefinition(image=registration.image))
        if definition.cron_schedule is not None and registration.cron_on is None:
            definition = replace(definition, cron_on=True)
        actor = await self._actors.create(call.caller, definition)
        return self._replies.created(call, self.shown(actor, call), "Actor created successfully.")

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /{actor}: Show an actor."""
        return self._replies.ok(call, self.shown(call.actor, call), "Actor retrieved successfully.")

    async def update(self, call: Call) -> web.StreamResponse:
        """PUT /{actor}: Replace an actor's registration.

        What is not given returns to its default, but for `name`, `state`, `stateless` and `cron_on` (spec/decisions: PUT).
        """
        registration = await self._registration(call)
        before = call.actor.definition
        definition = registration.definition(
            ActorDefinition(
                image=registration.image,
                name=before.name,
                stateless=before.stateless,
                cron_on=before.cron_on,
            )
        )
        if definition.cron_schedule is not None and before.cron_schedule is None and registration.cron_on is None:
            definition = replace(definition, cron_on=True)
        force = bool(registration.force)
        actor = await self._actors.update(call.caller, call.actor.id, definition, force=force)
        return self._replies.ok(call, self.shown(actor, call), "Actor updated successfully.")

    async def delete(self, call: Call) -> web.StreamResponse:
        """DELETE /{actor}: Delete an actor."""
        message = "Actor deleted successfully."
        if not await self._actors.delete(call.actor):
            message = "Actor deleted successfully, though Abaco is still cleaning up some of the actor's resources."
        return self._replies.ok(call, None, message)

    async def state(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/state: Show an actor's state."""
        result: StateShown = {"state": call.actor.state}
        return self._replies.ok(call, result, "Actor state retrieved successfully.")

    async def set_state(self, call: Call) -> web.StreamResponse:
        """POST /{actor}/state: Set an actor's state to any JSON value."""
        try:
            state = parse_json(await read_text(call.request, self._max_text_bytes))
        except TooLarge:
            raise
        except BadRequest as error:
            raise BadRequest(
                f"Invalid actor state description: state must be JSON serializable. {error.message}"
            ) from error
        actor = await self._actors.set_state(call.actor, state)
        return self._replies.ok(call, self.shown(actor, call), "State updated successfully.")

    async def _registration(self, call: Call) -> Registration:
        fields = await read_fields(call.request, call.query, self._max_text_bytes)
        given = {name: _structured(name, value) for name, value in fields.items()}
        return validated(Registration, given, "actor")

    def shown(self, actor: Actor, call: Call) -> ActorShown:
        """The actor as this call sees it."""
        shown = actor_fields(actor, call.dialect, self._replies)
        if actor.definition.token is None:
            # The reference service shows a text where the user gave nothing (spec/decisions).
            shown["token"] = (
                str(self._default_token).lower() if self._replies.compat == "abaco" else self._default_token
            )
        if self._status.engine_trouble and actor.status in (ActorStatus.SUBMITTED, ActorStatus.READY):
            # An actor in ERROR keeps its reason, which the return of the engine will not change.
            shown["status_message"] = f"{self._status.engine_trouble} Messages are kept and run once it answers."
        return shown


def actor_fields(actor: Actor, dialect: Dialect, replies: Replies) -> ActorShown:
    """The actor as the API shows it (spec/actors-api 1.8)."""
    definition = actor.definition
    own = replies.actor_link(dialect, actor.id)
    return {
        "id": actor.id,
        "name": definition.name,
        "description": definition.description,
        "image": definition.image,
        "owner": actor.owner,
        "status": actor.status,
        "status_message": actor.status_message,
        "create_time": moment(actor.create_time),
        "last_update_time": moment(actor.last_update_time),
        "stateless": definition.stateless,
        "state": actor.state,
        "type": definition.type,
        "link": definition.link,
        "webhook": definition.webhook,
        "hints": list(definition.hints),
        "token": bool(definition.token),
        "privileged": definition.privileged,
        "use_container_uid": definition.use_container_uid,
        "run_as_executor": definition.run_as_executor,
        "default_environment": dict(definition.default_environment),
        "mounts": [
            {"host_path": mount.host_path, "container_path": mount.container_path, "mode": mount.mode}
            for mount in actor.mounts
        ],
        "max_workers": definition.max_workers,
        "max_cpus": definition.max_cpus,
        "mem_limit": definition.mem_limit,
        "queue": definition.queue,
        "revision": actor.revision,
        "log_ex": definition.log_ex,
        "cron_schedule": definition.cron_schedule,
        "cron_on": definition.cron_on,
        "cron_next_ex": actor.cron_next_ex,
        "uid": actor.uid,
        "gid": actor.gid,
        "tasdir": actor.tasdir,
        "_links": {
            "self": own,
            "owner": replies.profile_link(dialect, actor.owner),
            "executions": f"{own}/executions",
        },
    }


def _structured(name: str, value: Any) -> Any:
    """A form or query can carry an object only as JSON text."""
    if name == "default_environment" and isinstance(value, str) and value.lstrip().startswith("{"):
        return parse_json(value)
    return value
