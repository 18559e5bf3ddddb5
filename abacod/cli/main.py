"""The command line.

The small commands work on the data directory itself, whether a daemon runs on it or not: SQLite lets both write.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from typer.core import TyperGroup

from abacod import __version__
from abacod.cli.apps import apps_app
from abacod.cli.catalog import catalog_app
from abacod.cli.parts import Config, DataDir, Tenant, require_database, settings_of, show_table, tenant_of
from abacod.clock import SystemClock, isoformat
from abacod.config import RegistryLogin, Settings
from abacod.config_section import Section
from abacod.errors import AbacoError, BadRequest, ConfigError
from abacod.ids import TenantId, Username
from abacod.models.user import Role, User
from abacod.services.accounts import checked_username, hash_password
from abacod.services.pipelinejobs.document_tokens import DocumentTokens
from abacod.services.sealing import Seal
from abacod.services.tokens import SigningKey, Tokens, issuer_keys
from abacod.settings_file import load_settings
from abacod.store import users
from abacod.store.database import back_up, beside_daemon


class _Commands(TyperGroup):
    """Shows what abacod refuses as one line instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AbacoError as error:
            typer.echo(f"abacod: {error.message}", err=True)
            if error.hint:
                typer.echo(error.hint, err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=_Commands,
    help="Functions-as-a-service on the actor model, for one machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain lines, also in pipes and logs
    pretty_exceptions_enable=False,
)
users_app = typer.Typer(help="Accounts.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(users_app, name="users")
app.add_typer(catalog_app, name="catalog")
app.add_typer(apps_app, name="apps")


def _role(text: str) -> str:
    if text not in get_args(Role):
        raise typer.BadParameter(f"{text} is no role; use {' or '.join(get_args(Role))}.")
    return text


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"abacod {__version__}")
        raise typer.Exit


Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.", show_default=False)]
Roles = Annotated[
    list[str] | None,
    typer.Option("--role", parser=_role, metavar="|".join(get_args(Role)), help="A role; may be given twice."),
]
Uid = Annotated[int | None, typer.Option("--uid", min=0, help="User id the user's containers run as.")]
Gid = Annotated[int | None, typer.Option("--gid", min=0, help="Group id that goes with --uid.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, one line, instead of asking.")
]


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    config: Config = None,
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port to listen on. Default: 8000.")] = None,
) -> None:
    """Run the daemon until it gets SIGTERM or SIGINT."""
    # The daemon's HTTP server and container client would make all other commands start about a third slower.
    from abacod.app import serve as serve_daemon  # noqa: PLC0415

    serve_daemon(load_settings(config, data_dir=data_dir, server={"host": host, "port": port}))


# --- accounts and tokens -----------------------------------------------------------------------------------------------


