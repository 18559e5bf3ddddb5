"""The command `abaco`, run as a user runs it, on a served daemon."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main
import typer.testing
from structlog.testing import capture_logs
from typer.testing import CliRunner

from abacod.client.main import app
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import Client, Serving, serving

COMMAND: Final = typer.main.get_command(app)
"""Made once: it takes as long as some commands."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    bytes_out: bytes
    err: str

    @property
    def out(self) -> str:
        """Standard output as text."""
        return self.bytes_out.decode()

    @property
    def result(self) -> Any:
        """What was printed as JSON."""
        return json.loads(self.bytes_out)


class Abaco:
    """Runs `abaco`; each call is a new process as far as the command can tell."""

    def now(self, *arguments: str, typed: bytes = b"") -> Outcome:
        """Run a command; how it ended."""
        ended = CliRunner().invoke(app, list(arguments), input=typed, prog_name="abaco")
        assert isinstance(ended.exception, SystemExit | None), ended.exception
        return Outcome(ended.exit_code, ended.stdout_bytes, ended.stderr)

    async def __call__(self, *arguments: str, typed: bytes = b"") -> Outcome:
        """Run a command that must end well, beside the daemon in this process."""
        ended = await self.fails(*arguments, typed=typed)
        assert ended.code == 0, ended
        return ended

    async def fails(self, *arguments: str, typed: bytes = b"") -> Outcome:
        """Run a command, whatever comes of it, beside the daemon in this process."""
        return await asyncio.to_thread(self.now, *arguments, typed=typed)


@pytest.fixture(autouse=True)
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files of accounts lie in this test, and nothing else of the user's surroundings."""
    for name in [name for name in os.environ if name.startswith("ABACO_") or name == "NO_COLOR"]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(typer.testing, "_get_command", lambda app: COMMAND)
    home = tmp_path / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    return home


@pytest.fixture
def nobody() -> Abaco:
    """`abaco` of somebody who is not logged in."""
    return Abaco()


@pytest.fixture
async def served(tmp_path: Path, signing_key: SigningKey) -> AsyncIterator[Serving]:
    """A daemon with the settings that are default, but for small limits."""
    # The daemon's log would go to the standard output that the command has for a while.
    with capture_logs():
        async with serving(tmp_path, signing_key) as running:
            yield running


@pytest.fixture
async def alice(served: Serving) -> Client:
    """A user, who is an administrator so that everything is open to her."""
    return await served.user("alice", "abaco_admin")


@pytest.fixture
async def as_user(served: Serving, monkeypatch: pytest.MonkeyPatch) -> Callable[[Client], Abaco]:
    """Makes `abaco` act as a user."""

    def act(client: Client) -> Abaco:
        monkeypatch.setenv("ABACO_URL", served.url)
        monkeypatch.setenv("ABACO_TOKEN", str(client.token))
        return Abaco()

    return act


@pytest.fixture
async def abaco(alice: Client, as_user: Callable[[Client], Abaco]) -> Abaco:
    """`abaco` of Alice."""
    return as_user(alice)
