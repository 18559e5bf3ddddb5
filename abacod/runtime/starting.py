"""From a run to a container that has been created: with its network, its image and its way to the results socket."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final, Literal

import structlog

from abacod.errors import EngineUnavailable, RunLost, RunNotStarted
from abacod.models.actor import Mount
from abacod.runtime.container import Container, not_created
from abacod.runtime.container_spec import create_config
from abacod.runtime.engine import Engine, EngineRefused
from abacod.runtime.images import ImageIds
from abacod.runtime.joining.images import LinkedImages
from abacod.runtime.joining.network import Network
from abacod.runtime.joining.networks import Networks
from abacod.runtime.results import SOCKET, SOCKET_IN_DIRECTORY, ResultsSockets
from abacod.runtime.run import RunSpec

Way = Literal["link", "mount", "none"]
"""How a container finds its results socket."""

_LINKS: Final = {SOCKET: SOCKET_IN_DIRECTORY}

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """How the container of a run is made, beside what the run asks for.

    `network` is what it joins, None for one of its own; `linked` is the image with the link, None if the container gets it itself.
    """

    way: Way
    network: Network | None = None
    linked: str | None = None


class Creator:
    """Creates the containers of runs. Whatever fails, it leaves none, as far as the engine lets."""

    def __init__(
        self,
        engine: Engine,
        results: ResultsSockets,
        networks: Networks,
        linked: LinkedImages,
        image_ids: ImageIds,
        *,
        instance: str,
    ) -> None:
        self._engine = engine
        self._results = results
        self._networks = networks
        self._linked = linked
        self._image_ids = image_ids
        self._instance = instance

    async def created(self, spec: RunSpec, container: Container, plan: Plan) -> Plan:
        """Create it, with its link; the plan as it was carried out.

        What only this daemon wants, to join a network or to use another image, it does without where the engine refuses it.

        Raises:
            RunNotStarted: the engine refuses to create it.
            EngineUnavailable: the engine does not answer.
            StorageUnavailable: there is no room.
        """
        if plan.way == "link":
            image_id = await self._image_ids.of(spec.image)
            plan = replace(plan, linked=self._linked.of(image_id, _LINKS) if image_id else None)
        try:
            await self._create(spec, container, plan)
        except RunNotStarted as error:
            if plan.network is None and plan.linked is None:
                raise
            plain = Plan(plan.way)
            await self._create(spec, container, plain)
            self._note_refusal(spec, plan, error.message)
            plan = plain
        if plan.way == "link" and plan.linked is None:
            return await self._link_results(spec, container, plan)
        return plan

    def _note_refusal(self, spec: RunSpec, plan: Plan, reason: str) -> None:
        """The engine creates it without what is in the plan; the image is the likelier cause, for somebody may have removed it."""
        if plan.linked is not None:
            self._linked.forget(plan.linked)
        elif plan.network is not None:
            self._networks.refuse(spec, plan.network, reason)

    async def _link_results(self, spec: RunSpec, container: Container, plan: Plan) -> Plan:
        """Put a link to the results socket in its place; where an engine refuses that, mount the socket there."""
        try:
            await container.add_links(_LINKS)
        except EngineUnavailable:
            await removed(container)
            raise
        except EngineRefused as error:
            logger.warning("results_link_refused", container=container.name, reason=error.message)
            await container.remove(force=False)
            plan = replace(plan, way="mount")
            await self._create(spec, container, plan)
        return plan

    async def _create(self, spec: RunSpec, container: Container, plan: Plan) -> None:
        mounts: dict[Way, Mount] = {
            "link": self._results.directory_mount(spec.execution_id),
            "mount": self._results.socket_mount(spec.execution_id),
        }
        if plan.network is not None:
            files = plan.network.files_in(self._results.directory(spec.execution_id), spec.mounts)
            spec = replace(spec, mounts=(*spec.mounts, *files))
        config = create_config(
            spec,
            self._engine.settings,
            instance=self._instance,
            engine_socket=self._engine.socket,
            results=mounts.get(plan.way),
            network=plan.network.mode if plan.network else None,
        )
        if plan.linked is not None:
            config["Image"] = plan.linked
        for last in (False, True):
            try:
                with self._engine.client() as client:
                    await client.containers.create(config, name=container.name)
            except EngineRefused as error:
                if error.engine_status != HTTPStatus.CONFLICT or last:
                    raise not_created(error, spec.image) from error
                await _clear_earlier(container)
            else:
                return


async def removed(container: Container) -> bool:
    """Remove a container that was not started, as far as the engine lets; what stays, `found` reports. Whether it is gone."""
    try:
        await container.remove()
    except (EngineUnavailable, EngineRefused) as error:
        logger.warning("container_left", container=container.name, reason=error.message)
        return False
    return True


async def _clear_earlier(container: Container) -> None:
    """Remove what an attempt left that never came to its start; one that was started is never run a second time."""
    try:
        seen = await container.look()
    except RunLost:
        return
    if not seen.never_started or not await container.remove(force=False):
        raise RunNotStarted("The container of this execution has been started before.")
