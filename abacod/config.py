"""The settings: one frozen tree, read from a TOML file, then `ABACOD_*` variables, then command-line flags.

Each part of the daemon gets its own section, never the whole. Every setting has a unit (in its name or its help), a
default and one line of help, from which `docs/reference/settings.md` is generated. Only this module reads the environment;
`settings_file.py` reads the file. The modules `config_…` are parts of it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from abacod.config_batch import BatchSettings
from abacod.config_pipelines import PipelineSettings
from abacod.config_section import Positive, Seconds, Section
from abacod.config_workers import WorkerSettings


class ServerSettings(Section):
    """The HTTP server."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port to listen on; 0 picks a free one.")
    public_url: str | None = Field(
        None,
        description="Base URL under which users reach this server, shown in links. Default: http://HOST:PORT.",
    )
    listen_for_containers: bool = Field(
        True,
        description="Whether a server whose `host` is a loopback address also listens on this machine's address in the "
        "containers' network, at the same port. It does so only if containers are to use that address: see `runs.api_server`.",
    )
    max_body_bytes: Positive = Field(500_000_000, description="Largest binary message accepted, in bytes.")
    max_text_bytes: Positive = Field(10_000_000, description="Largest JSON or form body accepted, in bytes.")
    list_limit: Positive = Field(
        1000, description="Executions shown by an unfiltered list, in records; the newest ones, oldest first."
    )
    synchronous_limit_seconds: Annotated[float, Field(gt=0)] = Field(
        60, description="How long the sender of a synchronous message waits for the answer, in seconds."
    )
    drain_seconds: Seconds = Field(
        30,
        description="How long a stopping daemon waits for running executions, in seconds; what still runs then is left "
        "running and taken up again by the next start.",
    )


class AuthSettings(Section):
    """Accounts, tenants and tokens."""

    default_tenant: str = Field("dev", pattern=r"^[A-Za-z0-9.-]+$", description="Tenant of logins that name none.")
    tenants: tuple[str, ...] = Field((), description="Further tenants this server knows; users can be added to these.")
    hosts: dict[str, str] = Field({}, description="Tenant of a login by the host name it was sent to: name = tenant.")
    site_id: str = Field("local", description="Site id shown by /v3/sites and /v3/tenants.")
    access_token_ttl_seconds: Positive = Field(14_400, description="Life time of an access token, in seconds.")
    refresh_token_ttl_seconds: Positive = Field(31_536_000, description="Life time of a refresh token, in seconds.")
    issuers: dict[str, Path] = Field(
        {},
        description="Further token issuers that are trusted: claim `iss` = file with the issuer's RS256 public key (PEM).",
    )


class StoreSettings(Section):
    """The SQLite database."""

    readers: Positive = Field(3, description="Read-only connections, in threads.")
    busy_timeout_seconds: Seconds = Field(
        30, description="How long a write waits for another process (the command line, a backup), in seconds."
    )
    synchronous: Literal["FULL", "OFF"] = Field(
        "FULL", description="SQLite's `synchronous`. OFF loses messages when the machine loses power: for tests only."
    )


class RegistryLogin(Section):
    """A login for pulling images."""

    registry: str = Field(description="Host of the registry, as it begins an image name; `docker.io` for Docker Hub.")
    username: str = Field(description="User name at the registry.")
    password: SecretStr = Field(description="Password or access token at the registry.")


class EngineSettings(Section):
    """The container engine."""

    url: str | None = Field(
        None,
        description="Address of the engine (unix:///… or tcp://…). Default: DOCKER_HOST, then the sockets of Docker, "
        "rootless Docker and Podman.",
    )
    pull_policy: Literal["on_update", "always", "missing"] = Field(
        "on_update",
        description="When an image is pulled: once per registration or update of an actor, at every worker start, or only when "
        "it is not on this machine. If a pull fails and the image is on this machine, that one is used.",
    )
    registry_logins: tuple[RegistryLogin, ...] = Field((), description="Logins used for pulling, chosen by registry.")
    request_timeout_seconds: Seconds = Field(60, description="Limit of one short request to the engine, in seconds.")
    retry_max_seconds: Seconds = Field(
        30, description="Longest pause between two tries to reach an engine that does not answer, in seconds."
    )
    pids_limit: Positive = Field(4096, description="Processes and threads a container may have, in tasks.")
    log_file_mb: Positive = Field(
        50, description="Size at which the engine starts a new log file for a container, in MB; it keeps two."
    )
    network: str = Field("bridge", description="Network mode of the containers.")
    results_socket: Literal["auto", "link", "mount", "none"] = Field(
        "auto",
        description="How containers find the results socket: mounted, which costs nothing; by a link to a mounted directory, "
        "which starts containers slower; or not at all. With a mount, what still runs when the daemon starts again can send "
        "results only if the service manager kept the socket (`FileDescriptorStoreMax=`). `auto`: a mount where it does, "
        "else a link.",
    )
    leave_containers: bool = Field(False, description="Keep ended containers for inspection instead of removing them.")


