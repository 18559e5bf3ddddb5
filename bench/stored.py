"""Data directories with very many executions in them, made once and kept for later runs."""

from __future__ import annotations

import hashlib
import inspect
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from abacod.store import migrations
from bench.daemon import Home, copied_home, new_home
from bench.measure import Bench
from bench.posts import BODY, NO_IMAGE

# Executions ended a second apart; their logs are gone.
_NOW_MS: Final = 1_700_000_000_000

# The oldest are ended, the last `queued` wait.
_EXECUTIONS: Final = """
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :executions + :queued)
INSERT INTO executions (id, actor_id, tenant, executor, status, revision, worker_id, received_ms, start_ms, finish_ms,
                        runtime_s, cpu_ns, io_bytes, exit_code, final_state, log_gone)
SELECT substr(hex(randomblob(7)), 1, 13), actors.id, tenant, owner, iif(n > :executions, 'SUBMITTED', 'COMPLETE'), 1,
       iif(n > :executions, NULL, 'kA1P1m8NkkolK'), :now + n * 1000,
       iif(n > :executions, NULL, :now + n * 1000 + 10), iif(n > :executions, NULL, :now + n * 1000 + 990),
       1, 1000000, 1000, iif(n > :executions, NULL, 0),
       iif(n > :executions, NULL, '{"Status": "exited", "Running": false, "ExitCode": 0, "Error": ""}'), n <= :executions
FROM number, actors WHERE actors.id = :actor"""

_MESSAGES: Final = """
INSERT INTO messages (execution_id, actor_id, content_type, body, environment)
SELECT id, actor_id, 'application/json', :body, '{}' FROM executions WHERE status = 'SUBMITTED' ORDER BY seq"""

# The janitor has done its work on what is old: the full-text index is there.
_WORDS: Final = (
    """
    INSERT INTO execution_words (rowid, text)
    SELECT seq, id || char(10) || actor_id || char(10) || executor || char(10) || coalesce(worker_id, '') || char(10) || status
    FROM executions""",
    "DELETE FROM executions_to_index",
    "INSERT INTO execution_words (execution_words) VALUES ('optimize')",
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A data directory in which all executions are of one actor, whose image is missing, so that nothing runs."""

    home: Home
    actor: str
    middle: str
    """One of the executions."""


async def stored(bench: Bench, executions: int, queued: int = 0) -> Stored:
    """A copy of a directory with so many ended executions, and so many that wait; made if it is not there from an earlier run."""
    original = bench.cache / f"{executions}-{queued}-{_version()}"
    if not original.exists():
        print(f"bench: storing {executions + queued} executions", file=sys.stderr)
        home = new_home(bench.folder())
        async with home.serving() as server:
            actor = await server.register(NO_IMAGE, "ERROR")
        _fill(home.data / "abacod.db", actor, executions, queued)
        shutil.copytree(home.data, original.with_suffix(".partial"), dirs_exist_ok=True)
        original.with_suffix(".partial").rename(original)
    home = copied_home(original, bench.folder())
    with closing(sqlite3.connect(home.data / "abacod.db")) as tx:
        actor, middle = tx.execute(
            "SELECT actor_id, id FROM executions WHERE seq = ?", (max(1, (executions + queued) // 2),)
        ).fetchone()
    return Stored(home, actor, middle)


def _fill(path: Path, actor: str, executions: int, queued: int) -> None:
    given = {"actor": actor, "executions": executions, "queued": queued, "now": _NOW_MS, "body": BODY.decode()}
    with closing(sqlite3.connect(path)) as tx, tx:
        tx.execute("PRAGMA cache_size = -400000")
        tx.execute(_EXECUTIONS, given)
        tx.execute(_MESSAGES, given)
        tx.execute("UPDATE actor_totals SET executions = :executions + :queued WHERE actor_id = :actor", given)
        for statement in _WORDS:
            tx.execute(statement)
    with closing(sqlite3.connect(path)) as tx:
        tx.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _version() -> str:
    """Changes with the schema, and with what is stored here."""
    scripts = sorted(each.read_text() for each in files(migrations).iterdir() if each.name.endswith(".sql"))
    return hashlib.sha256("".join([*scripts, inspect.getsource(sys.modules[__name__])]).encode()).hexdigest()[:12]
