"""The built-in reactors: what each does with a message. They run in threads of the daemon and reach it through ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reactors.builtin import agave_proxy, indexer, jobs_manager, pipelines_manager
from reactors.ports import Handler

HANDLERS: Final[Mapping[str, Handler]] = {
    "pipelinejobs-manager": jobs_manager.handle,
    "pipelines-manager": pipelines_manager.handle,
    indexer.NAME: indexer.handle,
    "pipelinejobs-agave-proxy": agave_proxy.handle,
}
"""The handlers by the names of their reactors."""
