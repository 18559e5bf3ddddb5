"""What a reader of Abaco's user documentation types: in a shell, in Python, and into the folder of an image."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import tarfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiodocker

from tests.daemon.process import DaemonProcess
from tests.docker_images import add_file, engine

HOST: Final = "https://tacc.tapis.io"
"""The server that the documentation's examples name."""

PASSWORD: Final = "your password"

# The reader's log in, and a way to wait; `seen` is what the test is told.
_LOGIN: Final = f"""
import json, time
from tapipy.tapis import Tapis
t = Tapis(base_url='{HOST}',
username='jstubbs',
password='{PASSWORD}')
t.get_tokens()
def until(status, look):
    while look().status != status:
        time.sleep(0.05)
    return look()
seen = {{}}
"""


@dataclass
class Reader:
    """Somebody at a terminal who has only changed the server, the ids and the images of what is printed."""

    daemon: DaemonProcess
    token: str
    folder: Path
    words: dict[str, str] = field(default_factory=dict)
    """What is typed instead of a printed word, such as an id."""

    async def shell(self, typed: str, **words: str) -> str:
        """What the command prints; it must succeed."""
        return (await self._run("bash", "-c", self._own(typed, words))).decode()

    async def curl(self, typed: str, **words: str) -> Any:
        """The envelope that the command prints."""
        return json.loads(await self.shell(typed, **words))

    async def result(self, typed: str, **words: str) -> Any:
        """The `result` of a call that must succeed."""
        envelope = await self.curl(typed, **words)
        assert envelope["status"] == "success", envelope
        return envelope["result"]

    async def python(self, typed: str, **words: str) -> dict[str, Any]:
        """What a program has put into its `seen`, after a log in."""
        program = self._own(f"{_LOGIN}\n{typed}\nprint(json.dumps(seen))\n", words)
        seen: dict[str, Any] = json.loads((await self._run(sys.executable, "-c", program)).splitlines()[-1])
        return seen

    async def get(self, path: str) -> Any:
        """The `result` of a GET below `/v3/actors`."""
        return await self.result(f'curl -gs -H "X-Tapis-Token: $TOKEN" "{HOST}/v3/actors{path}"')

    async def register(self, image: str, **more: Any) -> str:
        """The id of a new actor that is ready."""
        body = json.dumps({"image": image, **more})
        call = f"curl -s -H \"X-Tapis-Token: $TOKEN\" -H 'Content-Type: application/json' -d '{body}' {HOST}/v3/actors"
        actor_id = str((await self.result(call))["id"])
        await self.until(f"/{actor_id}", lambda actor: actor["status"] == "READY")
        return actor_id

    async def until(self, path: str, is_so: Callable[[Any], bool], seconds: float = 20) -> Any:
        """Ask until it is so."""
        end = time.monotonic() + seconds
        while not is_so(found := await self.get(path)):
            assert time.monotonic() < end, found
        return found

    def _own(self, typed: str, words: dict[str, str]) -> str:
        """With placeholders such as `<actor_id>` and other printed words replaced by the reader's own."""
        for name, value in words.items():
            typed = typed.replace(f"<{name}>", value)
        for printed, own in {**self.words, HOST: self.daemon.url}.items():
            typed = typed.replace(printed, own)
        return typed

    async def _run(self, *command: str) -> bytes:
        program = await asyncio.create_subprocess_exec(
            *command,
            env=os.environ | {"TOKEN": self.token},
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, trouble = await program.communicate()
        assert program.returncode == 0, (command[-1], output, trouble)
        return output


async def build(name: str, files: dict[str, str]) -> None:
    """`docker build -t name .` in a folder with these files."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for file, text in files.items():
            add_file(tar, file, text.encode())
    context.seek(0)
    here = engine()
    try:
        with here.client() as client:
            await client.images.build(fileobj=context, encoding="identity", tag=name)
    finally:
        await here.close()


async def remove(names: list[str]) -> None:
    """Remove the images, where they are there."""
    here = engine()
    try:
        with here.client() as client:
            for name in names:
                with suppress(aiodocker.DockerError):
                    await client.images.delete(name, force=True)
    finally:
        await here.close()
