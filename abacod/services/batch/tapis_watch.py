"""Asks Tapis for the statuses of jobs, and tells them to the notifications of their definitions as Agave would.

Tapis has webhooks of its own, but posts a document of its own to an address that it cannot put a status into, gives up after
some tries, and has to reach this server. Asking needs none of that, and goes on where it was after a restart.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import structlog

from abacod.clock import Clock, isoformat
from abacod.config_batch import TapisSettings
from abacod.errors import BatchEngineFailed, SealBroken
from abacod.ids import TenantId, Username
from abacod.services.batch.callbacks import Notification, expanded, macros, notifications_of
from abacod.services.batch.replies import Refusal, object_of
from abacod.services.batch.tapis_client import SERVICE, TapisClient
from abacod.services.sealing import Seal
from abacod.services.webhooks import Answer, site_of
from abacod.store import watches
from abacod.store.database import Database, Transaction
from abacod.store.watches import Watch

_ENGINE: Final = "tapis"
# Agave has another name for it; all others are the same.
_NAMES: Final = {"SUBMITTING_JOB": "SUBMITTING"}
_LAST: Final = frozenset({"FINISHED", "FAILED", "CANCELLED", "DELETED"})
_BEHIND_RUNNING: Final = frozenset({"ARCHIVING", "FINISHED"})
_LONGEST_STATUS: Final = 64
# In one round.
_MOST: Final = 200
_SLOWER: Final = 1.5
# The service does not know the job, so often in a row: it is gone.
_GONE: Final = 10
# An address does not answer, so often in a row: it is passed over. With the longest pauses this takes a day.
_LOST: Final = 300
# Statuses of a refusal that say: come again.
_LATER: Final = frozenset({"408", "425", "429"})

_log = structlog.get_logger()

Post = Callable[[str, bytes], Awaitable[Answer]]


class TapisWatch:
    """The jobs that have not ended. `run_once` is one look at those that are due."""

    def __init__(
        self, client: TapisClient, database: Database, seal: Seal, settings: TapisSettings, clock: Clock, *, post: Post
    ) -> None:
        """`post` sends JSON to an address of a user."""
        self._client = client
        self._database = database
        self._seal = seal
        self._settings = settings
        self._clock = clock
        self._post = post
        self.interval = min(settings.poll_seconds, 5.0)
        """How often `run_once` is to be called, in seconds."""

    def begin(
        self, tx: Transaction, tenant: TenantId, username: Username, job_id: str, definition: Mapping[str, Any]
    ) -> None:
        """Watch a job from now on, if there is anybody to tell."""
        if not definition.get("notifications"):
            return
        sealed = self._seal.seal(json.dumps(definition))
        pause = self._settings.poll_seconds
        due = self._clock.now() + timedelta(seconds=pause)
        watches.insert(tx, _ENGINE, tenant, job_id, username, sealed, due, pause)

    def close(self) -> None:
        """Ask the service no more."""
        self._client.close()

    async def run_once(self) -> None:
        """Look at all jobs that are due."""
        now = self._clock.now()
        found = await self._database.read(partial(watches.due, engine=_ENGINE, moment=now, limit=_MOST))
        outcomes = await asyncio.gather(*(self._look(watch) for watch in found), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _look(self, watch: Watch) -> None:
        try:
            definition = await asyncio.to_thread(self._opened, watch)
        except SealBroken as error:
            _log.error("batch_watch_lost", job=watch.job_id, reason=error.message)
            await self._end(watch)
            return
        try:
            seen = await self._seen(watch)
        except BatchEngineFailed as error:
            if not watch.failures:
                _log.warning("batch_status_unknown", job=watch.job_id, error=error.message)
            await self._again(watch, failures=watch.failures + 1)
            return
        await self._tell(watch, definition, seen)

    def _opened(self, watch: Watch) -> Mapping[str, Any]:
        opened: Mapping[str, Any] = json.loads(self._seal.unseal(watch.definition))
        return opened

    async def _seen(self, watch: Watch) -> Mapping[str, Any]:
        """The job as Tapis describes it now, with the status as Agave calls it.

        Raises:
            BatchEngineFailed: it could not be found out.
        """
        try:
            result = await self._client.result("jobs", "getJob", jobUuid=quote(watch.job_id, safe=""))
        except Refusal as refusal:
            if watch.failures + 1 < _GONE:
                raise BatchEngineFailed(f"{SERVICE} does not show the job: {refusal.reason}.") from refusal
            return {"status": "DELETED", "lastMessage": refusal.reason}
        seen = object_of(result, SERVICE)
        status = seen.get("status")
        if not isinstance(status, str) or not 0 < len(status) <= _LONGEST_STATUS:
            raise BatchEngineFailed(f"{SERVICE} answered without the status of the job.")
        return {**seen, "status": _NAMES.get(status.upper(), status.upper())}

    # --- telling ------------------------------------------------------------------------------------------------

    async def _tell(self, watch: Watch, definition: Mapping[str, Any], seen: Mapping[str, Any]) -> None:
        """Tell what is new, each notification in the order of the statuses, and note each that is done."""
        status = seen["status"]
        is_new = status not in watch.told
        told = {name: list(numbers) for name, numbers in watch.told.items()}
        # Who looks now and then may miss that it ran, and events are refused to a job that never did.
        before = ["RUNNING"] if status in _BEHIND_RUNNING else []
        for each in [*before, status]:
            if not await self._tell_status(watch, definition, {**seen, "status": each}, told):
                await self._again(watch, failures=watch.failures + 1)
                return
        if status in _LAST:
            _log.info("batch_job_ended", job=watch.job_id, status=status)
            await self._end(watch)
        else:
            await self._again(watch, is_new=is_new)

    async def _tell_status(
        self, watch: Watch, definition: Mapping[str, Any], seen: Mapping[str, Any], told: dict[str, list[int]]
    ) -> bool:
        """Whether all notifications are done with the status."""
        status = seen["status"]
        done = told.setdefault(status, [])
        job = _as_agave(watch, definition, seen, isoformat(self._clock.now()), self._link(watch))
        values = macros(job, job["lastStatusMessage"] if status in _LAST - {"FINISHED"} else "")
        for number, notification in enumerate(notifications_of(definition)):
            if number in done or not notification.wants(status):
                continue
            if not notification.persistent and any(number in numbers for numbers in told.values()):
                continue
            if not await self._tell_one(watch, notification, job, values):
                return False
            done.append(number)
            await self._note(watch, told)
        if status not in watch.told:
            await self._note(watch, told)
        return True

    async def _tell_one(
        self, watch: Watch, notification: Notification, job: Mapping[str, Any], values: Mapping[str, str]
    ) -> bool:
        """Whether nothing more is to be done about it: it was taken, or refused for good."""
        url = expanded(notification.url, values)
        answer = await self._post(url, json.dumps(job).encode())
        if answer.ok:
            return True
        refused = answer.outcome.startswith("4") and answer.outcome.isdigit() and answer.outcome not in _LATER
        gives_up = refused or watch.failures + 1 >= _LOST
        if gives_up or not watch.failures:
            _log.warning(
                "batch_notification_failed",
                job=watch.job_id,
                status=str(job["status"]),
                site=site_of(url),
                reason=answer.outcome,
                gives_up=gives_up,
            )
        return gives_up

    def _link(self, watch: Watch) -> str:
        return f"{self._client.base_url}/v3/jobs/{quote(watch.job_id, safe='')}"

    # --- what is kept -------------------------------------------------------------------------------------------

    async def _note(self, watch: Watch, told: Mapping[str, list[int]]) -> None:
        await self._database.write(lambda tx: watches.note_told(tx, watch.seq, told))

    async def _again(self, watch: Watch, *, failures: int = 0, is_new: bool = False) -> None:
        """Look again after the pause, which grows while nothing is new."""
        first, longest = self._settings.poll_seconds, max(self._settings.poll_max_seconds, self._settings.poll_seconds)
        pause = first if is_new else watch.pause
        due = self._clock.now() + timedelta(seconds=pause)
        await self._database.write(
            lambda tx: watches.postpone(tx, watch.seq, due, min(pause * _SLOWER, longest), failures)
        )

    async def _end(self, watch: Watch) -> None:
        await self._database.write(lambda tx: watches.end(tx, watch.seq))


def _as_agave(
    watch: Watch, definition: Mapping[str, Any], seen: Mapping[str, Any], now: str, link: str
) -> dict[str, Any]:
    """The job as Agave posts it to its notifications (spec/pipelinejobs 2.2)."""
    error = seen.get("lastMessage")
    return {
        "id": watch.job_id,
        "name": str(definition.get("name") or definition["appId"]),
        "owner": watch.username,
        "appId": definition["appId"],
        "executionSystem": str(seen.get("execSystemId") or definition.get("executionSystem") or ""),
        "archive": True,
        "archiveSystem": str(definition.get("archiveSystem") or seen.get("archiveSystemId") or ""),
        "archivePath": str(definition.get("archivePath") or seen.get("archiveSystemDir") or ""),
        "inputs": definition.get("inputs") or {},
        "parameters": definition.get("parameters") or {},
        "status": seen["status"],
        "lastStatusMessage": error if isinstance(error, str) else "",
        "lastUpdated": now,
        "_links": {"self": {"href": link}},
    }
