"""Images: brought to this machine when needed, each one once however many ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import structlog

from abacod.clock import Clock
from abacod.errors import AbacoError, EngineUnavailable, ImageMissing
from abacod.runtime.container_spec import is_reference, normalised, registry, with_registry
from abacod.runtime.engine import Engine, EngineRefused

# How old what is known of an image may be, in seconds.
_KNOWN: Final = 1.0

logger = structlog.get_logger()

_NOT_THERE: Final = ("not found", "manifest unknown", "pull access denied", "does not exist")
"""How registries say that there is no such image; a private one is not told apart from a missing one."""


@dataclass(slots=True)
class _Pull:
    """The pull of one image and those who wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    finished: int = 0
    failure: AbacoError | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """What an image runs: entrypoint and command together, and its variables as `NAME=value`; `image_id` names its content."""

    image_id: str
    words: tuple[str, ...]
    environment: tuple[str, ...]


class ImageIds:
    """Which contents images have now, asked for at most once a second."""

    def __init__(self, program_of: Callable[[str], Awaitable[Program]], clock: Clock) -> None:
        """`program_of` asks the engine."""
        self._program_of = program_of
        self._clock = clock
        self._known: dict[str, tuple[float, str]] = {}

    async def of(self, image: str) -> str | None:
        """The id of the image's content; None if the engine refuses to tell.

        Raises:
            EngineUnavailable: the engine does not answer.
        """
        now = self._clock.monotonic()
        # Only images of the moment are of use.
        self._known = {name: each for name, each in self._known.items() if now - each[0] <= _KNOWN}
        known = self._known.get(image)
        if known is None:
            try:
                known = now, (await self._program_of(image)).image_id
            except EngineRefused:
                return None
            self._known[image] = known
        return known[1]


class Images:
    """The images of this machine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pulls: dict[str, _Pull] = {}

    async def prepare(self, image: str, *, fresh: bool) -> None:
        """Make sure that `image` is here; see `Runtime.prepare`. Simultaneous calls for one image pull it once.

        With the policy `always` each call pulls, with `on_update` a `fresh` one does; if that fails, an image that is
        here is used.

        Raises:
            ImageMissing: it is not here and could not be pulled.
            EngineUnavailable: the engine does not answer.
        """
        if not is_reference(image):
            raise ImageMissing(f"There was an error pulling the image: {image!r} is not an image reference.")
        policy = self._engine.settings.pull_policy
        wanted = policy == "always" or (policy == "on_update" and fresh)
        if not wanted and await self._is_here(image):
            return
        async with self._waiting_for(normalised(image)) as pull:
            before = pull.finished
            async with pull.lock:
                # Whoever waited here while another one pulled shares its result. If that one was cancelled there is
                # none, and the next in the queue pulls.
                if pull.finished == before:
                    pull.failure = await self._failure_of_pull(image)
                    pull.finished += 1
                failure = pull.failure
        if failure is not None:
            raise type(failure)(failure.message, hint=failure.hint)

    @asynccontextmanager
    async def _waiting_for(self, name: str) -> AsyncIterator[_Pull]:
        pull = self._pulls.setdefault(name, _Pull())
        pull.waiting += 1
        try:
            yield pull
        finally:
            pull.waiting -= 1
            if not pull.waiting:
                del self._pulls[name]

    async def _failure_of_pull(self, image: str) -> AbacoError | None:
        """Pull, or make do with what is here; the error if neither works."""
        try:
            await self._pull(image)
            problem = f"There was an error pulling the image: the pull of {image} ended early."
        except EngineUnavailable as error:
            return error
        except EngineRefused as error:
            problem = _problem(image, error)
        try:
            here = await self._is_here(image)
        except EngineUnavailable as error:
            return error
        if not here:
            return ImageMissing(f"{problem} It is not on this machine either.")
        return None

    async def _pull(self, image: str) -> None:
        host = registry(image)
        login = next((each for each in self._engine.settings.registry_logins if each.registry == host), None)
        auth = None if login is None else {"username": login.username, "password": login.password.get_secret_value()}
        logger.info("image_pull", image=image, registry=host, as_user=login and login.username)
        # The client takes a login only for a name with a host.
        name = normalised(image if login is None else with_registry(image))
        with self._engine.client() as client:
            async for _ in client.images.pull(name, auth=auth, stream=True):
                pass

    async def show(self, image: str) -> Program:
        """What an image on this machine runs; raises `EngineRefused`, e.g. 404, and `EngineUnavailable`."""
        with self._engine.client() as client:
            shown = await client.images.inspect(normalised(image))
        config = shown.get("Config") or {}
        words = (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
        return Program(str(shown["Id"]), words, tuple(config.get("Env") or ()))

    async def _is_here(self, image: str) -> bool:
        try:
            with self._engine.client() as client:
                await client.images.inspect(normalised(image))
        except EngineRefused as error:
            if error.engine_status in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
                return False
            raise
        return True


def _problem(image: str, error: EngineRefused) -> str:
    """The words of spec/actors-api 4.6 for a pull that failed."""
    logger.warning("image_pull_failed", image=image, reason=error.message)
    # A name server that does not know the registry says `no such host`: that is the registry's absence, not the image's.
    if any(sign in error.message for sign in _NOT_THERE) and "no such host" not in error.message:
        return f"Image {image} was not found on the public registry."
    return f"There was an error pulling the image: {error.message}."
