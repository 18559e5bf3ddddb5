"""Making the containers that hold networks, and removing what was left of them."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog

from abacod.errors import EngineUnavailable, RunLost, StorageUnavailable
from abacod.runtime import busybox
from abacod.runtime.container import Container
from abacod.runtime.container_spec import INSTANCE_LABEL, normalised
from abacod.runtime.engine import Engine, EngineRefused
from abacod.runtime.joining.network import Network
from abacod.runtime.logstream import read_log
from abacod.runtime.run import RunSpec

_PREFIX: Final = "abacod-network-"

NETWORK_LABEL: Final = "abacod.network"
"""Label with the name of a network, on the container that holds it."""

_FILES: Final = ("hosts", "hostname", "resolv.conf")
"""What an engine makes in /etc of a container, and shares with those that join its network."""

_PLACE: Final = "/_abaco_run/busybox"
_SCRIPT: Final = f"for f in {' '.join(_FILES)}; do $0 wc -c </etc/$f; $0 cat /etc/$f; done; exec $0 sleep 2147483647"
"""Tells each file's length and content, and waits."""

# Nobody, whom every kernel knows by number.
_USER: Final = "65534:65534"
# The shell and one child; but before them the engine starts it with a program of several threads, which count too.
_PIDS: Final = 32
# How long a holder may take to tell its files, in seconds.
_START_LIMIT: Final = 20.0

logger = structlog.get_logger()


class _AllTold(Exception):
    """There is nothing more to be read."""


class NetworkMaker:
    """Makes networks on one engine, labelled with `instance`."""

    def __init__(self, engine: Engine, *, instance: str, program: Path, program_dir: Path) -> None:
        """`program` is the static busybox, which is copied into `program_dir`, made if it is missing."""
        self.engine = engine
        self.live: set[str] = set()
        """Names of those that this daemon uses now."""
        self._instance = instance
        self._program = program
        self._program_dir = program_dir

    async def made(self, spec: RunSpec) -> Network:
        """A new one, for the worker of this run.

        Raises:
            EngineUnavailable: the engine does not answer.
            EngineRefused: the engine does not make it.
            RunLost: its holder does not run.
            StorageUnavailable: there is no room.
        """
        name = uuid.uuid4().hex
        self.live.add(name)
        try:
            return await self._started(spec, name)
        except BaseException:
            await asyncio.shield(self.remove(self._container(name)))
            raise

    async def remove(self, container: Container) -> None:
        """Remove a holder; what the engine does not let go now is removed by a later sweep."""
        try:
            await container.remove()
        except (EngineUnavailable, EngineRefused) as error:
            logger.warning("container_left", container=container.name, reason=error.message)
        finally:
            self.live.discard(_name(container))

    async def sweep(self) -> None:
        """Remove the holders that this daemon does not use, nor any running container; raises as the engine does."""
        filters = json.dumps({"label": [f"{INSTANCE_LABEL}={self._instance}"]})
        with self.engine.client() as client:
            found = await client.containers.list(all=True, filters=filters)
        unused = {
            each.id: name for each in found if (name := each["Labels"].get(NETWORK_LABEL)) not in {None, *self.live}
        }
        if not unused:
            return
        # Without its holder a container that runs, as an earlier daemon may have left one, would lose its network. Not every
        # engine tells the network in a list.
        for each in found:
            if each["State"] != "exited" and NETWORK_LABEL not in each["Labels"]:
                with suppress(RunLost):
                    unused.pop((await Container(self.engine, each.id).look()).network.removeprefix("container:"), None)
        for name in unused.values():
            # Looked at again: much may have happened while the engine answered.
            if name not in self.live:
                await self.remove(self._container(name))

    # --- how

    async def _started(self, spec: RunSpec, name: str) -> Network:
        container = self._container(name)
        try:
            placed = await asyncio.to_thread(self._placed)
        except OSError as error:
            raise StorageUnavailable(f"There is no room for busybox: {error.strerror}.") from error
        with self.engine.client() as client:
            await client.containers.create(self._config(spec, placed, name), name=container.name)
        await container.start()
        try:
            async with asyncio.timeout(_START_LIMIT):
                files = await self._told(container)
        except TimeoutError as error:
            raise RunLost("The container that is to hold a network says nothing.") from error
        seen = await container.look()
        return Network(self.engine, container, seen.id, seen.pid, files)

    async def _told(self, container: Container) -> Mapping[str, bytes]:
        told = bytearray()
        files: Mapping[str, bytes] | None = None

        async def take(data: bytes) -> None:
            nonlocal files
            told.extend(data)
            files = read_files(bytes(told))
            if files is not None:
                raise _AllTold

        with suppress(_AllTold):
            await read_log(self.engine, container.name, take, follow=True)
        if files is None:
            raise RunLost("The container that is to hold a network does not run.")
        return files

    def _placed(self) -> Path:
        self._program_dir.mkdir(parents=True, exist_ok=True)
        return busybox.placed(self._program, self._program_dir)

    def _container(self, name: str) -> Container:
        return Container(self.engine, f"{_PREFIX}{name}")

    def _config(self, spec: RunSpec, program: Path, name: str) -> dict[str, Any]:
        """A container that may do nothing, of the actor's own image, for that one is here."""
        return {
            "Image": normalised(spec.image),
            "Entrypoint": [_PLACE, "sh", "-c", _SCRIPT, _PLACE],
            "Cmd": [],
            "User": _USER,
            "WorkingDir": "/",
            "Healthcheck": {"Test": ["NONE"]},
            "StopSignal": "SIGKILL",
            "Labels": {INSTANCE_LABEL: self._instance, NETWORK_LABEL: name, "abacod.worker": spec.worker_id},
            "HostConfig": {
                "Mounts": [{"Type": "bind", "Source": str(program), "Target": _PLACE, "ReadOnly": True}],
                "NetworkMode": self.engine.settings.network,
                "LogConfig": {"Type": "json-file", "Config": {}},
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "ReadonlyRootfs": True,
                "PidsLimit": _PIDS,
                "Init": False,
            },
        }


def _name(container: Container) -> str:
    return container.name.removeprefix(_PREFIX)


def read_files(told: bytes) -> Mapping[str, bytes] | None:
    """What a holder has told of its files, by name; None as long as it has not told all."""
    files = {}
    for name in _FILES:
        length, newline, told = told.partition(b"\n")
        if not newline or not length.strip().isdigit() or len(told) < int(length):
            return None
        files[name], told = told[: int(length)], told[int(length) :]
    return files