@users_app.command("add")
def add_user(
    name: Name,
    *,
    tenant: Tenant = None,
    roles: Roles = None,
    uid: Uid = None,
    gid: Gid = None,
    password_stdin: PasswordStdin = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Add a user."""
    settings = settings_of(config, data_dir)
    username = checked_username(name)
    if tenant is not None and tenant not in settings.tenants:
        raise ConfigError(f"Tenant {tenant} is unknown; add it to the setting auth.tenants first.")
    if gid is not None and uid is None:
        raise BadRequest("--gid needs --uid: containers run as a user with a group, not as a group alone.")
    user = User(
        tenant=tenant_of(tenant, settings),
        username=username,
        roles=frozenset(role for role in get_args(Role) if role in (roles or ())),
        created=SystemClock().now(),
        uid=uid,
        gid=gid,
    )
    password_hash = hash_password(_password(password_stdin))
    _make(settings.data_dir)
    with beside_daemon(settings.database_path, settings.store) as connection:
        users.insert(connection, user, password_hash)
    typer.echo(f"Added user {user.username} to tenant {user.tenant}.")


@users_app.command("list")
def list_users(tenant: Tenant = None, config: Config = None, data_dir: DataDir = None) -> None:
    """List the users, of all tenants if none is given."""
    settings = settings_of(config, data_dir)
    require_database(settings)
    with beside_daemon(settings.database_path, settings.store) as connection:
        found = users.listed(connection, TenantId(tenant) if tenant else None)
    show_table(
        ("TENANT", "NAME", "ROLES", "UID", "GID", "CREATED"),
        [
            (
                user.tenant,
                user.username,
                ",".join(sorted(user.roles)) or "-",
                "-" if user.uid is None else str(user.uid),
                "-" if user.gid is None else str(user.gid),
                isoformat(user.created),
            )
            for user in found
        ],
    )


@users_app.command("remove")
def remove_user(name: Name, tenant: Tenant = None, config: Config = None, data_dir: DataDir = None) -> None:
    """Remove a user; a running daemon refuses the user's tokens within a second. The actors stay, nonces go."""
    settings = settings_of(config, data_dir)
    require_database(settings)
    with beside_daemon(settings.database_path, settings.store) as connection:
        users.delete(connection, tenant_of(tenant, settings), Username(name))
    typer.echo(f"Removed user {name} from tenant {tenant_of(tenant, settings)}.")


@users_app.command("passwd")
def change_password(
    name: Name,
    tenant: Tenant = None,
    password_stdin: PasswordStdin = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Change a user's password; a running daemon refuses the user's earlier tokens within a second."""
    settings = settings_of(config, data_dir)
    require_database(settings)
    with beside_daemon(settings.database_path, settings.store) as connection:
        # A wrong name should be told before a password is asked for.
        user = users.get(connection, tenant_of(tenant, settings), Username(name))
        new_hash = hash_password(_password(password_stdin))
        users.set_password(connection, user.tenant, user.username, new_hash, SystemClock().now())
    typer.echo(f"Changed the password of {user.username} in tenant {user.tenant}.")


@users_app.command("roles")
def change_roles(
    name: Name,
    *,
    tenant: Tenant = None,
    roles: Roles = None,
    none: Annotated[bool, typer.Option("--none", help="Take all roles away.")] = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Give a user exactly these roles; in a running daemon they count within a second, for the user's nonces as well."""
    settings = settings_of(config, data_dir)
    require_database(settings)
    if bool(roles) == none:
        raise BadRequest("Give each role the user shall have with --role, or --none for none at all.")
    wanted = sorted(set(roles or ()))
    with beside_daemon(settings.database_path, settings.store) as connection:
        users.set_roles(connection, tenant_of(tenant, settings), Username(name), wanted)
    typer.echo(f"Roles of {name} in tenant {tenant_of(tenant, settings)}: {', '.join(wanted) or 'none'}.")


@app.command("token")
def show_token(
    name: Name,
    tenant: Tenant = None,
    ttl: Annotated[
        int | None, typer.Option("--ttl", min=1, metavar="SECONDS", help="Life time. Default: as in the settings.")
    ] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Print an access token for a user."""
    settings = settings_of(config, data_dir)
    require_database(settings)
    with beside_daemon(settings.database_path, settings.store) as connection:
        user = users.get(connection, tenant_of(tenant, settings), Username(name))
    tokens = Tokens(SigningKey.at(settings.signing_key_path), settings.auth, settings.public_url, SystemClock())
    typer.echo(tokens.issue(user, "access", ttl).text)


@app.command("admin-token")
def show_admin_token(config: Config = None, data_dir: DataDir = None) -> None:
    """Print an administrative token for pipelines and jobs; it is good for 30 to 60 seconds."""
    settings = settings_of(config, data_dir)
    require_database(settings)
    typer.echo(DocumentTokens(Seal.at(settings.sealing_key_path), SystemClock()).administrative())


# --- the data directory and the settings ---------------------------------------------------------------------------------


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the copy; a file there is replaced.")],
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Write a consistent copy of the database while the daemon runs. The keys and binary messages are not in it."""
    settings = settings_of(config, data_dir)
    if file.resolve() == settings.database_path.resolve():
        raise BadRequest(f"{file} is the database itself; name another file.")
    with _files_for_owner_only():
        back_up(settings.database_path, file)
    typer.echo(f"Wrote {file}.")


@app.command()
def check_config(config: Config = None, data_dir: DataDir = None) -> None:
    """Check the settings and show those in effect."""
    settings = load_settings(config, data_dir=data_dir)
    issuer_keys(settings.auth)
    typer.echo("Configuration is valid.\n")
    shown = list(_values(settings, ""))
    width = max(len(line) for line, _ in shown if len(line) <= _ALIGNED)
    for line, description in shown:
        typer.echo(f"{line:<{width}}   # {description}")


@app.command(hidden=True)
def settings_reference() -> None:
    """Print docs/reference/settings.md."""
    typer.echo(_reference())


def main() -> None:
    """Run the command given on the command line."""
    app(prog_name="abacod")


# --- parts of the commands -----------------------------------------------------------------------------------------------


def _make(data_dir: Path) -> None:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"Cannot make the data directory {data_dir}: {error}") from error


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise BadRequest("There is no terminal to ask for the password; use --password-stdin.")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


@contextmanager
def _files_for_owner_only() -> Iterator[None]:
    earlier = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(earlier)


# --- settings as text ------------------------------------------------------------------------------------------------------

# Longer lines of `check-config` do not push everybody's comments to the right, in characters.
_ALIGNED: Final = 60

_REFERENCE_HEAD: Final = """\
# Settings

<!-- Written by `abacod settings-reference > docs/reference/settings.md`; change abacod/config.py instead. -->

A setting is taken from the command line (`--host`, `--port`, `--data-dir`), else from its environment variable, else from
the file given with `--config`, else from the default below. The file is TOML; a section below is a table in it. In an
environment variable, lists and tables are JSON. `abacod check-config` shows what is in effect, and names what is wrong.
"""


def _values(section: BaseModel, prefix: str) -> Iterator[tuple[str, str]]:
    """Each setting as a line of TOML, and its help."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _values(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} = {_toml(value)}", str(field.description)


def _toml(value: Any) -> str:
    """The value as TOML has it; secrets are masked, and what is not set is said to be so."""
    if value is None:
        return "(not set)"
    if isinstance(value, SecretStr | Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, BaseModel):
        return _toml({name: getattr(value, name) for name in type(value).model_fields})
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _reference() -> str:
    top, sections = [], []
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, Section):
            sections += _section(name, type(field.default))
        else:
            top.append((name, field))
    logins = "## `[[engine.registry_logins]]`\n\n" + str(RegistryLogin.__doc__) + "\n\n"
    logins += _table(RegistryLogin.model_fields, None)
    return "\n".join((_REFERENCE_HEAD, "## Outside of sections\n", _table(dict(top), ""), *sections, logins)).rstrip()


def _section(name: str, section: type[Section]) -> list[str]:
    """Markdown of a section, and of those within it."""
    inner = {key: field for key, field in section.model_fields.items() if isinstance(field.default, Section)}
    fields = {key: field for key, field in section.model_fields.items() if key not in inner}
    own = f"## `[{name}]`\n\n{inspect.cleandoc(str(section.__doc__))}\n"
    if fields:
        own += "\n" + _table(fields, f"{name}.")
    return [own, *(page for key, field in inner.items() for page in _section(f"{name}.{key}", type(field.default)))]


def _table(fields: dict[str, FieldInfo], prefix: str | None) -> str:
    """Markdown of some settings; `prefix` is None for records in a list, which have neither variable nor default."""
    rows = []
    for name, field in fields.items():
        about = str(field.description).replace("|", r"\|")
        if prefix is None:
            rows.append(f"| `{name}` | {about} |")
            continue
        variable = "ABACOD_" + f"{prefix}{name}".upper().replace(".", "__")
        default = "" if field.default is None else f"`{_toml(field.default)}`"
        rows.append(f"| `{prefix}{name}` | `{variable}` | {default} | {about} |")
    head = ("| Name | Help |", "|---|---|")
    if prefix is not None:
        head = ("| Name | Environment variable | Default | Help |", "|---|---|---|---|")
    return "\n".join((*head, *rows)) + "\n"
