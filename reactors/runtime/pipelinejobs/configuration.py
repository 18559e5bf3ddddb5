"""Where jobs are kept, and what opens the way there: the `pipelines` stanza of the settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Mapping

from reactors.runtime.daemon import Daemon
from reactors.runtime.settings import NAMESPACE

MANAGER = "pipelinejobs-manager"
INDEXER = "pipelinejobs-indexer"


@dataclass(frozen=True)
class Configuration:
    """What the stanza says, with the environment's secrets. `api_server` is the address that records show.

    `names_server` says that the stanza has that address; else the daemon knows it better.
    """

    daemon: Daemon
    api_server: str
    names_server: bool
    pipeline_uuid: str | None
    manager: str
    manager_nonce: str | None
    indexer: str
    indexer_nonce: str | None


def configured(
    pipelines: Mapping[str, Any] | None, daemon: Daemon | None = None, environment: Mapping[str, str] | None = None
) -> Configuration:
    """The configuration of a stanza.

    Nonces that it leaves out are those of `_REACTOR_PIPELINES_JOB_MANAGER_NONCE` and `…_JOB_INDEXER_NONCE`. Requests go to
    `_abaco_api_server`; `api_server` of the stanza is asked only where there is none, and then without the token, which is
    not meant for it.
    """
    environment = os.environ if environment is None else environment
    stanza = pipelines or {}
    api_server = str(stanza.get("api_server") or "").rstrip("/")
    if daemon is None or not daemon.base_url:
        own = environment.get("_abaco_api_server", "")
        daemon = Daemon(own, environment.get("_abaco_access_token", "")) if own else Daemon(api_server)

    def text(key: str) -> str | None:
        value = stanza.get(key) or environment.get(f"{NAMESPACE}_PIPELINES_{key}".upper())
        return str(value) if value else None

    return Configuration(
        daemon=daemon,
        api_server=api_server or daemon.base_url,
        names_server=bool(api_server),
        pipeline_uuid=text("pipeline_uuid"),
        manager=text("job_manager_id") or MANAGER,
        manager_nonce=text("job_manager_nonce"),
        indexer=text("job_indexer_id") or INDEXER,
        indexer_nonce=text("job_indexer_nonce"),
    )
