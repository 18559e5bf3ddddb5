"""Batch jobs on an Agave service, version 2 (spec/pipelinejobs 7).

The service expands the macros in the URLs of `notifications` and posts to them itself, so it must be able to reach this
server. Its answers are `{"status", "message", "result"}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from abacod.clock import Clock
from abacod.config_batch import AgaveSettings
from abacod.errors import AppNotFound, BatchEngineFailed, BatchJobRefused
from abacod.ids import TenantId, Username
from abacod.services.batch.agave_client import AgaveClient
from abacod.services.batch.engine import Submitted
from abacod.services.batch.launches import Found, Launches, job_id_in, moment_in, same_path
from abacod.services.batch.replies import Refusal, as_body, is_app_id, object_of, result_of
from abacod.store.database import Database

_SERVICE: Final = "The Agave service"
# How many of the service's newest jobs are looked through for one whose answer was lost: pages, and jobs on each.
_PAGES: Final = 3
_PAGE: Final = 100


class AgaveEngine:
    """Implements `BatchEngine`. Jobs run as the user of the settings, whoever of this server sends them."""

    def __init__(self, settings: AgaveSettings, database: Database, clock: Clock) -> None:
        """`settings.base_url` is set."""
        self._client = AgaveClient(settings, clock)
        self._launches = Launches("agave", database, clock)

    async def app(self, tenant: TenantId, app_id: str) -> Mapping[str, Any]:
        """The description of an app, as the service gives it.

        Raises:
            AppNotFound: the service has no such app (404), or the user of the settings may not use it (403).
            BatchEngineFailed: it could not be asked.
        """
        if not is_app_id(app_id):
            raise AppNotFound("This is no id of an app; it is written NAME-VERSION.")
        try:
            result = await self._ask(f"/apps/v2/{app_id}")
        except Refusal as refusal:
            if refusal.status in (403, 404):
                raise AppNotFound(f"The Agave service has no app {app_id}, or none that may be used.") from refusal
            raise BatchEngineFailed(f"{_SERVICE} does not show the app {app_id}: {refusal.reason}.") from refusal
        return object_of(result, _SERVICE)

    async def submit(
        self,
        tenant: TenantId,
        username: Username,
        definition: Mapping[str, Any],
        key: str,
    ) -> Submitted:
        """Post the definition as it is; a second time with the same `key` gives the job of the first time.

        Raises:
            BatchJobRefused: the service does not take it; with its reason.
            BatchEngineFailed: it could not be reached or failed, and does not have the job as far as can be seen.
        """
        if not is_app_id(definition.get("appId")):
            raise BatchJobRefused("The job definition needs appId, the id of an app.")
        body = await asyncio.to_thread(as_body, definition)
        job_id = await self._launches.once(
            tenant, key, post=partial(self._post, body), alike=partial(self._alike, definition)
        )
        return Submitted(job_id, f"{self._client.base_url}/jobs/v2/{quote(job_id, safe='')}")

    async def _post(self, body: bytes) -> str | None:
        reply = await self._client.call("POST", "/jobs/v2", body=body)
        try:
            return job_id_in(result_of(reply, _SERVICE))
        except Refusal as refusal:
            raise BatchJobRefused(f"{refusal.reason}.") from refusal

    async def _ask(self, path: str, **query: str) -> Any:
        return result_of(await self._client.call("GET", path, query=query or None), _SERVICE)

    # --- finding a job whose answer was lost --------------------------------------------------------------------

    async def _alike(self, definition: Mapping[str, Any]) -> AsyncIterator[Found]:
        """The newest jobs of this app with this archive path; none if the definition leaves the path to the service."""
        path = definition.get("archivePath")
        if not same_path(path, path):
            return
        try:
            async for job_id, summary in self._newest_jobs():
                if summary.get("appId") != definition["appId"]:
                    continue
                # Lists of some releases leave the path out, also if it is asked for.
                job = summary if "archivePath" in summary else await self._job(job_id)
                if same_path(job.get("archivePath"), path):
                    yield Found(job_id, moment_in(job, "created"))
        except Refusal as refusal:
            raise BatchEngineFailed(f"{_SERVICE} does not show its jobs: {refusal.reason}.") from refusal

    async def _newest_jobs(self) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
        for page in range(_PAGES):
            result = await self._ask(
                "/jobs/v2", limit=str(_PAGE), offset=str(page * _PAGE), filter="id,appId,archivePath,created"
            )
            if not isinstance(result, Sequence) or isinstance(result, str):
                raise BatchEngineFailed(f"{_SERVICE} answered without a list of jobs.")
            for summary in result:
                if (job_id := job_id_in(summary)) is not None:
                    yield job_id, summary
            if len(result) < _PAGE:
                return

    async def _job(self, job_id: str) -> Mapping[str, Any]:
        return object_of(await self._ask(f"/jobs/v2/{quote(job_id, safe='')}"), _SERVICE)
