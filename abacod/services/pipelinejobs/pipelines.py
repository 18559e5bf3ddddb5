"""Pipelines: register, change, retire and show them (spec/pipelinejobs 2.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from abacod.clock import Clock
from abacod.errors import InvalidField, PipelineInUse, PipelineNotFound, PipelineTaken, TokenRefused
from abacod.ids import TenantId, Username
from abacod.services.pipelinejobs.document_tokens import DocumentTokens
from abacod.store import pipelines, updates
from abacod.store.database import Database, Transaction
from reactors.pipelinejobs.identifiers import Identifiers, canonical_json
from reactors.pipelinejobs.records import Pipeline, merged
from reactors.ports import Written

# What a pipeline has where its author says nothing (seeds: the schema's defaults). Stored, so that documents that mean the
# same are the same.
_DEFAULTS: Final[Mapping[str, Any]] = {
    "collections_levels": [],
    "processing_levels": [],
    "pipeline_type": "primary-etl",
    "accepts": ["*"],
    "produces": ["*"],
}
_FIXED: Final = ("id", "components")
_UNCHANGEABLE: Final = "a pipeline's id and components cannot be changed. Create another one."

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which pipelines a list shows, and from where on: behind the one with the UUID `after`."""

    limit: int
    after: str | None = None
    id: str | None = None
    name: str | None = None
    retired: bool = False


