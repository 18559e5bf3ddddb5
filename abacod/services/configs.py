"""Values that several actors share, some of them secret (spec/actors-api 10.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from abacod.errors import ActorNotFound, AliasNotFound, InvalidField, NotPermitted, TooLarge
from abacod.ids import ActorId, is_hashid
from abacod.models.config import Config, identifiers
from abacod.models.message import MAX_ENVIRONMENT_STRING_BYTES
from abacod.models.permission import Subject
from abacod.models.user import Caller, Level
from abacod.services.access import holds, require
from abacod.services.environment import VALUE_STYLES, ValueStyle, text_of
from abacod.services.names import check_name
from abacod.services.sealing import Seal
from abacod.store import actors, aliases, configs
from abacod.store.database import Database, Transaction

SECRET_SHOWN: Final = "<secret>"  # noqa: S105 - this is what stands in its place
"""What is shown in place of a secret value; given back in an update, it leaves the value as it is."""

RESERVED: Final = frozenset({"executions", "nonces", "logs", "messages", "adapters", "admin", "utilization", ".", ".."})
"""What no config may be called: words of addresses, also some that the reference service has and we do not."""

_FORBIDDEN: Final = ":/?#[]@!$&'()*+,;= "
# Most actors that one config may name: each is looked up in the transaction that stores it.
_MOST_ACTORS: Final = 1000
# What all configs of one actor may take together, `_actor_configs={}` and the closing NUL taken off, in bytes.
MOST_ROOM: Final = MAX_ENVIRONMENT_STRING_BYTES - len("_actor_configs={}") - 1

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a user wants a config to be; `value` is not sealed."""

    name: str
    value: str
    is_secret: bool
    actors: str


