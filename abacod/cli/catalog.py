"""The command `abacod catalog`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from abacod.cli.parts import Config, DataDir, Tenant, require_database, settings_of, show_table, tenant_of
from abacod.clock import SystemClock
from abacod.config import Settings
from abacod.errors import BadRequest
from abacod.ids import TenantId, Username
from abacod.models.catalog import Outcome
from abacod.services.catalog.loading import Loaded, Progress, carried_out, planned, prepared, stage
from abacod.services.catalog.source import Item, items
from abacod.store.database import beside_daemon, in_one_write
from reactors.pipelinejobs.identifiers import Identifiers

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE…", help="Files with records, as JSON; - is standard input.", show_default=False),
]

catalog_app = typer.Typer(help="The data catalog.", no_args_is_help=True, rich_markup_mode=None)


@catalog_app.callback()
def _catalog() -> None:
    pass


@catalog_app.command("load")
def load_catalog(files: Files, tenant: Tenant = None, config: Config = None, data_dir: DataDir = None) -> None:
    """Write records into the data catalog: all of them, or none if one of them is wrong."""
    settings = settings_of(config, data_dir)
    require_database(settings)
    with _progress() as progress:
        loaded = _loaded(files, tenant_of(tenant, settings), settings, progress)
    rows = [(str(kind), *(str(counts[outcome]) for outcome in Outcome)) for kind, counts in loaded.items()]
    show_table(("KIND", *(outcome.upper() for outcome in Outcome)), rows)
    sums = {outcome: sum(counts[outcome] for counts in loaded.values()) for outcome in Outcome}
    total = sum(sums.values())
    typer.echo(f"Loaded {total} records: {', '.join(f'{count} {outcome}' for outcome, count in sums.items())}.")


def _loaded(files: list[Path], tenant: TenantId, settings: Settings, progress: Progress) -> Loaded:
    identifiers = Identifiers(settings.pipelines.dns_domain, settings.pipelines.default_system)
    by, clock = Username(settings.pipelines.owner), SystemClock()
    given = prepared((item for file in files for item in _items(file)), identifiers, progress)
    with beside_daemon(settings.database_path, settings.store) as connection:
        now = clock.now()
        plan = planned(connection, tenant, given, identifiers, by=by, now=now, progress=progress)
        stage(connection, tenant, plan, by=by, progress=progress)
        loaded = in_one_write(connection, lambda tx: carried_out(tx, tenant, plan, by=by, now=now, staged=True))
        progress("Writing", len(given), len(given))
    return loaded


def _items(file: Path) -> Iterator[Item]:
    if str(file) == "-":
        return items(sys.stdin.buffer.read(), "standard input")
    try:
        return items(file.read_bytes(), str(file))
    except (OSError, ValueError) as error:
        raise BadRequest(f"Cannot read {file}: {error}.") from error


@contextmanager
def _progress() -> Iterator[Progress]:
    """Shows how far a load is, on standard error: a bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    # Drawing takes a while to import, and most commands draw nothing.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415
    from rich.progress import TaskID  # noqa: PLC0415

    bars: dict[str, TaskID] = {}
    with Bars(console=Console(stderr=True), transient=True) as drawn:

        def show(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = drawn.add_task(what, total=total)
            drawn.update(bars[what], completed=done, total=total)

        yield show
