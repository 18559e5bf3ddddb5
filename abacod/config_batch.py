"""The settings of the services that run batch jobs for this server; a part of `config.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from abacod.config_section import Positive, Section

_BASE_URL = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$"
_Limit = Annotated[float, Field(gt=0)]


class ServiceLogin(Section):
    """How the server shows a batch service who it is: by a token, or by a name and a password that get it tokens.

    A secret is given as it is or as a file, which is read whenever it is needed, without the white space around it.
    """

    token: SecretStr | None = Field(None, description="Access token that is sent as it is, instead of a login.")
    token_file: Path | None = Field(
        None, description="File with the access token; read again when the service refuses the one that was in it."
    )
    username: str | None = Field(None, min_length=1, description="User whom the batch jobs belong to.")
    password: SecretStr | None = Field(None, description="Password of that user.")
    password_file: Path | None = Field(None, description="File with that password.")

    @model_validator(mode="after")
    def _told_once(self) -> Self:
        for name in type(self).model_fields:
            if name.endswith("_file") and getattr(self, name) and getattr(self, name.removesuffix("_file")):
                raise ValueError(f"give {name.removesuffix('_file')} or {name}, not both")
        return self

    def has_token(self) -> bool:
        """Whether a fixed token is given."""
        return bool(self.token or self.token_file)

    def has_password(self) -> bool:
        """Whether a user and a password are given."""
        return bool(self.username and (self.password or self.password_file))


class AgaveSettings(ServiceLogin):
    """Apps and batch jobs of an Agave service (version 2); used if `base_url` is set."""

    base_url: str | None = Field(
        None, pattern=_BASE_URL, description="Address of the service, as https://api.tacc.cloud, without /apps/v2."
    )
    client_key: str | None = Field(None, min_length=1, description="Key of the OAuth client that asks for tokens.")
    client_secret: SecretStr | None = Field(None, description="Secret of that client.")
    client_secret_file: Path | None = Field(None, description="File with that secret.")
    timeout_seconds: _Limit = Field(15, description="Limit of one request to the service, in seconds.")

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        has_client = self.client_key and (self.client_secret or self.client_secret_file)
        if self.base_url and not self.has_token() and not (has_client and self.has_password()):
            raise ValueError(
                "base_url needs a way to log in: token or token_file; or client_key, client_secret, username and password"
            )
        return self


class TapisSettings(ServiceLogin):
    """Apps and batch jobs of a Tapis service (version 3); used if `base_url` is set. Needs `abacod[tapis]`."""

    base_url: str | None = Field(
        None, pattern=_BASE_URL, description="Address of the tenant, as https://tacc.tapis.io, without /v3."
    )
    timeout_seconds: _Limit = Field(15, description="Limit of one request to the service, in seconds.")
    at_once: Positive = Field(4, description="Requests to the service at a time, each in a thread, in requests.")
    poll_seconds: _Limit = Field(
        10, description="Pause before a job's status is asked for again, in seconds; it grows while the status stays."
    )
    poll_max_seconds: _Limit = Field(300, description="Longest such pause, in seconds.")

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.base_url and not self.has_token() and not self.has_password():
            raise ValueError("base_url needs a way to log in: token or token_file, or username and password")
        return self


class LocalBatchSettings(Section):
    """Batch jobs on this machine."""

    parallel_copies: Positive = Field(
        2, description="Jobs whose inputs or outputs are copied at the same time, in jobs."
    )
    work_path: str = Field(
        "/work", pattern=r"^/[^:\x00]+$", description="Where containers of jobs find their work directory."
    )
    user: str | None = Field(
        None,
        pattern=r"^[0-9]+:[0-9]+$",
        description="User and group of jobs' containers, as `uid:gid`. Default: those of the daemon, or if that is root, the "
        "image's own.",
    )
    notification_retry_seconds: _Limit = Field(
        3_600, description="How long a notification is tried again while its receiver does not take it, in seconds."
    )
    notifications_at_once: Positive = Field(
        20, description="Notifications of all jobs that are delivered at a time, in notifications."
    )


class BatchSettings(Section):
    """Engines that run batch jobs: this machine, and services."""

    engine: Literal["local", "agave", "tapis"] = Field(
        "local", description="Engine of apps that are not registered here, or whose description names none."
    )
    local: LocalBatchSettings = LocalBatchSettings()
    agave: AgaveSettings = AgaveSettings()
    tapis: TapisSettings = TapisSettings()
