"""Pipelines over HTTP: list and show; they are created and changed by messages to the Pipelines Manager."""

from __future__ import annotations

from typing import Annotated, Any, Final, NotRequired, TypedDict, cast

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from abacod.api.calls import Call
from abacod.api.fields import Boolean, Integer, Text, validated
from abacod.api.reply import Replies
from abacod.services.pipelinejobs.pipelines import Pipelines, Wanted
from reactors.pipelinejobs.records import Pipeline, shown_pipeline

# Pipelines in an answer where the query gives no `limit`, and at most.
_DEFAULT_LIMIT: Final = 100
_MAX_LIMIT: Final = 1000
# A credential, and nothing to choose by.
_NONCE: Final = "x-nonce"


class PipelineQuery(BaseModel):
    """Which pipelines are listed."""

    model_config = ConfigDict(extra="forbid")

    limit: Integer = Field(_DEFAULT_LIMIT, ge=1, le=_MAX_LIMIT, description="Most pipelines in the answer.")
    after: Text | None = Field(None, description="The UUID of the last pipeline of the page before.")
    id: Text | None = Field(None, description="Only the one with this readable id.")
    name: Text | None = Field(None, description="Only those with this name.")
    retired: Boolean = Field(False, description="Whether retired pipelines are listed, too.")


class PipelineShown(TypedDict):
    """A pipeline."""

    uuid: str
    id: NotRequired[str]
    name: str
    description: NotRequired[str]
    components: list[dict[str, Any]]
    collections_levels: list[str]
    processing_levels: list[str]
    pipeline_type: str
    accepts: list[str]
    produces: list[str]
    retired: Annotated[bool, Field(description="Whether it has been taken out of service.")]


class PipelinesApi:
    """Handlers for pipelines."""

    def __init__(self, pipelines: Pipelines, replies: Replies) -> None:
        self._pipelines = pipelines
        self._replies = replies

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /v3/pipelines: List pipelines, oldest first, page by page."""
        given = {name: value for name, value in call.query if name != _NONCE}
        query = validated(PipelineQuery, given, "list")
        wanted = Wanted(query.limit, query.after, query.id, query.name, query.retired)
        found = await self._pipelines.listed(call.actor.tenant, wanted)
        return await self._replies.long([_shown(each) for each in found], "Pipelines retrieved successfully.")

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /v3/pipelines/{pipeline}: Show a pipeline, by its UUID or its readable id."""
        pipeline = await self._pipelines.named(call.actor.tenant, call.parameters["pipeline"])
        return await self._replies.long(_shown(pipeline), "Pipeline retrieved successfully.")


def _shown(pipeline: Pipeline) -> PipelineShown:
    return cast("PipelineShown", {**shown_pipeline(pipeline), "retired": not pipeline.visible})
