"""Batch jobs on a Tapis service, version 3. The rest of the server sees the jobs and statuses of Agave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from abacod.clock import Clock
from abacod.errors import AppNotFound, BatchEngineFailed, BatchJobRefused
from abacod.ids import TenantId, Username
from abacod.services.batch.callbacks import notifications_of
from abacod.services.batch.engine import Submitted
from abacod.services.batch.launches import Found, Launches, job_id_in
from abacod.services.batch.replies import Refusal, as_body, object_of
from abacod.services.batch.tapis_client import SERVICE, TapisClient
from abacod.services.batch.tapis_request import AppKey, app_key, request_of, tag_of
from abacod.services.batch.tapis_watch import TapisWatch
from abacod.store.database import Database, Transaction

# How many of the service's newest jobs are looked through for one whose answer was lost.
_NEWEST: Final = 100


class TapisEngine:
    """Implements `BatchEngine`. Jobs run as the user of the settings, whoever of this server sends them."""

    def __init__(self, client: TapisClient, watch: TapisWatch, database: Database, clock: Clock) -> None:
        self._client = client
        self._watch = watch
        self._launches = Launches("tapis", database, clock)

    async def app(self, tenant: TenantId, app_id: str) -> Mapping[str, Any]:
        """The description of an app, as Tapis gives it, under the id that it has here.

        Raises:
            AppNotFound: the service has no such app (404), or the user of the settings may not execute it (403).
            BatchEngineFailed: it could not be asked.
        """
        key = app_key(app_id)
        if key is None:
            raise AppNotFound("This is no id of an app; it is written NAME-VERSION.")
        try:
            found = await self._app(key)
        except Refusal as refusal:
            if refusal.status in (403, 404):
                raise AppNotFound(f"The Tapis service has no app {app_id}, or none that may be used.") from refusal
            raise BatchEngineFailed(f"{SERVICE} does not show the app {app_id}: {refusal.reason}.") from refusal
        return {**found, "id": app_id, "name": key.id}

    async def submit(self, tenant: TenantId, username: Username, definition: Mapping[str, Any], key: str) -> Submitted:
        """Submit the job in Tapis' words, and watch it; a second time with the same `key` gives the job of the first time.

        Raises:
            BatchJobRefused: it cannot be said so, or the service does not take it; with the reason.
            BatchEngineFailed: the service could not be reached or failed, and does not have the job as far as can be seen.
        """
        tag = tag_of(tenant, key)
        await asyncio.to_thread(as_body, definition)
        notifications_of(definition)
        # Whatever is wrong with the definition itself is said before the service is asked.
        request_of(definition, {}, tag)

        def watch(tx: Transaction, job_id: str) -> None:
            self._watch.begin(tx, tenant, username, job_id, definition)

        job_id = await self._launches.once(
            tenant,
            key,
            post=partial(self._post, definition, tag),
            alike=partial(self._alike, definition, tag),
            also=watch,
        )
        return Submitted(job_id, f"{self._client.base_url}/v3/jobs/{quote(job_id, safe='')}")

    async def _app(self, key: AppKey) -> Mapping[str, Any]:
        result = await self._client.result(
            "apps", "getApp", appId=key.id, appVersion=key.version, requireExecPerm="true"
        )
        return object_of(result, SERVICE)

    async def _post(self, definition: Mapping[str, Any], tag: str) -> str | None:
        key = app_key(definition["appId"])
        try:
            app = await self._app(key) if key else {}
            return job_id_in(await self._client.result("jobs", "submitJob", **request_of(definition, app, tag)))
        except Refusal as refusal:
            raise BatchJobRefused(f"{refusal.reason}.") from refusal

    async def _alike(self, definition: Mapping[str, Any], tag: str) -> AsyncIterator[Found]:
        """The newest jobs with the tag of this launch. Lists have no tags, so each job of the app is asked for."""
        key = app_key(definition["appId"])
        try:
            newest = await self._client.result("jobs", "getJobList", limit=_NEWEST, orderBy="created(desc)")
            if not isinstance(newest, list):
                raise BatchEngineFailed(f"{SERVICE} answered without a list of jobs.")
            for summary in newest:
                if (job_id := job_id_in(summary)) is None or (key and summary.get("appId") != key.id):
                    continue
                job = object_of(await self._client.result("jobs", "getJob", jobUuid=quote(job_id, safe="")), SERVICE)
                if tag in _tags(job):
                    yield Found(job_id, None)
        except Refusal as refusal:
            raise BatchEngineFailed(f"{SERVICE} does not show its jobs: {refusal.reason}.") from refusal


def _tags(job: Mapping[str, Any]) -> list[Any]:
    """The tags of a job; some releases give the list as text."""
    tags = job.get("tags")
    if isinstance(tags, str):
        try:
            tags = json.loads(tags)
        except (ValueError, RecursionError):
            return [part.strip() for part in tags.strip("{}[]").split(",")]
    return tags if isinstance(tags, list) else []
