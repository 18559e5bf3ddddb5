"""Configs over HTTP: list, create, show, update, delete (spec/actors-api 10.1)."""

from __future__ import annotations

from typing import Annotated, TypedDict

from aiohttp import web
from pydantic import BaseModel, Field

from abacod.api.body import read_fields
from abacod.api.calls import Call
from abacod.api.fields import Boolean, Text, validated
from abacod.api.reply import Replies
from abacod.errors import InvalidField
from abacod.models.config import Config
from abacod.services.configs import SECRET_SHOWN, Configs, Wanted


class ConfigFields(BaseModel):
    """The fields of a config."""

    name: Text = Field(min_length=1, description="The config's name, a text; it cannot be changed.")
    value: Text = Field(description="What the actors find under the name, a text.")
    is_secret: Boolean = Field(description="Whether the value is sealed and never shown: true or false.")
    actors: Text = Field(min_length=1, description="Ids or aliases of actors, separated by commas.")


class ConfigShown(TypedDict):
    """A config (spec/actors-api 1.8)."""

    name: str
    value: Annotated[str, Field(description="`<secret>` in place of a secret.")]
    is_secret: bool
    actors: Annotated[str, Field(description="Ids or aliases of actors, separated by commas, as they were given.")]


class ConfigsApi:
    """Handlers for configs."""

    def __init__(self, configs: Configs, replies: Replies, *, max_text_bytes: int) -> None:
        self._configs = configs
        self._replies = replies
        self._max_text_bytes = max_text_bytes

    async def list_all(self, call: Call) -> web.StreamResponse:
        """GET /configs: List the configs that the caller may read."""
        shown = [_shown(config) for config in await self._configs.listed(call.caller)]
        return self._replies.ok(call, shown, "Actor Configs retrieved successfully.")

    async def create(self, call: Call) -> web.StreamResponse:
        """POST /configs: Give actors a value."""
        config = await self._configs.create(call.caller, await self._wanted(call))
        return self._replies.ok(call, _shown(config), "Actor config created successfully.")

    async def show(self, call: Call) -> web.StreamResponse:
        """GET /configs/{config}: Show a config."""
        config = await self._configs.get(call.caller, call.parameters["config"])
        return self._replies.ok(call, _shown(config), "Config retrieved successfully.")

    async def update(self, call: Call) -> web.StreamResponse:
        """PUT /configs/{config}: Change a config."""
        config = await self._configs.update(call.caller, call.parameters["config"], await self._wanted(call))
        return self._replies.ok(call, _shown(config), "Actor config updated successfully.")

    async def delete(self, call: Call) -> web.StreamResponse:
        """DELETE /configs/{config}: Remove a config."""
        name = call.parameters["config"]
        await self._configs.delete(call.caller, name)
        return self._replies.ok(call, None, f"Actor config {name} deleted successfully.")

    async def _wanted(self, call: Call) -> Wanted:
        fields = await read_fields(call.request, call.query, self._max_text_bytes)
        missing = {name: field.description for name, field in ConfigFields.model_fields.items() if name not in fields}
        if missing:
            raise InvalidField(f"Invalid config description. Missing required field: {missing}")
        given = validated(ConfigFields, fields, "config")
        return Wanted(given.name, given.value, given.is_secret, given.actors)


def _shown(config: Config) -> ConfigShown:
    return {
        "name": config.name,
        "value": SECRET_SHOWN if config.is_secret else config.value,
        "is_secret": config.is_secret,
        "actors": config.actors,
    }
