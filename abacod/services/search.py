"""Find actors, executions, logs and workers by what is in them (seeds: Database Search)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

from abacod.clock import Clock
from abacod.errors import SearchTooSlow
from abacod.ids import ActorId, ExecutionId, Username
from abacod.models.actor import Actor
from abacod.models.execution import Execution
from abacod.models.search import Query
from abacod.models.user import Caller
from abacod.models.worker import WorkerRecord
from abacod.services.executor import Executor
from abacod.services.pools import Pools
from abacod.services.progress import decode
from abacod.store import actors, executions, logs, search, words
from abacod.store.database import Database, Transaction, in_one_view

T = TypeVar("T")

Described = Callable[[WorkerRecord], Mapping[str, Any]]
"""What a worker's fields are, for those who search; times as moments."""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """The records on the page that was asked for, and how many fit in all."""

    records: Sequence[T]
    total: int


@dataclass(frozen=True, slots=True)
class Log:
    """What an execution has written, and whose actor's it is."""

    execution: Execution
    owner: Username
    text: str


class Search:
    """Searches for a caller, over all actors that they have a permission on, or within one actor."""

    def __init__(
        self,
        database: Database,
        pools: Pools,
        executor: Executor,
        clock: Clock,
        *,
        timeout: float,
        at_once: int,
        default_token: bool,
    ) -> None:
        """`timeout` is the longest a search may take, in seconds; `at_once` how many may be going on, fewer than the database
        has readers: the others stay free for short questions.
        """
        self._database = database
        self._pools = pools
        self._executor = executor
        self._clock = clock
        self._timeout = timeout
        self._turns: Final = asyncio.Semaphore(at_once)
        self._default_token = default_token

    async def actors(self, caller: Caller, query: Query) -> Found[Actor]:
        """The actors that fit.

        Raises:
            SearchTooSlow: it took longer than a search may.
        """
        scope = _scope(caller)

        def ask(tx: Transaction, expired: search.Expired) -> Found[Actor]:
            page = search.actors(tx, query, scope, expired, default_token=self._default_token)
            return Found(actors.numbered(tx, page.numbers), page.total)

        return await self._asked(ask, "actors" if query.about_text else None)

    async def executions(self, caller: Caller, query: Query, actor_id: ActorId | None = None) -> Found[Execution]:
        """The executions that fit; with an `actor_id`, which the caller may read, of this actor.

        Raises:
            SearchTooSlow: it took longer than a search may.
        """
        scope = _scope(caller, actor_id)

        def ask(tx: Transaction, expired: search.Expired) -> Found[Execution]:
            page = search.executions(tx, query, scope, expired)
            return Found(executions.numbered(tx, page.numbers), page.total)

        return await self._asked(ask, "executions" if query.about_text else None)

    async def logs(
        self, caller: Caller, query: Query, actor_id: ActorId | None = None, execution_id: ExecutionId | None = None
    ) -> Found[Log]:
        """The logs that fit; with an `actor_id`, which the caller may read, of this actor or this execution of it.

        What a running container wrote last is shown, but searched only once it is on disk; the full-text index takes a log
        up when its execution has ended.

        Raises:
            SearchTooSlow: it took longer than a search may.
            BadRequest: the logs are too large for one answer.
        """
        scope = _scope(caller, actor_id, execution_id)
        now = self._clock.now()
        # The memory first: what moves from there to the disk meanwhile is cut off again, so no byte shows twice.
        running = [(each, self._executor.progress_of(each)) for each in self._executor.running]
        unsaved = {each: progress.snapshot() for each, progress in running if progress}

        def ask(tx: Transaction, expired: search.Expired) -> Found[Log]:
            page = search.logs(tx, query, scope, expired, now)
            found = []
            for execution in executions.numbered(tx, page.numbers):
                owner = actors.get(tx, caller.tenant, execution.actor_id).owner
                on_disk, in_memory = unsaved.get(execution.id, (None, b""))
                text = decode(logs.whole(tx, execution.id, now)[:on_disk] + in_memory)
                found.append(Log(execution, owner, text))
            return Found(found, page.total)

        return await self._asked(ask, "executions" if query.about_text else None)

    async def workers(
        self, caller: Caller, query: Query, described: Described, actor_id: ActorId | None = None
    ) -> Found[WorkerRecord]:
        """The workers that fit; with an `actor_id`, which the caller may read, of this actor.

        Raises:
            SearchTooSlow: it took longer than a search may.
        """
        scope = _scope(caller, actor_id)
        workers = self._pools.all_workers() if actor_id is None else self._pools.workers_of(actor_id)
        records = sorted((worker.record for worker in workers), key=lambda record: record.create_time)
        documents = [{**described(record), "actor_id": record.actor_id} for record in records]

        def ask(tx: Transaction, expired: search.Expired) -> Found[WorkerRecord]:
            page = search.workers(tx, query, scope, expired, documents)
            return Found([records[number] for number in page.numbers], page.total)

        return await self._asked(ask, None)

    async def _asked(
        self, ask: Callable[[Transaction, search.Expired], Found[T]], index: words.Indexed | None
    ) -> Found[T]:
        """The answer to `ask`; `index` is the full-text index that must be up to date for it."""
        async with self._turns:
            give_up = self._clock.monotonic() + self._timeout

            def expired() -> bool:
                return self._clock.monotonic() > give_up

            if index is not None:
                await index_all(self._database, index, expired)
            return await self._database.read(lambda tx: in_one_view(tx, lambda view: ask(view, expired)))


async def index_all(database: Database, what: words.Indexed, expired: search.Expired = lambda: False) -> None:
    """Bring the full-text index up to date, a little at a time: other writes wait for each little.

    Raises:
        SearchTooSlow: the time was over.
    """
    while await database.write(partial(words.catch_up, what=what)):
        if expired():
            raise SearchTooSlow("The index of the texts is still being written. Search again a little later.")


def _scope(caller: Caller, actor_id: ActorId | None = None, execution_id: ExecutionId | None = None) -> search.Scope:
    return search.Scope(caller.tenant, caller.username, actor_id, execution_id)
