"""Images with links: an actor's image and one more layer, in which the links lie that its containers need.

An engine takes as long to put a link into one container as to start it. So an image whose containers need the same links
again and again gets a layer with them. It has no name, and goes when it is not used for a while.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.errors import AbacoError, EngineUnavailable
from abacod.runtime.container import Container
from abacod.runtime.container_spec import INSTANCE_LABEL
from abacod.runtime.engine import Engine, EngineRefused

LINKS_LABEL: Final = "abacod.links"
"""Label of the images, and of the containers that they are made of."""

_SOURCE: Final = "source"

_ENOUGH: Final = 2
"""Containers of one image into which a link was put by itself, before a layer is made for all further ones."""

_UNUSED: Final = 600.0
"""Seconds after which an image that was not used is removed."""

_NOT_HERE: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)

logger = structlog.get_logger()


@dataclass(slots=True)
class _Known:
    """What is known of one image and one set of links; `linked` is the id of the image with them, None without one."""

    used_at: float
    wanted: int = 0
    linked: str | None = None


_Key = tuple[str, tuple[tuple[str, str], ...]]


class LinkedImages:
    """The images with links of one data directory, labelled with `instance`."""

    def __init__(self, engine: Engine, clock: Clock, *, instance: str) -> None:
        self._engine = engine
        self._clock = clock
        self._instance = instance
        self._known: dict[_Key, _Known] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, image_id: str, links: Mapping[str, str]) -> str | None:
        """The image with these links (targets by path) in it; None if there is none yet, and the container gets them itself."""
        key = image_id, tuple(sorted(links.items()))
        known = self._known.setdefault(key, _Known(self._clock.monotonic()))
        known.used_at = self._clock.monotonic()
        if known.linked is None:
            known.wanted += 1
            if known.wanted == _ENOUGH:
                task = asyncio.create_task(self._make(key, known), name=f"links for {image_id}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return known.linked

    def forget(self, linked: str) -> None:
        """The engine does not make containers of this one: another one is made when it is wanted again."""
        for key, known in list(self._known.items()):
            if known.linked == linked:
                del self._known[key]

    async def sweep(self) -> None:
        """Remove those that were not used for a while, and those that an earlier daemon left; raises as the engine does."""
        since = self._clock.monotonic() - _UNUSED
        for key, known in list(self._known.items()):
            if known.used_at < since:
                del self._known[key]
        filters = {"label": [f"{INSTANCE_LABEL}={self._instance}", LINKS_LABEL]}
        with self._engine.client() as client:
            images = await client.images.list(filters=filters)
            containers = await client.containers.list(all=True, filters=filters)
        if self._tasks:
            # What is made just now is not known yet: the next round looks again.
            return
        used = {known.linked for known in self._known.values()}
        # Of an image with links each container has the label, those of executions too.
        left = [each["Names"][0][1:] for each in containers if each["Labels"][LINKS_LABEL] == _SOURCE]
        for name in left:
            await Container(self._engine, name).remove()
        for image in images:
            if image["Id"] not in used:
                await self._remove(image["Id"])

    async def close(self) -> None:
        """Remove them all, but for those that a container is made of; raises as the engine does."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._known.clear()
        await self.sweep()

    # --- how

    async def _make(self, key: _Key, known: _Known) -> None:
        image_id, links = key
        try:
            known.linked = await self._made(image_id, dict(links))
        except EngineUnavailable:
            # What is run next meets it again.
            known.wanted = 0
        except AbacoError as error:
            logger.warning("links_not_kept", image=image_id, reason=error.message)

    async def _made(self, image_id: str, links: Mapping[str, str]) -> str:
        labels = {INSTANCE_LABEL: self._instance, LINKS_LABEL: _SOURCE}
        container = Container(self._engine, f"abacod-links-{uuid.uuid4().hex}")
        try:
            with self._engine.client() as client:
                await client.containers.create({"Image": image_id, "Labels": labels}, name=container.name)
            await container.add_links(links)
            with self._engine.client() as client:
                made = await client.containers.container(container.name).commit(
                    pause=False, config={"Labels": {**labels, LINKS_LABEL: "image"}}
                )
            return str(made["Id"])
        finally:
            await asyncio.shield(container.remove())

    async def _remove(self, image: str) -> None:
        try:
            with self._engine.client() as client:
                # Only this layer: what it stands on is not ours.
                await client.images.delete(image, noprune=True)
        except EngineRefused as error:
            # A container is made of it: a later sweep removes it.
            if error.engine_status not in _NOT_HERE:
                raise
