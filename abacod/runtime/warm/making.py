"""Making held containers, and taking up those that an earlier daemon made."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import structlog

from abacod.clock import Clock
from abacod.errors import EngineUnavailable, RunLost, StorageUnavailable
from abacod.ids import ExecutionId, WorkerId
from abacod.models.actor import Mount
from abacod.runtime import busybox
from abacod.runtime.container import Container
from abacod.runtime.container_spec import BINARY_MESSAGE, EXECUTION_LABEL, INSTANCE_LABEL, create_config
from abacod.runtime.engine import Engine, EngineRefused
from abacod.runtime.images import Images, Program
from abacod.runtime.joining.images import LinkedImages
from abacod.runtime.joining.network import Network
from abacod.runtime.joining.networks import Networks
from abacod.runtime.results import SOCKET, SOCKET_IN_DIRECTORY
from abacod.runtime.run import RunSpec
from abacod.runtime.warm import supervisor
from abacod.runtime.warm.folder import BINARY, Folder, Record, record_in
from abacod.runtime.warm.held import Held, Shape

HELD_LABEL: Final = "abacod.held"
"""Label with the name of a held container's folder."""

# How long a supervisor may take from its start to its first word, in seconds.
_START_LIMIT: Final = 20.0
_MB: Final = 1_000_000
_LOG_FILES: Final = 2

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Left:
    """A folder on disk with an execution."""

    name: str
    record: Record


