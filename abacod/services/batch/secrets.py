"""Secrets of the settings that lie in files."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydantic import SecretStr

from abacod.errors import BatchEngineFailed


async def secret(given: SecretStr | None, file: Path | None, setting: str) -> str:
    """The secret itself, or what the file holds now; `setting` is the name of the file's setting.

    Raises:
        BatchEngineFailed: the file cannot be read, or is empty.
    """
    if given is not None or file is None:
        return given.get_secret_value() if given is not None else ""
    return await asyncio.to_thread(secret_in, file, setting)


def secret_in(file: Path, setting: str) -> str:
    """What a file holds, without white space around it. Blocks; raises as `secret`."""
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BatchEngineFailed("The login at the batch service cannot be read.", hint=f"{setting}: {error}") from error
    if not text:
        raise BatchEngineFailed("The login at the batch service cannot be read.", hint=f"{setting}: {file} is empty")
    return text
