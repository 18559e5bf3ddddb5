"""Handing a batch job over to another service once, however often it is tried, and whatever breaks off in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from weakref import WeakValueDictionary

import structlog

from abacod.clock import Clock
from abacod.errors import BatchEngineFailed, BatchJobRefused
from abacod.ids import TenantId
from abacod.store import launches
from abacod.store.database import Database, Transaction
from abacod.store.launches import Launch

# How far the clock of the service may be behind ours.
_SKEW: Final = timedelta(minutes=10)
# What a service calls a job, in characters.
_LONGEST_ID: Final = 256

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """A job that the service knows; `created` is None where it does not say."""

    id: str
    created: datetime | None


class Launches:
    """The launches of one engine.

    Each is noted before the service is asked. Where a note is found without an answer to it, the daemon ended in between, or
    the answer was lost: then the service is first asked whether it has the job.
    """

    def __init__(self, engine: str, database: Database, clock: Clock) -> None:
        self._engine = engine
        self._database = database
        self._clock = clock
        self._locks: WeakValueDictionary[tuple[TenantId, str], asyncio.Lock] = WeakValueDictionary()

    async def once(
        self,
        tenant: TenantId,
        key: str,
        *,
        post: Callable[[], Awaitable[str | None]],
        alike: Callable[[], AsyncIterator[Found]],
        also: Callable[[Transaction, str], None] = lambda tx, job_id: None,
    ) -> str:
        """The id of the job with this key, which is posted if there is none yet.

        `post` gives the id, or None if the service's answer has none. `alike` gives the service's jobs that look like this one.
        `also` is done in the transaction that notes the id.

        Raises:
            BatchJobRefused: the service does not take it; nothing is left of the launch.
            BatchEngineFailed: whether it took the job could not be found out; the next call finds it, or posts it again.
        """
        async with self._locks.setdefault((tenant, key), asyncio.Lock()):
            before, launch = await self._begin(tenant, key)
            if launch.job_id:
                return launch.job_id
            job_id = await self._found(launch, alike) if before else None
            if job_id is None:
                job_id = await self._posted(tenant, key, launch, post, alike)

            def settle(tx: Transaction) -> None:
                launches.settle(tx, tenant, self._engine, key, job_id)
                also(tx, job_id)

            await self._database.write(settle)
            return job_id

    async def _begin(self, tenant: TenantId, key: str) -> tuple[bool, Launch]:
        def begin(tx: Transaction) -> tuple[bool, Launch]:
            if launch := launches.find(tx, tenant, self._engine, key):
                return True, launch
            now = self._clock.now()
            launches.begin(tx, tenant, self._engine, key, now)
            return False, Launch(now, None)

        return await self._database.write(begin)

    async def _posted(
        self,
        tenant: TenantId,
        key: str,
        launch: Launch,
        post: Callable[[], Awaitable[str | None]],
        alike: Callable[[], AsyncIterator[Found]],
    ) -> str:
        try:
            job_id = await post()
        except BatchJobRefused:
            await self._database.write(lambda tx: launches.forget(tx, tenant, self._engine, key))
            raise
        except BatchEngineFailed as error:
            _log.warning("batch_launch_unclear", engine=self._engine, error=error.message)
            found = None
            with suppress(BatchEngineFailed):
                found = await self._found(launch, alike)
            if found is None:
                raise
            return found
        if job_id is None:
            job_id = await self._found(launch, alike)
        if job_id is None:
            raise BatchJobRefused("The service answered without the id of a job.")
        return job_id

    async def _found(self, launch: Launch, alike: Callable[[], AsyncIterator[Found]]) -> str | None:
        """The job that an earlier attempt of this launch has made, None if none has."""
        async for job in alike():
            if job.created is not None and job.created < launch.began - _SKEW:
                continue
            if not await self._database.read(partial(launches.is_known, engine=self._engine, job_id=job.id)):
                _log.info("batch_launch_found", engine=self._engine, job=job.id)
                return job.id
        return None


def job_id_in(job: Any) -> str | None:
    """The `id` of a job as a service describes it, or its `uuid`; None if it has none that can be one."""
    if not isinstance(job, Mapping):
        return None
    for name in ("uuid", "id"):
        value = job.get(name)
        if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isascii() and value.isprintable():
            return value
    return None


def moment_in(job: Mapping[str, Any], name: str) -> datetime | None:
    """A time in a service's description of a job, in UTC; None where it cannot be read."""
    try:
        moment = datetime.fromisoformat(str(job.get(name)))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def same_path(one: Any, other: Any) -> bool:
    """Whether two paths on one system are the same, however the service writes them."""
    return isinstance(one, str) and isinstance(other, str) and one.strip("/") == other.strip("/") != ""