class RunSettings(Section):
    """How executions run."""

    api_server: str | None = Field(
        None,
        pattern=r"^https?://[^\s/]+[^\s]*$",
        description="Base URL under which containers reach this server. Default: `server.public_url` if that is set and no "
        "loopback address; else this machine's address in the containers' network, if the server listens there.",
    )
    max_run_seconds: int = Field(-1, description="Time limit of an execution, in seconds; -1 for none.")
    stop_grace_seconds: Seconds = Field(
        10, description="Between SIGTERM and SIGKILL when an execution is halted or exceeds its time, in seconds."
    )
    start_attempts: Positive = Field(
        5, description="Tries to start a container before its execution ends in ERROR, in tries."
    )
    start_retry_seconds: Seconds = Field(
        1, description="Pause before the second try, doubled before each further one, in seconds."
    )
    max_cpus: int = Field(
        1_000_000_000, description="CPU quota of actors that set none, in billionths of a CPU; -1 for none."
    )
    mem_limit: str = Field("-1", description="Memory limit of actors that set none, as `512m` or `3g`; -1 for none.")
    default_token: bool = Field(
        False, description="Value of an actor's `token` where a registration does not give one."
    )
    mounts: tuple[str, ...] = Field(
        (),
        description="Mounts of every container, as `host:container:ro|rw`; {tenant_id}, {username}, {tasdir} are replaced.",
    )
    privileged_mounts: tuple[str, ...] = Field((), description="Further mounts of privileged actors, in the same form.")
    tasdirs: dict[str, str] = Field({}, description="Home directory that replaces {tasdir}, by user name.")
    actor_uid: int | None = Field(None, ge=0, description="User id of containers whose owner has none, as a number.")
    actor_gid: int | None = Field(None, ge=0, description="Group id that goes with `actor_uid`, as a number.")
    run_as_executor_tenants: tuple[str, ...] = Field((), description="Tenants whose actors may set `run_as_executor`.")


class LogSettings(Section):
    """The logs of executions."""

    max_bytes: Positive = Field(
        1_000_000, description="Largest log kept of one execution, in bytes; longer ones are cut there."
    )
    ttl_seconds: int = Field(
        43_200, description="Life time of a log where the actor sets no `log_ex`, in seconds; 0 for ever."
    )
    ttl_limit_seconds: Positive = Field(86_400, description="Longest life time an actor may ask for, in seconds.")
    flush_seconds: Annotated[float, Field(gt=0)] = Field(
        1, description="How often the log of a running execution is written to disk, in seconds."
    )


class ResultSettings(Section):
    """The results of executions."""

    ttl_seconds: Positive = Field(3_600, description="Life time of each result from its creation, in seconds.")
    max_per_execution: Positive = Field(
        1_000, description="Results kept of one execution, in results; further ones are dropped until some are fetched."
    )


class SearchSettings(Section):
    """Searches."""

    max_limit: Positive = Field(1000, description="Largest `limit` of a search, in records.")
    max_parameters: Positive = Field(100, description="Most conditions of one search, in query parameters.")
    timeout_seconds: Annotated[float, Field(gt=0)] = Field(
        10, description="How long a search may take before it is broken off, in seconds."
    )


class EventSettings(Section):
    """Events of actors."""

    keep_seconds: Seconds = Field(
        86_400, description="How long the record of an event is kept once it is delivered, in seconds."
    )