class Pipelines:
    """The use-cases of pipelines."""

    def __init__(self, database: Database, tokens: DocumentTokens, identifiers: Identifiers, clock: Clock) -> None:
        self._database = database
        self._tokens = tokens
        self._identifiers = identifiers
        self._clock = clock

    async def create(self, tenant: TenantId, by: Username, document: Mapping[str, Any]) -> Written:
        """Register a pipeline; the very same document again changes nothing, and gives its owner the same answer.

        `document` fits the schema of new pipelines; what begins with `__` is not stored.

        Raises:
            PipelineTaken: the UUID exists with other content, or the id is that of another pipeline.
            InvalidField: the document says two things at once.
        """
        kept = _complete(document)
        uuid = await self._uuid(kept)
        now = self._clock.now()

        def make(tx: Transaction) -> str | None:
            before = pipelines.find(tx, tenant, uuid)
            if before is None:
                salt = self._tokens.new_salt()
                pipelines.insert(tx, tenant, Pipeline(uuid, kept, by, now, now), salt)
                updates.append(tx, tenant, uuid, "create", by=by, now=now, changes=kept)
                return salt
            if before.document != kept:
                raise PipelineTaken(f"pipeline {uuid} already exists; send its update token")
            # The document is no secret; its token is.
            return pipelines.salt_of(tx, tenant, uuid) if before.owner == by else None

        salt = await self._database.write(make)
        _log.info("pipeline_created", pipeline=uuid, tenant=tenant, by=by)
        return Written(uuid, None if salt is None else self._tokens.of(tenant, uuid, salt))

    async def update(
        self, tenant: TenantId, by: Username, uuid: str, changes: Mapping[str, Any], token: str
    ) -> Written:
        """Merge `changes` over the document (spec/pipelinejobs 9.3).

        Raises:
            PipelineNotFound: there is no such pipeline.
            TokenRefused: the token does not allow it.
            InvalidField: the change would give the pipeline another UUID, or says two things at once.
        """
        given = _public(changes)

        def change(tx: Transaction) -> str:
            before, salt = self._permitted(tx, tenant, uuid, token)
            after = merged(before.document, given)
            if any(canonical_json(after.get(name)) != canonical_json(before.document.get(name)) for name in _FIXED):
                raise InvalidField(f"components: {_UNCHANGEABLE}")
            self._store(tx, tenant, by, before, after, "update")
            return salt

        return Written(uuid, self._tokens.of(tenant, uuid, await self._database.write(change)))

    async def replace(
        self, tenant: TenantId, by: Username, document: Mapping[str, Any], token: str, uuid: str | None = None
    ) -> Written:
        """Put the document in place of that of the pipeline whose UUID it has, which must be `uuid` if that is given.

        Raises:
            PipelineNotFound, TokenRefused, InvalidField: as `update`.
        """
        kept = _complete(document)
        computed = await self._uuid(kept)
        if uuid not in (None, computed):
            raise InvalidField(
                f"components: with them and its id the pipeline would be {computed} and not {uuid}; {_UNCHANGEABLE}"
            )

        def change(tx: Transaction) -> str:
            if pipelines.find(tx, tenant, computed) is None:
                raise PipelineNotFound(
                    f"No such pipeline {computed}: with another id or other components it is another pipeline; send the "
                    "document without a token to create that"
                )
            before, salt = self._permitted(tx, tenant, computed, token)
            self._store(tx, tenant, by, before, kept, "replace")
            return salt

        return Written(computed, self._tokens.of(tenant, computed, await self._database.write(change)))

    async def set_visible(self, tenant: TenantId, by: Username, uuid: str, token: str, *, visible: bool) -> None:
        """Take a pipeline out of service, or put it back (spec/pipelinejobs 10).

        Raises:
            PipelineNotFound, TokenRefused: as `update`.
        """
        now = self._clock.now()

        def change(tx: Transaction) -> None:
            before, _ = self._permitted(tx, tenant, uuid, token)
            if before.visible != visible:
                pipelines.change(tx, tenant, uuid, before.document, visible=visible, now=now)
                updates.append(tx, tenant, uuid, "update", by=by, now=now, changes={"visible": visible})

        await self._database.write(change)

    async def delete(self, tenant: TenantId, by: Username, uuid: str, token: str) -> None:
        """Delete a pipeline for good, which takes an administrative token.

        Raises:
            PipelineNotFound: there is no such pipeline.
            TokenRefused: the token is no administrative one.
            PipelineInUse: a job is of this pipeline, or something has a link to it.
        """
        now = self._clock.now()

        def change(tx: Transaction) -> None:
            _found(pipelines.find(tx, tenant, uuid), uuid)
            try:
                self._tokens.require_administrative(token)
            except TokenRefused as error:
                raise TokenRefused(f"a pipeline cannot be deleted; {error.message}") from error
            if pipelines.is_referred_to(tx, tenant, uuid):
                raise PipelineInUse("a pipeline cannot be deleted once there are jobs for it; retire it without force")
            pipelines.delete(tx, tenant, uuid)
            updates.append(tx, tenant, uuid, "delete", by=by, now=now, changes={})

        await self._database.write(change)

    async def get(self, tenant: TenantId, uuid: str) -> Pipeline:
        """The pipeline, retired or not.

        Raises:
            PipelineNotFound: there is none.
        """
        return await self._database.read(lambda tx: _found(pipelines.find(tx, tenant, uuid), uuid))

    async def of_app(self, tenant: TenantId, app_id: str) -> Pipeline:
        """The pipeline with this readable id.

        Raises:
            PipelineNotFound: there is none.
        """
        return await self._database.read(lambda tx: _found(pipelines.find_id(tx, tenant, app_id), app_id))

    async def named(self, tenant: TenantId, name: str) -> Pipeline:
        """The pipeline with this UUID, else that with this readable id.

        Raises:
            PipelineNotFound: there is neither.
        """
        return await self._database.read(
            lambda tx: _found(pipelines.find(tx, tenant, name) or pipelines.find_id(tx, tenant, name), name)
        )

    async def listed(self, tenant: TenantId, wanted: Wanted) -> list[Pipeline]:
        """Pipelines, oldest first.

        Raises:
            PipelineNotFound: there is none to go on behind.
            BadRequest: they are too large for one answer.
        """
        return await self._database.read(
            lambda tx: pipelines.listed(
                tx,
                tenant,
                limit=wanted.limit,
                after=wanted.after,
                identifier=wanted.id,
                name=wanted.name,
                retired=wanted.retired,
            )
        )

    # --- parts --------------------------------------------------------------------------------------------------

    async def _uuid(self, document: Mapping[str, Any]) -> str:
        # A document may have MBs, which take their time to be hashed.
        return await asyncio.to_thread(self._identifiers.pipeline, document)

    def _permitted(self, tx: Transaction, tenant: TenantId, uuid: str, token: str) -> tuple[Pipeline, str]:
        """The pipeline and its salt, if the token allows changing it."""
        pipeline = _found(pipelines.find(tx, tenant, uuid), uuid)
        salt = pipelines.salt_of(tx, tenant, uuid)
        self._tokens.require(tenant, uuid, salt, token)
        return pipeline, salt

    def _store(
        self,
        tx: Transaction,
        tenant: TenantId,
        by: Username,
        before: Pipeline,
        after: Mapping[str, Any],
        action: updates.Action,
    ) -> None:
        """Store another document, unless it is the same."""
        if after == before.document:
            return
        now = self._clock.now()
        pipelines.change(tx, tenant, before.uuid, after, visible=before.visible, now=now)
        changes = {
            name: after.get(name) for name in {*after, *before.document} if after.get(name) != before.document.get(name)
        }
        updates.append(tx, tenant, before.uuid, action, by=by, now=now, changes=changes)


def _complete(document: Mapping[str, Any]) -> dict[str, Any]:
    """A new document as it is stored."""
    return {**_DEFAULTS, **_public(document)}


def _public(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without what is private and the UUID, which is computed; with one name for what may have two."""
    kept = {name: value for name, value in document.items() if not name.startswith("_") and name != "uuid"}
    if "type" in kept:
        kind = kept.pop("type")
        if kept.setdefault("pipeline_type", kind) != kind:
            raise InvalidField("type: it is another name for pipeline_type, but the two differ here; give one of them.")
    return kept


def _found(pipeline: Pipeline | None, name: str) -> Pipeline:
    if pipeline is None:
        raise PipelineNotFound(f"No such pipeline {name}")
    return pipeline
