"""The actors that the server registers itself."""

from __future__ import annotations

from typing import Final

PIPELINES_MANAGER: Final = "pipelines-manager"
JOBS_MANAGER: Final = "pipelinejobs-manager"
INDEXER: Final = "pipelinejobs-indexer"
AGAVE_PROXY: Final = "pipelinejobs-agave-proxy"

APP: Final = "app:"
"""What the name of an actor begins with that runs an app; the app's id follows."""
