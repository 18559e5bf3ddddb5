"""Images for tests on a real engine, made on the spot from one static binary: no registry is needed."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import aiodocker

from abacod.clock import SystemClock
from abacod.config import EngineSettings, engine_environment
from abacod.runtime.engine import Engine
from tests.programs import BEHAVIOURS

_BUSYBOX: Final = Path("/bin/busybox")

_BASE: Final = "base"
SHELL: Final = "shell"
"""Name of the image that runs the script in its variable `SCRIPT`."""


def engine() -> Engine:
    """The engine of this machine."""
    return Engine(EngineSettings(request_timeout_seconds=30), engine_environment(), SystemClock())


def image_name(prefix: str, name: str) -> str:
    """The image of a behaviour, in the set of images with that prefix."""
    return f"{prefix}/{name}"


async def build_images(prefix: str) -> None:
    """Make all images; `prefix` keeps test sessions on one engine apart."""
    here = engine()
    try:
        with here.client() as client:
            await _build(client, image_name(prefix, _BASE), "FROM scratch\nCOPY bin /bin\n", with_busybox=True)
            commands = {each.name: each.command for each in BEHAVIOURS}
            commands[SHELL] = ("/bin/sh", "-c", 'eval "$SCRIPT"')
            for name, command in commands.items():
                dockerfile = f"FROM {image_name(prefix, 'base')}\nCMD {json.dumps(command)}\n"
                await _build(client, image_name(prefix, name), dockerfile)
    finally:
        await here.close()


async def remove_images(prefix: str) -> None:
    """Remove the images with that prefix."""
    here = engine()
    try:
        with here.client() as client:
            for name in [each.name for each in BEHAVIOURS] + [SHELL, _BASE]:
                # The last of the others may take the base along.
                with suppress(aiodocker.DockerError):
                    await client.images.delete(image_name(prefix, name), force=True)
    finally:
        await here.close()


async def remove_containers(label: str) -> None:
    """Remove all containers with the label `name=value`, and the images with links that were made for them."""
    here = engine()
    try:
        with here.client() as client:
            for container in await client.containers.list(all=True, filters=json.dumps({"label": [label]})):
                await container.delete(force=True, v=True)
            for image in await client.images.list(filters={"label": [label]}):
                await client.images.delete(image["Id"], force=True, noprune=True)
    finally:
        await here.close()


async def _build(client: aiodocker.Docker, name: str, dockerfile: str, *, with_busybox: bool = False) -> None:
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        add_file(tar, "Dockerfile", dockerfile.encode())
        if with_busybox:
            add_busybox(tar)
    context.seek(0)
    await client.images.build(fileobj=context, encoding="identity", tag=name)


def add_file(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Put a file with this content into the archive."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def add_busybox(tar: tarfile.TarFile) -> None:
    """Put `/bin/sh` and its companions into the archive."""
    tar.add(_BUSYBOX.resolve(), "bin/busybox")
    applets = subprocess.run([_BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type = tarfile.SYMTYPE
            entry.linkname = "busybox"
            tar.addfile(entry)
