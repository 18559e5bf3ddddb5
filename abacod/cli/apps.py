"""`abacod apps`: register the apps of batch jobs, beside a daemon or without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from abacod.cli.parts import Config, DataDir, Tenant, require_database, settings_of, show_table, tenant_of
from abacod.clock import SystemClock, isoformat
from abacod.config import Settings
from abacod.errors import ConfigError, InvalidField
from abacod.ids import TenantId, Username
from abacod.models.app import AppDescription
from abacod.services.batch.apps import put, remove
from abacod.services.batch.description import described
from abacod.store import apps
from abacod.store.database import beside_daemon

# Larger ones are a mistake, in bytes.
_MOST = 1_000_000

apps_app = typer.Typer(help="Apps of batch jobs.", no_args_is_help=True, rich_markup_mode=None)

AppId = Annotated[str, typer.Argument(metavar="ID", help="Id of the app.", show_default=False)]


@apps_app.command("add")
def add(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="App descriptions, a JSON object each.")],
    *,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="NAME", help="Default: the setting pipelines.owner.")
    ] = None,
    tenant: Tenant = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Register apps; one whose id exists is given the new description. All of them or none."""
    settings = settings_of(config, data_dir)
    found = [_read(file) for file in files]
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    actor_owner = Username(settings.pipelines.owner)
    with beside_daemon(settings.database_path, settings.store) as connection:
        for app in found:
            now, place = SystemClock().now(), _tenant(tenant, settings)
            stored = put(connection, place, Username(owner or actor_owner), app, now, actor_owner=actor_owner)
            typer.echo(f"Registered app {stored.id}, revision {stored.revision}, in tenant {stored.tenant}.")


@apps_app.command("list")
def list_all(tenant: Tenant = None, config: Config = None, data_dir: DataDir = None) -> None:
    """List the apps."""
    settings = settings_of(config, data_dir)
    require_database(settings)
    with beside_daemon(settings.database_path, settings.store) as connection:
        found = apps.listed(connection, _tenant(tenant, settings))
    rows = [
        (app.id, str(app.revision), isoformat(app.modified), app.owner, str(app.document.get("image") or "-"))
        for app in found
    ]
    show_table(("ID", "REVISION", "MODIFIED", "OWNER", "IMAGE"), rows)


@apps_app.command("show")
def show(app_id: AppId, tenant: Tenant = None, config: Config = None, data_dir: DataDir = None) -> None:
    """Print the description of an app."""
    settings = settings_of(config, data_dir)
    require_database(settings)
    with beside_daemon(settings.database_path, settings.store) as connection:
        app = apps.get(connection, _tenant(tenant, settings), app_id)
    typer.echo(json.dumps(app.document, indent=2, ensure_ascii=False))


@apps_app.command("remove")
def remove_one(app_id: AppId, tenant: Tenant = None, config: Config = None, data_dir: DataDir = None) -> None:
    """Remove an app of which no job is on its way."""
    settings = settings_of(config, data_dir)
    require_database(settings)
    with beside_daemon(settings.database_path, settings.store) as connection:
        remove(connection, _tenant(tenant, settings), app_id)
    typer.echo(f"Removed app {app_id} from tenant {_tenant(tenant, settings)}.")


def _tenant(given: str | None, settings: Settings) -> TenantId:
    if given is not None and given not in settings.tenants:
        raise ConfigError(f"Tenant {given} is unknown; add it to the setting auth.tenants first.")
    return tenant_of(given, settings)


def _read(file: Path) -> AppDescription:
    document = _json(file)
    template = document.pop("templatePath", None) if document.get("image") and "template" not in document else None
    if template is not None:
        if not isinstance(template, str) or "\0" in template:
            raise InvalidField(f"{file}: templatePath: give the path of a file, from {file.parent}.")
        document = {**document, "template": _text(file.parent / template)}
    try:
        return described(document)
    except InvalidField as error:
        raise InvalidField(f"{file}: {error.message}") from error


def _json(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(_text(file))
    except ValueError as error:
        raise InvalidField(f"{file} is not valid JSON: {error}.") from error
    except RecursionError as error:
        raise InvalidField(f"{file} is nested too deeply.") from error
    if not isinstance(document, dict):
        raise InvalidField(f"{file} holds no JSON object.")
    return document


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > _MOST:
            raise InvalidField(f"{file} is larger than {_MOST} bytes.")
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidField(f"Cannot read {file}: {error}") from error
