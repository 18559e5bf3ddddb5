"""Notifications of batch jobs: POSTs to the addresses that a job's definition names, each at least once.

They are written with the status that they tell of, in one transaction. For each job and each site there is one courier,
which keeps their order; a site that does not answer is tried again for a while, and no other site waits for it.
"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import structlog

from abacod.clock import Clock
from abacod.config_batch import LocalBatchSettings
from abacod.errors import SealBroken, StorageUnavailable
from abacod.models.batch_job import BatchJob, Hook, Notice
from abacod.services.batch.callbacks import expanded, macros
from abacod.services.batch.document import job_document
from abacod.services.sealing import Seal
from abacod.services.webhooks import Answer, Webhooks
from abacod.store import batch_notifications
from abacod.store.database import Database, Transaction

# Pauses between tries, in seconds.
_FIRST_RETRY: Final = 1.0
_LAST_RETRY: Final = 60.0
_STORAGE_PAUSE: Final = 1.0
# How long a stopping daemon waits for calls that are under way, in seconds.
_DRAIN: Final = 5.0
# What a server says who may take it later; other refusals are its last word.
_LATER: Final = frozenset({408, 425, 429})
_SERVER_ERRORS: Final = 500

_log = structlog.get_logger()


class Notifications:
    """The outbox of batch jobs, and whoever empties it. `run` is the task that they live in."""

    def __init__(
        self,
        database: Database,
        seal: Seal,
        webhooks: Webhooks,
        clock: Clock,
        settings: LocalBatchSettings,
        *,
        public_url: str,
        own_url: str,
    ) -> None:
        """`own_url` is where the daemon itself listens: what begins with `public_url` is sent there, past any proxy."""
        self._database = database
        self._seal = seal
        self._webhooks = webhooks
        self._clock = clock
        self._settings = settings
        self._public_url = public_url
        self.own_url = own_url
        self._places = asyncio.Semaphore(settings.notifications_at_once)
        self._woken: set[tuple[str, str]] = set()
        self._couriers: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._ending = asyncio.Event()

    # --- in the transactions of others ----------------------------------------------------------------------------

    def note_hooks(self, tx: Transaction, job_id: str, hooks: tuple[Hook, ...]) -> None:
        """Remember who wants to be told of a new job."""
        sealed = [Hook(self._seal.seal(hook.url), hook.site, hook.event, hook.persistent) for hook in hooks]
        batch_notifications.add_hooks(tx, job_id, sealed)

    def note(self, tx: Transaction, job: BatchJob, moment: datetime) -> None:
        """The job has its status from now on. Call `wake` after the transaction."""
        body = json.dumps(job_document(job, self._public_url), ensure_ascii=False)
        batch_notifications.tell(tx, job.id, job.status, body, moment)

    # --- delivering -------------------------------------------------------------------------------------------------

    async def wake(self, job_id: str | None = None) -> None:
        """Notifications of the job, or of any, are on disk."""
        found = await self._database.read(partial(batch_notifications.waiting, job_id=job_id))
        for each in found:
            self._woken.add(each)
            if self._group is not None and each not in self._couriers and not self._ending.is_set():
                task = self._group.create_task(self._serve(each), name=f"notify-{each[0]}")
                self._couriers[each] = task

    async def run(self) -> None:
        """Deliver what an earlier daemon left and whatever comes."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                while True:
                    try:
                        await self.wake()
                        break
                    except StorageUnavailable as error:
                        _log.error("notifications_delayed", error=error.message)
                        await self._clock.sleep(_STORAGE_PAUSE)
                await asyncio.Event().wait()
        finally:
            self._group = None

    async def drain(self) -> None:
        """Begin no more deliveries, and let those under way end; the next start goes on."""
        self._ending.set()
        busy = [task for task in self._couriers.values() if not task.done()]
        if busy:
            await asyncio.wait(busy, timeout=_DRAIN)

    async def _serve(self, which: tuple[str, str]) -> None:
        """Deliver until there is nothing left. Between the last look at `_woken` and the end nobody else runs."""
        try:
            while which in self._woken and not self._ending.is_set():
                self._woken.discard(which)
                try:
                    await self._deliver_waiting(*which)
                except StorageUnavailable as error:
                    _log.error("notifications_delayed", job=which[0], error=error.message)
                    self._woken.add(which)
                    await self._clock.sleep(_STORAGE_PAUSE)
        finally:
            del self._couriers[which]

    async def _deliver_waiting(self, job_id: str, site: str) -> None:
        while not self._ending.is_set():
            notice = await self._database.read(partial(batch_notifications.next_waiting, job_id=job_id, site=site))
            if notice is None:
                return
            try:
                outcome = await self._deliver(notice)
            except StorageUnavailable:
                raise
            except Exception:  # noqa: BLE001 - the top of a delivery: a defect costs this one, not those behind it
                _log.exception("notification_crashed", job=job_id)
                outcome = "abacod failed"
            if outcome is None:
                return
            now = self._clock.now()
            await self._database.write(partial(batch_notifications.finish, seq=notice.seq, moment=now, outcome=outcome))

    async def _deliver(self, notice: Notice) -> str | None:
        """Try until it is taken, refused, or has become too old; what came of it, None if the daemon stops."""
        try:
            document = json.loads(notice.body)
            values = macros(document, str(document.get("lastStatusMessage") or ""))
            url = expanded(self._seal.unseal(notice.sealed_url), values)
        except SealBroken as error:
            _log.warning(
                "notification_failed", job=notice.job_id, status=notice.status, site=notice.site, answer=error.message
            )
            return error.message
        pause = _FIRST_RETRY
        while not self._ending.is_set():
            answer = await self.post(url, notice.body.encode())
            job, status, site, said = notice.job_id, notice.status, notice.site, answer.outcome
            if answer.ok:
                _log.info("notification_delivered", job=job, status=status, site=site, answer=said)
                return answer.outcome
            age = (self._clock.now() - notice.created).total_seconds()
            if not _may_come_later(answer) or age + pause > self._settings.notification_retry_seconds:
                _log.warning("notification_failed", job=job, status=status, site=site, answer=said)
                return answer.outcome
            _log.info("notification_delayed", job=job, status=status, site=site, answer=said, pause_seconds=pause)
            await self._pause(pause)
            pause = min(2 * pause, _LAST_RETRY)
        return None

    async def post(self, url: str, body: bytes) -> Answer:
        """Send JSON to an address, no more at a time than the settings allow; to this server without leaving the machine."""
        async with self._places:
            return await self._post(url, body)

    async def _post(self, url: str, body: bytes) -> Answer:
        if url == self._public_url or url.startswith((self._public_url + "/", self._public_url + "?")):
            own = self.own_url + url.removeprefix(self._public_url)
            return await self._webhooks.post(own, body, host=urlsplit(self._public_url).netloc)
        return await self._webhooks.post(url, body)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond the daemon's end."""
        waits = [
            asyncio.ensure_future(self._clock.sleep(seconds)),
            asyncio.ensure_future(self._ending.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _may_come_later(answer: Answer) -> bool:
    if not answer.outcome.isdigit():
        return True  # there was no answer
    status = int(answer.outcome)
    return status >= _SERVER_ERRORS or status in _LATER
