"""What every engine for batch jobs can do, whether it runs them on this machine or asks another service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from abacod.ids import TenantId, Username


@dataclass(frozen=True, slots=True)
class Submitted:
    """A batch job that an engine has accepted; `link` is its URL."""

    id: str
    link: str


class BatchEngine(Protocol):
    """Runs apps.

    Job definitions and app descriptions are Agave's (spec/pipelinejobs 7). The engine posts the job, as Agave describes
    one, to the URLs of the definition's `notifications`, with their macros replaced.
    """

    async def app(self, tenant: TenantId, app_id: str) -> Mapping[str, Any]:
        """The description of an app.

        Raises:
            AppNotFound: the engine has no such app, or it may not be used.
            BatchEngineFailed: it could not be asked.
        """
        ...

    async def submit(self, tenant: TenantId, username: Username, definition: Mapping[str, Any], key: str) -> Submitted:
        """Accept a job for the user. A second time with the same `key` gives the job of the first time.

        Raises:
            BatchJobRefused: the definition does not fit the app, or names what is not there; the message says why.
            BatchEngineFailed: the engine could not be reached, or failed.
        """
        ...
