"""One container on the engine, by its name: look, start, stop, remove, and what the engine's refusals mean."""

from __future__ import annotations

import io
import math
import tarfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from abacod.clock import isoformat
from abacod.errors import ImageMissing, RunLost, RunNotStarted, RunRejected, StartFailed
from abacod.runtime.engine import Engine, EngineRefused

STATE_KEYS: Final = (
    "Status",
    "Running",
    "Paused",
    "Restarting",
    "OOMKilled",
    "Dead",
    "Pid",
    "ExitCode",
    "Error",
    "StartedAt",
    "FinishedAt",
)
"""What of the engine's state object is shown (spec/actors-api 4.2)."""

_NEVER: Final = "0001-01-01T00:00:00.000Z"

_WRONG_WITH_THE_RUN: Final = (
    "unable to find user",
    "unable to find group",
    "no matching entries in",
    "can't contain null",
    "executable file not found",
    "error during container init",
)
"""What an engine reports with status 500 although it lies in the image or the message: trying again cannot help."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A container as the engine saw it at one moment."""

    id: str
    state: Mapping[str, Any]
    network: str = ""
    """The network mode it was made with."""

    @property
    def pid(self) -> int:
        """The number of its process 1 on the engine's machine, 0 if it has none."""
        return int(self.state.get("Pid") or 0)

    @property
    def joins(self) -> bool:
        """Whether it has the network of another container."""
        return self.network.startswith("container:")

    @property
    def started_at(self) -> datetime | None:
        """When it was started last, None if it never was."""
        return _moment(self.state.get("StartedAt"))

    @property
    def finished_at(self) -> datetime | None:
        """When it ended, None if it has not."""
        return _moment(self.state.get("FinishedAt"))

    @property
    def running(self) -> bool:
        """Whether it has processes; a paused one has."""
        return bool(self.state.get("Running"))

    @property
    def never_started(self) -> bool:
        """Whether it was created and no more; after a failed start too, when nothing of it ever ran."""
        return self.started_at is None and not self.running

    @property
    def final_state(self) -> dict[str, Any]:
        """The state in the form of spec/actors-api 4.2."""
        shown = {key: self.state.get(key) for key in STATE_KEYS}
        for key, moment in (("StartedAt", self.started_at), ("FinishedAt", self.finished_at)):
            shown[key] = _NEVER if moment is None else isoformat(moment)
        return shown


def ended_state(exit_code: int, started: datetime, finished: datetime, *, oom_killed: bool) -> dict[str, object]:
    """What an engine would show of a container that ended so (spec/actors-api 4.2)."""
    return {
        "Status": "exited",
        "Running": False,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": oom_killed,
        "Dead": False,
        "Pid": 0,
        "ExitCode": exit_code,
        "Error": "",
        "StartedAt": isoformat(started),
        "FinishedAt": isoformat(finished),
    }


class Container:
    """What can be done with one container. Every method may raise `EngineUnavailable`."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self._engine = engine

    async def look(self) -> Seen:
        """How it is now; raises `RunLost` when there is none."""
        try:
            with self._engine.client() as client:
                data = await client.containers.container(self.name).show()
        except EngineRefused as error:
            if error.engine_status == HTTPStatus.NOT_FOUND:
                raise RunLost("The container vanished with its engine, or somebody removed it.") from error
            raise
        return Seen(data["Id"], data["State"], (data.get("HostConfig") or {}).get("NetworkMode") or "")

    async def add_links(self, links: Mapping[str, str]) -> None:
        """Make symbolic links in it, targets by path, before its start; raises `EngineRefused`."""
        with self._engine.client() as client:
            unpack: Callable[[str, bytes], Awaitable[None]] = client.containers.container(self.name).put_archive
            await unpack("/", _archived_links(links))

    async def start(self) -> None:
        """Start it; raises `EngineRefused`."""
        with self._engine.client() as client:
            await client.containers.container(self.name).start()

    async def execute(self, command: Sequence[str]) -> None:
        """Run a command in it beside what runs, as the same user, without waiting for its end; fine for none that runs."""
        try:
            with self._engine.client() as client:
                run = await client.containers.container(self.name).exec(list(command), stdout=False, stderr=False)
                start: Callable[..., Awaitable[object]] = run.start
                await start(detach=True)
        except EngineRefused as error:
            if error.engine_status not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise

    async def ended(self) -> None:
        """Wait for its end; returns too when the engine gives up waiting, so look afterwards."""
        try:
            with self._engine.client() as client:
                await client.containers.container(self.name).wait()
        except EngineRefused as error:
            if error.engine_status != HTTPStatus.NOT_FOUND:
                raise

    async def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds; returns when it has ended. Fine for none and for an ended one."""
        try:
            with self._engine.client() as client:
                await client.containers.container(self.name).stop(t=math.ceil(grace))
        except EngineRefused as error:
            if error.engine_status != HTTPStatus.NOT_FOUND:
                raise

    async def remove(self, *, force: bool = True) -> bool:
        """Remove it with its anonymous volumes; without `force` only if it does not run. Returns whether it is gone."""
        try:
            with self._engine.client() as client:
                await client.containers.container(self.name).delete(force=force, v=True)
        except EngineRefused as error:
            if error.engine_status == HTTPStatus.CONFLICT and "already in progress" not in error.message:
                return False
            if error.engine_status not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise
        return True


def not_created(error: EngineRefused, image: str) -> RunNotStarted:
    """What the engine's refusal to create a container means (spec/actors-api 4.6)."""
    if error.engine_status == HTTPStatus.NOT_FOUND and "image" in error.message.lower():
        return ImageMissing(f"Image {image} is not on this machine.")
    if error.engine_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return StartFailed(f"The engine failed to create the container: {error.message}")
    return RunRejected(f"The engine refuses to create the container: {error.message}")


def not_started(error: EngineRefused) -> RunNotStarted:
    """What the engine's refusal to start a container means."""
    # A container that is gone or being removed says nothing about the run itself.
    passing = "No such container" in error.message or error.engine_status == HTTPStatus.CONFLICT
    hopeless = error.engine_status < HTTPStatus.INTERNAL_SERVER_ERROR or any(
        sign in error.message for sign in _WRONG_WITH_THE_RUN
    )
    if hopeless and not passing:
        return RunRejected(f"The engine refuses to start the container: {error.message}")
    return StartFailed(f"The engine failed to start the container: {error.message}")


def _archived_links(links: Mapping[str, str]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, target in links.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(entry)
    return archive.getvalue()


def _moment(text: str | None) -> datetime | None:
    """An engine's time, cut to milliseconds as all times are; None for its year 1, which stands for never."""
    if not text or text.startswith("0001-"):
        return None
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
