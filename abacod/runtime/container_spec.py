"""From what is to run to what the engine is asked for. Pure: the same spec gives the same container."""

from __future__ import annotations

import re
from typing import Any, Final

from abacod.config import EngineSettings
from abacod.ids import ExecutionId
from abacod.models.actor import Mount
from abacod.runtime.run import RunSpec

INSTANCE_LABEL: Final = "abacod.instance"
"""Label with the id of the data directory a container belongs to: two daemons on one engine never touch each other's."""

EXECUTION_LABEL: Final = "abacod.execution"

BINARY_MESSAGE: Final = "/_abaco_binary_data"
"""Where a container finds a binary message (spec/actors-api 5.2)."""

DOCKER_HUB: Final = "docker.io"

_ENGINE_SOCKET: Final = "/var/run/docker.sock"
_LOG_FILES: Final = "2"
_WORD: Final = "[a-zA-Z0-9_][a-zA-Z0-9_.-]*"
_REFERENCE: Final = re.compile(f"{_WORD}([/:@]{_WORD})*")


def container_name(execution_id: ExecutionId) -> str:
    """The name of an execution's container: no second one can be made while the first is there."""
    return f"abacod-{execution_id}"


def create_config(
    spec: RunSpec,
    settings: EngineSettings,
    *,
    instance: str,
    engine_socket: str,
    results: Mount | None = None,
    network: str | None = None,
) -> dict[str, Any]:
    """The body of the engine's create request for `spec` (spec/actors-api 5).

    `instance` is the id of the data directory; `engine_socket` is the engine's socket on the host, which privileged
    containers get; `results` is the mount through which results are sent; `network` is the network
    mode, None for that of the settings. There is no terminal and no standard input, nor
    arguments unless the spec has some (5.6).
    """
    config: dict[str, Any] = {
        "Image": normalised(spec.image),
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        "Labels": {
            INSTANCE_LABEL: instance,
            EXECUTION_LABEL: spec.execution_id,
            "abacod.actor": spec.actor_id,
            "abacod.worker": spec.worker_id,
            "abacod.tenant": spec.tenant,
        },
        "Tty": False,
        "OpenStdin": False,
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": _host_config(spec, settings, engine_socket, results),
    }
    if network is not None:
        config["HostConfig"]["NetworkMode"] = network
    if spec.user is not None:
        config["User"] = spec.user
    if spec.entrypoint is not None:
        config["Entrypoint"] = list(spec.entrypoint)
    if spec.command is not None:
        config["Cmd"] = list(spec.command)
    if spec.working_dir is not None:
        config["WorkingDir"] = spec.working_dir
    return config


def _host_config(spec: RunSpec, settings: EngineSettings, engine_socket: str, results: Mount | None) -> dict[str, Any]:
    host: dict[str, Any] = {
        "Mounts": _mounts(spec, engine_socket, results),
        "NetworkMode": settings.network,
        "PidsLimit": settings.pids_limit,
        # Logs are read back from the engine after a lost connection, whatever log driver it is set to otherwise.
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": f"{settings.log_file_mb}m", "max-file": _LOG_FILES},
        },
        "AutoRemove": False,
        "Init": False,
        "Privileged": spec.privileged,
    }
    if not spec.privileged:
        host["SecurityOpt"] = ["no-new-privileges"]
    if spec.memory_bytes is not None:
        # Without the second one a container may use as much swap again, and the limit is none.
        host["Memory"] = host["MemorySwap"] = spec.memory_bytes
    if spec.nano_cpus is not None:
        host["NanoCpus"] = spec.nano_cpus
    return host


def _mounts(spec: RunSpec, engine_socket: str, results: Mount | None) -> list[dict[str, Any]]:
    mounts = list(spec.mounts)
    if results is not None:
        mounts.append(results)
    if spec.binary_message is not None:
        mounts.append(Mount(str(spec.binary_message), BINARY_MESSAGE, "ro"))
    if spec.privileged and all(mount.container_path != _ENGINE_SOCKET for mount in mounts):
        mounts.append(Mount(engine_socket, _ENGINE_SOCKET, "rw"))
    # `Mounts`, not `Binds`: a directory that is missing on the host is refused instead of made there, owned by root.
    return [
        {
            "Type": "bind",
            "Source": mount.host_path,
            "Target": mount.container_path,
            "ReadOnly": mount.mode == "ro",
        }
        for mount in mounts
    ]


def is_reference(image: str) -> bool:
    """Whether `image` has only characters of image references; anything else must not become part of an address."""
    return _REFERENCE.fullmatch(image) is not None


def normalised(image: str) -> str:
    """The image reference with the tag `latest` where it has neither tag nor digest (spec/actors-api 5.6)."""
    return image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"


def registry(image: str) -> str:
    """The host of the registry that an image reference names, `docker.io` where it names none."""
    host, slash, _ = image.partition("/")
    # The engine's own rule: the first part is a host if it could not be a user name of Docker Hub.
    names_host = bool(slash) and ("." in host or ":" in host or host == "localhost")
    return host if names_host and host != "index.docker.io" else DOCKER_HUB


def with_registry(image: str) -> str:
    """The image reference with its registry's host spelt out, as a login needs it: `busybox` is at `docker.io`."""
    host, _, rest = image.partition("/")
    if host in (DOCKER_HUB, "index.docker.io"):
        return f"{DOCKER_HUB}/{rest}"
    if registry(image) != DOCKER_HUB:
        return image
    return f"{DOCKER_HUB}/{image}" if "/" in image else f"{DOCKER_HUB}/library/{image}"
