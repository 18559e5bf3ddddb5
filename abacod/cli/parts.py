"""What the commands share: their options, and how they find the settings, the tenant and the database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from abacod import logs
from abacod.config import Settings
from abacod.errors import ConfigError
from abacod.ids import TenantId
from abacod.settings_file import load_settings

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Configuration file (TOML).")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Directory of the data. Default: ./abacod-data.")
]
Tenant = Annotated[str | None, typer.Option("--tenant", metavar="TENANT", help="Default: the setting default_tenant.")]


def settings_of(config: Path | None, data_dir: Path | None) -> Settings:
    """The settings of a command that is short-lived.

    Raises:
        ConfigError: they are not valid.
    """
    settings = load_settings(config, data_dir=data_dir)
    # Standard output is for results: `TOKEN=$(abacod token alice)` must not catch a warning.
    logs.configure(settings.daemon_log.level, settings.daemon_log.style)
    return settings


def tenant_of(given: str | None, settings: Settings) -> TenantId:
    """The tenant that is meant."""
    return TenantId(given or settings.auth.default_tenant)


def require_database(settings: Settings) -> None:
    """A mistyped --data-dir should be told, not answered with an empty new database.

    Raises:
        ConfigError: there is none.
    """
    if not settings.database_path.is_file():
        raise ConfigError(f"There is no database at {settings.database_path}. `abacod users add` makes one.")


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns of texts."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