class WebhookSettings(Section):
    """Calls of webhooks."""

    timeout_seconds: Annotated[float, Field(gt=0)] = Field(
        10, description="Limit of one call, from the look-up of the host to the head of its answer, in seconds."
    )
    at_once: Positive = Field(50, description="Calls of all actors together at a time, in calls.")
    forbid_private_addresses: bool = Field(
        False,
        description="Refuse to call this machine, private networks and other addresses that are not public. Off, so that a "
        "webhook may be a service of the lab, or another actor's messages.",
    )


class DaemonLogSettings(Section):
    """The daemon's own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity that is written.")
    style: Literal["text", "json"] = Field("text", description="Readable lines, or one JSON object a line.")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="ABACOD_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(Path("abacod-data"), description="Directory of the database, the keys and binary messages.")
    compat: Literal["documented", "abaco"] = Field(
        "documented", description="`abaco` answers with the reference service's quirks, for old clients that need them."
    )
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    store: StoreSettings = StoreSettings()
    engine: EngineSettings = EngineSettings()
    runs: RunSettings = RunSettings()
    logs: LogSettings = LogSettings()
    results: ResultSettings = ResultSettings()
    workers: WorkerSettings = WorkerSettings()
    search: SearchSettings = SearchSettings()
    events: EventSettings = EventSettings()
    webhooks: WebhookSettings = WebhookSettings()
    pipelines: PipelineSettings = PipelineSettings()
    batch: BatchSettings = BatchSettings()
    daemon_log: DaemonLogSettings = DaemonLogSettings()

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def public_url(self) -> str:
        """The base URL shown in links, without a slash at its end."""
        return (self.server.public_url or f"http://{self.server.host}:{self.server.port}").rstrip("/")

    @property
    def database_path(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "abacod.db"

    @property
    def signing_key_path(self) -> Path:
        """The private key that signs tokens."""
        return self.data_dir / "signing-key.pem"

    @property
    def sealing_key_path(self) -> Path:
        """The key that encrypts the secrets in the database."""
        return self.data_dir / "sealing-key"

    @property
    def messages_dir(self) -> Path:
        """Where binary messages wait, a file each."""
        return self.data_dir / "messages"

    @property
    def runs_dir(self) -> Path:
        """Where the results sockets of running executions lie, in a directory each."""
        return self.data_dir / "runs"

    @property
    def workers_dir(self) -> Path:
        """Where what is shared with held containers lies, in a directory each."""
        return self.data_dir / "workers"

    @property
    def residents_dir(self) -> Path:
        """Where what is shared with resident processes lies, in a directory each."""
        return self.data_dir / "residents"

    @property
    def system_roots(self) -> dict[str, Path]:
        """Where each storage system's files lie, by its id; the default system is always there."""
        default = self.pipelines.default_system
        given = {name: system.root.expanduser().absolute() for name, system in self.pipelines.systems.items()}
        return {default: self.data_dir / "systems" / default, **given}

    @property
    def own_system_roots(self) -> list[Path]:
        """The roots of storage systems that lie in the data directory, which the daemon makes itself."""
        return [root for root in self.system_roots.values() if root.is_relative_to(self.data_dir)]

    @property
    def work_dir(self) -> Path:
        """Where the files of batch jobs are while they run, in a directory each."""
        return self.data_dir / "work"

    @property
    def lock_path(self) -> Path:
        """The file that a running daemon holds locked, so that a second one does not use the same data."""
        return self.data_dir / "abacod.lock"

    @property
    def tenants(self) -> tuple[str, ...]:
        """All tenants this server knows, the default one first."""
        return tuple(dict.fromkeys((self.auth.default_tenant, *self.auth.tenants)))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags win over the environment, the environment over the file."""
        # The file's values travel in with the flags; here they part again, so that the environment lies between the two.
        given: dict[str, Any] = dict(getattr(init_settings, "init_kwargs", {}))
        file_values = given.pop("_file", {})
        return (
            InitSettingsSource(settings_cls, given),
            env_settings,
            InitSettingsSource(settings_cls, file_values),
        )


class EngineEnvironment(NamedTuple):
    """What the environment tells about the place of the container engine; None where a variable is not set."""

    docker_host: str | None = None
    runtime_dir: str | None = None


def engine_environment() -> EngineEnvironment:
    """Read `DOCKER_HOST` and `XDG_RUNTIME_DIR`, which every tool that talks to an engine honours."""
    return EngineEnvironment(os.environ.get("DOCKER_HOST") or None, os.environ.get("XDG_RUNTIME_DIR") or None)
