"""Actors with resident processes on a real daemon: programs of the SDK, which is mounted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import reactors
from tests.daemon.process import Client

SDK: Final = Path(reactors.__file__).parent


def resident_settings(*mounts: str) -> str:
    """The TOML that gives containers the SDK at /sdk, and what `mounts` say."""
    sdk = [f"{SDK / name}:/sdk/reactors/{name}:ro" for name in ("__init__.py", "runtime")]
    return f"[runs]\nactor_uid = {os.getuid() or 1234}\nstop_grace_seconds = 1\nmounts = {json.dumps([*sdk, *mounts])}"


async def registered(client: Client, image: str, program: str, **more: object) -> str:
    """The id of an actor with the hint that runs the Python text."""
    variables = {"PROGRAM": program, "PYTHONPATH": "/sdk"}
    body = {"image": image, "default_environment": variables, "hints": ["resident"], **more}
    return str((await client.call("POST", "", json=body))["id"])
