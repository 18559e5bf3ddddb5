"""Making containers with resident processes, and removing those of an earlier daemon."""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import structlog

from abacod.clock import Clock
from abacod.errors import EngineUnavailable
from abacod.models.actor import Mount
from abacod.runtime import busybox
from abacod.runtime.container import Container
from abacod.runtime.container_spec import BINARY_MESSAGE, EXECUTION_LABEL, INSTANCE_LABEL, create_config
from abacod.runtime.docker import DockerRuntime
from abacod.runtime.engine import EngineRefused
from abacod.runtime.images import Program
from abacod.runtime.resident.contract import BINARY, DOOR, ENTRYPOINT, PLACE, SOCKET, SOCKET_VARIABLE
from abacod.runtime.resident.folder import Folder
from abacod.runtime.resident.process import Process
from abacod.runtime.resident.shape import Shape
from abacod.runtime.resident.usage import Usage
from abacod.runtime.results import SOCKET as RESULTS_SOCKET
from abacod.runtime.results import SOCKET_IN_DIRECTORY
from abacod.runtime.run import RunSpec

RESIDENT_LABEL: Final = "abacod.resident"
"""Label with the name of the folder of a container with a resident process."""

logger = structlog.get_logger()


class Maker:
    """Makes them in folders below `residents_dir`."""

    def __init__(
        self, containers: DockerRuntime, clock: Clock, *, instance: str, residents_dir: Path, program: Path
    ) -> None:
        """`program` is the static busybox."""
        self._engine = containers.engine
        self._images = containers.images
        self._clock = clock
        self._instance = instance
        self._residents_dir = residents_dir
        self._program = program
        self._live: set[str] = set()

    async def program_of(self, image: str) -> Program:
        """What the image runs as it is now; raises `EngineRefused` and `EngineUnavailable`."""
        return await self._images.show(image)

    async def made(self, spec: RunSpec) -> Process:
        """A new one, which has been started.

        Raises:
            EngineUnavailable: the engine does not answer.
            EngineRefused: the engine does not make it.
            StorageUnavailable: there is no room.
        """
        program = await self._images.show(spec.image)
        name = uuid.uuid4().hex
        self._live.add(name)
        process: Process | None = None
        try:
            place = self._residents_dir / name
            await asyncio.to_thread(self._prepare, place)
            folder = Folder.opened(place)
            container = self._container(name)
            process = Process(self._engine, self._clock, container, folder, Shape.of(spec), program)
            await self._start(process, spec, name)
        except BaseException:
            if process is not None:
                process.let_go()
            await asyncio.shield(self.remove(name))
            raise
        return process

    async def remove(self, name: str) -> None:
        """Remove a container and its folder; what the engine does not let go now is removed by a later sweep."""
        self._live.add(name)
        try:
            await self._container(name).remove()
        except (EngineUnavailable, EngineRefused) as error:
            logger.warning("container_left", container=self._container(name).name, reason=error.message)
        else:
            await asyncio.to_thread(shutil.rmtree, self._residents_dir / name, ignore_errors=True)
        finally:
            self._live.discard(name)

    async def sweep(self) -> None:
        """Remove containers and folders that this daemon does not use; raises `EngineUnavailable`, `EngineRefused`."""
        folders = await asyncio.to_thread(self._folders)
        filters = json.dumps({"label": [f"{INSTANCE_LABEL}={self._instance}", RESIDENT_LABEL]})
        with self._engine.client() as client:
            found = await client.containers.list(all=True, filters=filters)
        for name in ({each["Labels"][RESIDENT_LABEL] for each in found} | folders) - self._live:
            await self.remove(name)

    # --- how

    def _container(self, name: str) -> Container:
        return Container(self._engine, f"abacod-resident-{name}")

    def _folders(self) -> set[str]:
        try:
            return {path.name for path in self._residents_dir.iterdir() if path.is_dir()}
        except FileNotFoundError:
            return set()

    def _prepare(self, place: Path) -> None:
        self._residents_dir.mkdir(parents=True, exist_ok=True)
        Folder.prepared(place, busybox.placed(self._program, self._residents_dir))

    async def _start(self, process: Process, spec: RunSpec, name: str) -> None:
        config = self._config(spec, process, name)
        container = process.container
        with self._engine.client() as client:
            await client.containers.create(config, name=container.name)
        links = {BINARY_MESSAGE: f"{PLACE}/{BINARY}"}
        if self._engine.settings.results_socket != "none":
            links[RESULTS_SOCKET] = SOCKET_IN_DIRECTORY
        await container.add_links(links)
        await container.start()
        seen = await container.look()
        process.usage = Usage(
            seen.id, int(seen.state.get("Pid") or 0), with_network=self._engine.settings.network != "host"
        )
        process.watching = asyncio.create_task(process.watch(), name=f"watch {name}")

    def _config(self, spec: RunSpec, process: Process, name: str) -> dict[str, Any]:
        """As for a run, but with what lasts for its environment, and its output led into the pipe."""
        door = Mount(str(process.folder.door), DOOR, "rw")
        environment = {**spec.lasting_environment, SOCKET_VARIABLE: SOCKET}
        config = create_config(
            replace(spec, environment=environment, binary_message=None, mounts=(*spec.mounts, door)),
            self._engine.settings,
            instance=self._instance,
            engine_socket=self._engine.socket,
            results=Mount(str(process.folder.shown), PLACE, "ro"),
        )
        del config["Labels"][EXECUTION_LABEL]
        config["Labels"][RESIDENT_LABEL] = name
        # The very image that the program was read of.
        config["Image"] = process.program.image_id
        config["Entrypoint"] = [*ENTRYPOINT, *process.program.words]
        config["Cmd"] = []
        return config
