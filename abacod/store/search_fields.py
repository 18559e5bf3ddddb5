"""The four databases of search: their fields, as what the API shows of a record (seeds: Database Search)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from abacod.store.log_archive import OF_EXECUTION, UNPACKED


class Kind(Enum):
    """What a field holds; a value of another kind never equals it."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"
    """Milliseconds since 1970 in UTC."""
    JSON = "json"
    """JSON text, of any kind within."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where a field is found: an SQL expression, and the way into its JSON.

    `readable` is the expression as what patterns are looked for in, if that differs.
    """

    kind: Kind
    sql: str
    path: tuple[str, ...] = ()
    readable: str | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """A full-text index. A record may have several rows in it; `table` is SQL for the rows with what belongs to them.

    Of a row, `record` is the `seq` of its record, and `text` what was indexed.
    """

    index: str
    table: str
    record: str
    text: str


@dataclass(frozen=True, slots=True)
class Searched:
    """One of the four. `table` has the records, with a `seq` in order of creation; `words` their full-text index.

    `condition` is SQL that says which rows are records at all.
    """

    table: str
    words: Words
    fields: Mapping[str, Field]
    condition: str = "1"


def _one_row_each(index: str) -> Words:
    return Words(index, index, f"{index}.rowid", f"{index}.text")


def _text(*names: str) -> dict[str, Field]:
    return {name: Field(Kind.TEXT, f"r.{name}") for name in names}


def _number(**columns: str) -> dict[str, Field]:
    return {name: Field(Kind.NUMBER, f"r.{column}") for name, column in columns.items()}


def _time(**columns: str) -> dict[str, Field]:
    shown = "strftime('%Y-%m-%dT%H:%M:%S', r.{0} / 1000, 'unixepoch') || printf('.%03dZ', r.{0} % 1000)"
    return {name: Field(Kind.TIME, f"r.{column}", readable=shown.format(column)) for name, column in columns.items()}


def _within(column: str, *names: str) -> dict[str, Field]:
    return {name: Field(Kind.JSON, f"r.{column}", (name,)) for name in names}


_DEFINED: Final = (
    "name",
    "description",
    "image",
    "default_environment",
    "hints",
    "link",
    "webhook",
    "stateless",
    "privileged",
    "use_container_uid",
    "run_as_executor",
    "max_workers",
    "max_cpus",
    "mem_limit",
    "queue",
    "log_ex",
    "cron_schedule",
    "cron_on",
    "type",
)
# Where the user gave none, the server's default shows.
_DEFAULTED: Final = "json_object('token', json(coalesce(nullif(r.definition -> '$.token', 'null'), :default_token)))"
_LOG: Final = f"""
    coalesce((SELECT group_concat(CAST(iif(length(data) < size, {UNPACKED}(data, size), data) AS TEXT), '') FROM (
      {OF_EXECUTION.format("r.seq")}
      UNION ALL SELECT position, length(data), data FROM log_pieces WHERE execution_id = r.id
      ORDER BY position)), '')
"""  # noqa: S608 - names of ours

ACTORS: Final = Searched(
    "actors",
    _one_row_each("actor_words"),
    {
        **_text("id", "owner", "status", "status_message", "tasdir", "cron_next_ex"),
        **_number(revision="revision", uid="uid", gid="gid"),
        **_time(create_time="create_ms", last_update_time="update_ms"),
        **_within("definition", *_DEFINED),
        "token": Field(Kind.JSON, _DEFAULTED, ("token",)),
        "state": Field(Kind.JSON, "r.state"),
        "mounts": Field(Kind.JSON, "r.mounts"),
    },
)

EXECUTIONS: Final = Searched(
    "executions",
    _one_row_each("execution_words"),
    {
        **_text("id", "actor_id", "executor", "worker_id", "status"),
        **_number(
            executor_uid="executor_uid",
            executor_gid="executor_gid",
            runtime="runtime_s",
            cpu="cpu_ns",
            io="io_bytes",
            exit_code="exit_code",
        ),
        **_time(message_received_time="received_ms", start_time="start_ms", finish_time="finish_ms"),
        "final_state": Field(Kind.JSON, "r.final_state"),
    },
)

LOGS: Final = Searched(
    "executions",
    Words(
        "log_words",
        "log_words JOIN log_archive AS a ON a.number = log_words.rowid",
        "a.execution",
        f"{UNPACKED}(a.data, a.size)",
    ),
    {
        **_text("id", "actor_id"),
        "execution_id": Field(Kind.TEXT, "r.id"),
        # A log may hold what is no text; patterns are looked for in its bytes, which are made one there.
        "logs": Field(Kind.TEXT, _LOG, readable=f"CAST({_LOG} AS BLOB)"),
    },
    condition="r.log_gone = 0 AND (r.log_expires_ms IS NULL OR r.log_expires_ms > :now)",
)

WORKER_TEXTS: Final = (
    "id",
    "actor_id",
    "tenant",
    "status",
    "image",
    "location",
    "cid",
    "ch_name",
    "host_id",
    "host_ip",
)
WORKER_TIMES: Final = ("create_time", "last_execution_time", "last_health_check_time")

WORKERS: Final = Searched(
    "workers", _one_row_each("worker_words"), {**_text(*WORKER_TEXTS), **_time(**{name: name for name in WORKER_TIMES})}
)