class Maker:
    """Makes held containers in folders below `workers_dir`."""

    def __init__(
        self,
        engine: Engine,
        images: Images,
        networks: Networks,
        linked: LinkedImages,
        clock: Clock,
        *,
        instance: str,
        workers_dir: Path,
        program: Path,
    ) -> None:
        """`program` is the static busybox."""
        self.engine = engine
        self.live: set[str] = set()
        """Names of the containers that this daemon uses now."""
        self._images = images
        self._networks = networks
        self._linked = linked
        self._joined: dict[str, tuple[WorkerId, Network]] = {}
        self._clock = clock
        self._instance = instance
        self._workers_dir = workers_dir
        self._program = program
        self._log_bytes = engine.settings.log_file_mb * _MB * _LOG_FILES

    async def program_of(self, image: str) -> Program:
        """What the image runs as it is now; raises `EngineRefused` and `EngineUnavailable`."""
        return await self._images.show(image)

    async def made(self, spec: RunSpec) -> Held:
        """A new one, whose supervisor waits; with the network that its worker holds and an image with its links, if they are there.

        Raises:
            EngineUnavailable: the engine does not answer, or the supervisor does not.
            EngineRefused: the engine does not make it.
            RunLost: the supervisor does not run.
            StorageUnavailable: there is no room.
        """
        program = await self._images.show(spec.image)
        network, linked = self._networks.of(spec), self._linked.of(program.image_id, self._links)
        try:
            return await self._made(spec, program, network, linked)
        except (EngineRefused, RunLost) as error:
            if network is None and linked is None:
                raise
            lost = network is not None and not await self._networks.stands(spec, network)
            held = await self._made(spec, program, None, None)
            # Only what does without them shows that it was they. The image is the likelier cause, for somebody may have removed it.
            if linked is not None and not lost:
                self._linked.forget(linked)
            elif network is not None and not lost:
                self._networks.refuse(spec, network, error.message)
            return held

    def taken_up(self, name: str) -> Held:
        """One that an earlier daemon made, to follow what it was given; raises `OSError` if its folder is gone."""
        folder = Folder(self._workers_dir / name, log_bytes=self._log_bytes)
        self.live.add(name)
        held = Held(self.engine, self._clock, self.container(name), folder, None, None)
        held.watching = asyncio.create_task(held.watch(), name=f"watch {name}")
        return held

    def container(self, name: str) -> Container:
        """The container of a folder."""
        return Container(self.engine, f"abacod-held-{name}")

    # --- what is on disk and on the engine

    def left(self) -> list[Left]:
        """The folders with an execution that this daemon does not use."""
        names = self._folders() - self.live
        records = ((name, record_in(self._workers_dir / name)) for name in names)
        return [Left(name, record) for name, record in records if record is not None]

    def left_with(self, execution_id: ExecutionId) -> Left | None:
        """The folder with that execution, if this daemon does not use it."""
        return next((each for each in self.left() if each.record.execution_id == execution_id), None)

    async def states(self) -> dict[str, str]:
        """The engine's words for how the held containers of this data directory are, by name."""
        filters = json.dumps({"label": [f"{INSTANCE_LABEL}={self._instance}", HELD_LABEL]})
        with self.engine.client() as client:
            found = await client.containers.list(all=True, filters=filters)
        return {each["Labels"][HELD_LABEL]: each["State"] for each in found}

    async def remove(self, name: str) -> None:
        """Remove a container and its folder; what the engine does not let go now is removed by a later sweep."""
        self.live.add(name)
        try:
            await self.container(name).remove()
        except (EngineUnavailable, EngineRefused) as error:
            logger.warning("container_left", container=self.container(name).name, reason=error.message)
        else:
            await asyncio.to_thread(shutil.rmtree, self._workers_dir / name, ignore_errors=True)
            self._leave_network(name)
        finally:
            self.live.discard(name)

    async def sweep(self) -> None:
        """Remove containers and folders that nobody uses and that have no execution."""
        left = {each.name for each in self.left()}
        folders = await asyncio.to_thread(self._folders)
        for name in (set(await self.states()) | folders) - left:
            # Looked at again: much may have happened while the engine answered.
            if name not in self.live and record_in(self._workers_dir / name) is None:
                await self.remove(name)

    # --- how

    @property
    def _links(self) -> dict[str, str]:
        links = {BINARY_MESSAGE: f"{supervisor.PLACE}/{BINARY}"}
        if self.engine.settings.results_socket != "none":
            links[SOCKET] = SOCKET_IN_DIRECTORY
        return links

    async def _made(self, spec: RunSpec, program: Program, network: Network | None, linked: str | None) -> Held:
        name = uuid.uuid4().hex
        self.live.add(name)
        if network is not None:
            # Before anything else can happen: without a user it might go.
            network.users.add(self.container(name).name)
            self._joined[name] = spec.worker_id, network
        try:
            folder = await asyncio.to_thread(self._folder, name)
            held = Held(self.engine, self._clock, self.container(name), folder, Shape.of(spec), program, network)
        except BaseException as error:
            self.live.discard(name)
            self._leave_network(name)
            if isinstance(error, OSError):
                raise StorageUnavailable(f"There is no room for a container's folder: {error.strerror}.") from error
            raise
        try:
            await self._start(held, spec, program, name, linked)
        except BaseException:
            held.gone = True
            held.let_go()
            await asyncio.shield(self.remove(name))
            raise
        return held

    def _leave_network(self, name: str) -> None:
        if joined := self._joined.pop(name, None):
            self._networks.leave(*joined, self.container(name).name)

    def _folders(self) -> set[str]:
        try:
            # Each run asks for it.
            with os.scandir(self._workers_dir) as entries:
                return {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
        except FileNotFoundError:
            return set()

    def _folder(self, name: str) -> Folder:
        self._workers_dir.mkdir(parents=True, exist_ok=True)
        placed = busybox.placed(self._program, self._workers_dir)
        return Folder.made(self._workers_dir / name, placed, log_bytes=self._log_bytes)

    async def _start(self, held: Held, spec: RunSpec, program: Program, name: str, linked: str | None) -> None:
        config = self._config(spec, program, held, name)
        if linked is not None:
            config["Image"] = linked
        with self.engine.client() as client:
            await client.containers.create(config, name=held.container.name)
        if linked is None:
            await held.container.add_links(self._links)
        await held.container.start()
        held.watching = asyncio.create_task(held.watch(), name=f"watch {name}")
        try:
            async with asyncio.timeout(_START_LIMIT):
                await held.until_waiting()
        except TimeoutError as error:
            raise RunLost("The supervisor says nothing.") from error
        held.folder.hide()

    def _config(self, spec: RunSpec, program: Program, held: Held, name: str) -> dict[str, Any]:
        """As for a run, but with the supervisor in the program's place."""
        network, folder = held.network, held.folder
        files = network.files_in(folder.place, spec.mounts) if network else ()
        config = create_config(
            replace(spec, environment={}, binary_message=None, mounts=(*spec.mounts, *files)),
            self.engine.settings,
            instance=self._instance,
            engine_socket=self.engine.socket,
            results=Mount(str(folder.shown), supervisor.PLACE, "ro"),
            network=network.mode if network else None,
        )
        del config["Labels"][EXECUTION_LABEL]
        config["Labels"][HELD_LABEL] = name
        # The very image that the program was read of.
        config["Image"] = program.image_id
        count = "no" if self.engine.settings.network == "host" else "count"
        config["Entrypoint"] = [supervisor.BUSYBOX, "sh", "-c", supervisor.SCRIPT, "supervisor", count]
        config["Cmd"] = []
        # What an engine runs beside the program would be killed with it, and its signal to stop would reach the supervisor.
        config["Healthcheck"] = {"Test": ["NONE"]}
        config["StopSignal"] = "SIGKILL"
        config["HostConfig"]["PidsLimit"] += 1
        return config