class Configs:
    """The use-cases of configs."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    async def listed(self, caller: Caller) -> list[Config]:
        """The configs that the caller may read, oldest first."""
        return await self._database.read(partial(configs.readable_by, tenant=caller.tenant, username=caller.username))

    async def get(self, caller: Caller, name: str) -> Config:
        """The config; whether the caller may read it was checked.

        Raises:
            ConfigNotFound: there is none.
        """
        return await self._database.read(partial(configs.get, tenant=caller.tenant, name=name))

    async def create(self, caller: Caller, wanted: Wanted) -> Config:
        """Make a config. The caller gets UPDATE on it.

        Raises:
            InvalidField: nothing may be called so, the name is taken, or the value or actors cannot be.
            ActorNotFound: an actor or alias does not exist.
            NotPermitted: the caller lacks UPDATE on one of them.
            TooLarge: an actor's environment cannot hold its configs.
        """
        check_name(
            wanted.name,
            reserved=RESERVED,
            forbidden=_FORBIDDEN,
            field="config description: name",
            another="another name for the config",
        )
        config = Config(
            caller.tenant,
            wanted.name,
            self._stored(wanted),
            wanted.is_secret,
            _checked_actors(wanted.actors),
            caller.username,
        )

        def make(tx: Transaction) -> None:
            named = _actors_named(tx, caller, config)
            configs.insert(tx, config, _room(wanted))
            _check_room(tx, config, named)

        await self._database.write(make)
        _log.info("config_created", config=config.name, tenant=config.tenant, by=caller.username)
        return config

    async def update(self, caller: Caller, name: str, wanted: Wanted) -> Config:
        """Replace everything of the config but its name. For a secret, `SECRET_SHOWN` as the value keeps the present one.

        Raises:
            InvalidField: another name; or the value or actors cannot be.
            ConfigNotFound, ActorNotFound: the config, or an actor or alias, does not exist.
            NotPermitted: the caller lacks UPDATE on one of them.
            TooLarge: an actor's environment cannot hold its configs.
        """
        if wanted.name != name:
            raise InvalidField("Invalid config description: name: the name of a config cannot be changed.")
        wanted = replace(wanted, actors=_checked_actors(wanted.actors))
        sealed = self._stored(wanted)

        def change(tx: Transaction) -> Config:
            before = configs.get(tx, caller.tenant, name)
            require(tx, caller, Subject.config(caller.tenant, name), Level.UPDATE)
            after = replace(before, value=sealed, is_secret=wanted.is_secret, actors=wanted.actors)
            room = _room(wanted)
            if before.is_secret and wanted.value == SECRET_SHOWN:
                _check_kept(before, after)
                after = replace(after, value=before.value)
                room = configs.room_of(tx, before)
            named = _actors_named(tx, caller, after)
            configs.replace(tx, after, room)
            _check_room(tx, after, named)
            return after

        config = await self._database.write(change)
        _log.info("config_updated", config=name, tenant=caller.tenant, by=caller.username)
        return config

    async def delete(self, caller: Caller, name: str) -> None:
        """Remove the config with its permissions.

        Raises:
            ConfigNotFound: there is none.
            NotPermitted: the caller has no UPDATE on it.
        """

        def remove(tx: Transaction) -> None:
            configs.get(tx, caller.tenant, name)
            require(tx, caller, Subject.config(caller.tenant, name), Level.UPDATE)
            configs.delete(tx, caller.tenant, name)

        await self._database.write(remove)
        _log.info("config_deleted", config=name, tenant=caller.tenant, by=caller.username)

    def _stored(self, wanted: Wanted) -> str:
        if "\0" in wanted.value:
            raise InvalidField("Invalid config description: value: it contains a NUL character; remove it.")
        return self._seal.seal(wanted.value) if wanted.is_secret else wanted.value


def config_text(found: Iterable[Config], seal: Seal, style: ValueStyle) -> str:
    """The variable `_actor_configs`: an object of each config's name and value, secrets unsealed.

    Raises:
        TooLarge: it does not fit into an environment: an alias of the actor brought further configs.
        SealBroken: a secret cannot be read.
    """
    values = {config.name: seal.unseal(config.value) if config.is_secret else config.value for config in found}
    text = text_of(values, style)
    if len(text.encode()) > MOST_ROOM + len("{}"):
        raise TooLarge(f"The actor's configs are larger than the {MOST_ROOM} bytes that fit into its environment.")
    return text


def _checked_actors(text: str) -> str:
    named = identifiers(text)
    if not named:
        raise InvalidField("Invalid config description: actors: name at least one actor, by its id or an alias.")
    if len(named) > _MOST_ACTORS:
        raise InvalidField(f"Invalid config description: actors: name at most {_MOST_ACTORS} actors.")
    return text


def _actors_named(tx: Transaction, caller: Caller, config: Config) -> dict[str, ActorId]:
    """The actor that each identifier of the config means, once the caller has UPDATE on all of them."""
    return {identifier: _actor_named(tx, caller, identifier) for identifier in config.identifiers}


def _actor_named(tx: Transaction, caller: Caller, identifier: str) -> ActorId:
    subjects = []
    try:
        if is_hashid(identifier):
            actor_id = ActorId(identifier)
        else:
            actor_id = aliases.get(tx, caller.tenant, identifier).actor_id
            subjects.append(Subject.alias(caller.tenant, identifier))
        actors.get(tx, caller.tenant, actor_id)
    except (ActorNotFound, AliasNotFound) as error:
        raise ActorNotFound(f"No actor or alias found with id: {identifier}.") from error
    subjects.append(Subject.actor(actor_id))
    if not all(holds(tx, caller, subject, Level.UPDATE) for subject in subjects):
        raise NotPermitted(f"Not authorized -- you do not have access to {identifier}.")
    return actor_id


def _check_kept(before: Config, after: Config) -> None:
    """Who may change a secret config may still not read it: not by showing it, nor by giving it to an actor of theirs."""
    if not after.is_secret:
        raise InvalidField("Invalid config description: value: give the value of a config that shall not be secret.")
    added = sorted(set(after.identifiers) - set(before.identifiers))
    if added:
        raise InvalidField(
            f"Invalid config description: value: give the secret value, too, to name a further actor ({added[0]})."
        )


def _room(wanted: Wanted) -> int:
    """What a config takes in `_actor_configs` in whichever style takes more, in bytes."""
    both = [text_of({wanted.name: wanted.value}, style) for style in VALUE_STYLES]
    return max(len(text.encode()) for text in both) - len("{}") + len(", ")


def _check_room(tx: Transaction, config: Config, named: dict[str, ActorId]) -> None:
    for identifier, actor_id in named.items():
        if configs.room_of_actor(tx, config.tenant, actor_id) > MOST_ROOM:
            raise TooLarge(
                f"The configs of {identifier} would be larger than the {MOST_ROOM} bytes that fit into an environment."
            )
