"""Register, change and delete actors."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog

from abacod.clock import Clock
from abacod.config import RunSettings, WebhookSettings
from abacod.config_workers import WorkerSettings
from abacod.errors import (
    ActorShuttingDown,
    BuiltinActor,
    InvalidField,
    NotFound,
    NotPermitted,
    StorageUnavailable,
    TooLarge,
    Unavailable,
)
from abacod.ids import ActorId, ExecutionId, new_actor_id
from abacod.models.actor import Actor, ActorDefinition
from abacod.models.message import MAX_ENVIRONMENT_STRING_BYTES
from abacod.models.states import ActorStatus
from abacod.models.user import Caller, Level
from abacod.queue.mailboxes import Mailboxes
from abacod.services.access import link_targets, permitted_actor
from abacod.services.environment import VALUE_STYLES, text_of
from abacod.services.mounts import mounts_for
from abacod.services.news import News
from abacod.services.pools import Pools
from abacod.services.registration import check_definition, check_link, parse_schedule
from abacod.store import actors, aliases, executions, logs, messages, results, users
from abacod.store.database import Database, Transaction

# How long a delete request waits for running executions to be stopped, in seconds (spec/actors-api 2.4).
_DELETE_WAIT: Final = 20.0
# How often a deletion that waits longer looks again, in seconds.
_DELETE_RETRY: Final = 5.0
# Longest state that still fits into `_abaco_actor_state=…` with its closing NUL, in bytes.
_MAX_STATE: Final = MAX_ENVIRONMENT_STRING_BYTES - len("_abaco_actor_state=") - 1

_log = structlog.get_logger()


class Actors:
    """The use-cases of actors."""

    def __init__(
        self,
        database: Database,
        mailboxes: Mailboxes,
        pools: Pools,
        *,
        news: News,
        runs: RunSettings,
        workers: WorkerSettings,
        webhooks: WebhookSettings,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None], str], object],
    ) -> None:
        """`spawn` runs a named coroutine beside the requests."""
        self._database = database
        self._mailboxes = mailboxes
        self._pools = pools
        self._news = news
        self._runs = runs
        self._workers = workers
        self._webhooks = webhooks
        self._clock = clock
        self._spawn = spawn

    async def listed(self, caller: Caller) -> list[Actor]:
        """The actors the caller may read, oldest first (spec/decisions: lists)."""
        return await self._database.read(partial(actors.readable_by, tenant=caller.tenant, username=caller.username))

    async def create(self, caller: Caller, definition: ActorDefinition) -> Actor:
        """Register an actor and let a worker fetch its image.

        Raises:
            InvalidField, NotPermitted: see `registration`.
        """
        self._check(definition, caller)
        now = self._clock.now()

        def register(tx: Transaction) -> Actor:
            actor = self._with_computed(
                tx,
                Actor(
                    id=new_actor_id(),
                    tenant=caller.tenant,
                    owner=caller.username,
                    definition=definition,
                    status=ActorStatus.SUBMITTED,
                    status_message="",
                    create_time=now,
                    last_update_time=now,
                ),
                caller,
                None,
            )
            actors.insert(tx, actor)
            return actor

        actor = await self._database.write(register)
        self._mailboxes.wake(actor.id)
        _log.info("actor_registered", actor=actor.id, image=definition.image, owner=caller.username)
        return actor

    async def update(self, caller: Caller, actor_id: ActorId, definition: ActorDefinition, *, force: bool) -> Actor:
        """Replace the definition (spec/actors-api 2.3); another image, or `force`, makes a new revision.

        Raises:
            InvalidField, NotPermitted: see `registration`.
            ActorNotFound: it was deleted meanwhile.
            ActorShuttingDown: it is being deleted.
            BuiltinActor: the server has registered it itself.
        """

        def change(tx: Transaction) -> tuple[Actor, Actor]:
            before = permitted_actor(tx, caller, actor_id, Level.UPDATE)
            _refuse_builtin(before)
            if before.status is ActorStatus.SHUTTING_DOWN:
                raise ActorShuttingDown("The actor is being deleted.")
            self._check(definition, caller, before.definition)
            after = replace(before, definition=definition, last_update_time=self._clock.now())
            if force or definition.image != before.definition.image:
                after = replace(after.with_status(ActorStatus.SUBMITTED, ""), revision=before.revision + 1)
            after = self._with_computed(tx, after, caller, before.definition)
            actors.replace(tx, after)
            return before, after

        before, after = await self._database.write(change)
        if after.revision != before.revision or _other_workers(after.definition, before.definition):
            self._pools.renew(after)
        _log.info("actor_updated", actor=actor_id, revision=after.revision, by=caller.username)
        return after

    async def delete(self, actor: Actor) -> bool:
        """Stop everything the actor does and remove it; False if its executions still end, after which it goes by itself.

        Raises:
            BuiltinActor: the server has registered it itself.
        """
        _refuse_builtin(actor)

        def shut_down(tx: Transaction) -> list[ExecutionId]:
            actors.set_status(tx, actor.id, ActorStatus.SHUTTING_DOWN, "")
            return self._drop_waiting(tx, actor.id)

        dropped = await self._database.write(shut_down)
        self._mailboxes.of(actor.id).forget(dropped)
        self._news.tell_all(dropped)
        if await self._ended(actor):
            return True
        self._spawn(self._finish_deletion(actor), f"delete-{actor.id}")
        return False

    async def finish_deletions(self) -> None:
        """Go on with deletions that an earlier daemon began."""
        while True:
            try:
                left = await self._database.read(lambda tx: actors.in_status(tx, ActorStatus.SHUTTING_DOWN))
                break
            except StorageUnavailable as error:
                _log.error("recovery_delayed", error=error.message)
                await self._clock.sleep(_DELETE_RETRY)
        for actor in left:
            self._spawn(self._finish_deletion(actor), f"delete-{actor.id}")

    async def set_state(self, actor: Actor, state: Any) -> Actor:
        """Replace the state of a stateful actor (spec/actors-api 2.5).

        Raises:
            NotFound: the actor is stateless.
            TooLarge: no container could get it in its environment.
            InvalidField: it is a text with a NUL character, which no environment can hold.
        """
        if actor.definition.stateless:
            raise NotFound("actor is stateless.")
        if isinstance(state, str) and "\0" in state:
            raise InvalidField("Invalid actor state description: state: it contains a NUL character; remove it.")
        if any(len(text_of(state, style).encode()) > _MAX_STATE for style in VALUE_STYLES):
            raise TooLarge(f"The state is larger than the {_MAX_STATE} bytes that fit into a container's environment.")
        await self._database.write(lambda tx: actors.set_state(tx, actor.id, state))
        return replace(actor, state=state)

    # --- parts --------------------------------------------------------------------------------------------------

    def _check(self, definition: ActorDefinition, caller: Caller, previous: ActorDefinition | None = None) -> None:
        check_definition(
            definition,
            caller,
            queues=self._workers.queues,
            run_as_executor_tenants=self._runs.run_as_executor_tenants,
            now=self._clock.now(),
            forbid_private_webhooks=self._webhooks.forbid_private_addresses,
            previous=previous,
        )

    def _with_computed(self, tx: Transaction, actor: Actor, caller: Caller, previous: ActorDefinition | None) -> Actor:
        """The actor with the fields that the server sets (spec/actors-api 2.1, last lines)."""
        definition = actor.definition
        if definition.link:
            self._check_link(tx, actor, caller)
        owner = users.find(tx, actor.tenant, actor.owner)
        uid, gid = self._runs.actor_uid, self._runs.actor_gid
        if owner is not None and owner.uid is not None:
            uid, gid = owner.uid, owner.gid
        tasdir = self._runs.tasdirs.get(actor.owner)
        configured = self._runs.mounts + (self._runs.privileged_mounts if definition.privileged else ())
        cron_start, cron_next = actor.cron_start, actor.cron_next
        if previous is None or previous.cron_schedule != definition.cron_schedule:
            schedule = definition.cron_schedule
            cron_start = parse_schedule(schedule, self._clock.now()).start if schedule is not None else None
            cron_next = cron_start
        return replace(
            actor,
            uid=uid,
            gid=gid,
            tasdir=tasdir,
            mounts=mounts_for(configured, tenant=actor.tenant, owner=actor.owner, tasdir=tasdir),
            cron_start=cron_start,
            cron_next=cron_next,
        )

    def _check_link(self, tx: Transaction, actor: Actor, caller: Caller) -> None:
        try:
            target = permitted_actor(tx, caller, actor.definition.link, Level.EXECUTE)
        except NotFound as error:
            raise InvalidField(
                f"Invalid link parameter; unable to retrieve linked actor data. {error.message}"
            ) from error
        except NotPermitted as error:
            raise InvalidField(
                "Invalid link parameter. The link must be a valid actor id or alias for which you have EXECUTE permission."
            ) from error
        check_link(actor.id, target.id, link_targets(tx, actor.tenant))

    async def _ended(self, actor: Actor) -> bool:

        def remove(tx: Transaction) -> list[ExecutionId]:
            # What an ending worker put back.
            dropped = self._drop_waiting(tx, actor.id)
            results.remove_of_actor(tx, actor.id)
            for alias in aliases.of_actor(tx, actor.id):
                aliases.delete(tx, alias)
            actors.delete(tx, actor.id)
            return dropped

        try:
            if not await self._pools.close(actor.id, _DELETE_WAIT):
                return False
            behind: int | None = 0
            while behind is not None:
                behind = await self._database.write(
                    partial(logs.remove_some_of_actor, actor_id=actor.id, behind=behind)
                )
            self._news.tell_all(await self._database.write(remove))
        except Unavailable as error:
            _log.warning("deletion_delayed", actor=actor.id, error=error.message)
            return False
        self._mailboxes.drop(actor.id)
        _log.info("actor_deleted", actor=actor.id)
        return True

    async def _finish_deletion(self, actor: Actor) -> None:
        while not await self._ended(actor):
            await self._clock.sleep(_DELETE_RETRY)

    def _drop_waiting(self, tx: Transaction, actor_id: ActorId) -> list[ExecutionId]:
        dropped = messages.remove_waiting(tx, actor_id)
        for execution_id in dropped:
            executions.fail(tx, execution_id, {"reason": "The actor was deleted."}, self._clock.now(), None)
        return dropped


def _refuse_builtin(actor: Actor) -> None:
    if actor.builtin is not None:
        raise BuiltinActor(f"The actor {actor.builtin} is built in: it can be neither changed nor deleted.")


def _other_workers(after: ActorDefinition, before: ActorDefinition) -> bool:
    """Whether workers of the one are no workers of the other, although they run the same image."""
    return (after.stateless, after.queue) != (before.stateless, before.queue)
