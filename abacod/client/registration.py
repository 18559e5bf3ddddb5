"""The properties of a registration as flags, the same for `create`, `update` and `deploy`."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Annotated, Any, Final, get_type_hints

import typer

from abacod.client.errors import Usage
from abacod.client.sending import read_text

Fields = dict[str, Any]

_VARIABLE: Final = "KEY=VALUE"

# By field: the type, the flags and the help. They appear in this order.
_FLAGS: Final[tuple[tuple[str, Any, tuple[str, ...], str, str | None], ...]] = (
    ("name", str, ("--name", "-n"), "A name.", None),
    ("description", str, ("--description", "-d"), "What it is for.", None),
    ("stateless", bool, ("--stateless/--stateful",), "Whether it keeps no state. New actors: stateless.", None),
    ("hints", list[str], ("--hint",), "A tag; may be repeated. `sync` keeps a worker ready.", "TEXT"),
    ("link", str, ("--link",), "Actor that gets this one's events: id or alias.", "ACTOR"),
    ("webhook", str, ("--webhook",), "Address that gets this actor's events.", "URL"),
    ("token", bool, ("--token/--no-token",), "Whether executions get an access token.", None),
    ("log_ex", int, ("--log-ex",), "Life time of logs.", "SECONDS"),
    ("cron_schedule", str, ("--cron-schedule",), "When to run by itself: 'yyyy-mm-dd hh + 1 day'.", "TEXT"),
    ("cron_on", bool, ("--cron-on/--cron-off",), "Whether the schedule is on.", None),
    ("queue", str, ("--queue",), "Queue of the workers. Others than `default` need a role.", None),
    ("type", str, ("--type",), "none, bin or json; without effect.", None),
    ("run_as_executor", bool, ("--run-as-executor/--run-as-owner",), "As whom containers run.", None),
    ("privileged", bool, ("--privileged/--unprivileged", "-p"), "Privileged containers. Needs a role.", None),
    (
        "use_container_uid",
        bool,
        ("--use-container-uid/--use-own-uid", "-u"),
        "As the image's user. Needs a role.",
        None,
    ),
    ("max_workers", int, ("--max-workers",), "Most workers at a time. Needs a role.", "N"),
    ("max_cpus", int, ("--max-cpus",), "CPU limit in billionths of a CPU. Needs a role.", "N"),
    ("mem_limit", str, ("--mem-limit",), "Memory limit, as 512m. Needs a role.", "SIZE"),
)
NAMES: Final = ("image", *(name for name, *_ in _FLAGS), "default_environment")
"""Every field of a registration."""


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags of a registration; what they say comes in its parameter `given`, as fields."""

    @wraps(command)
    def wrapped(**arguments: Any) -> None:
        file = arguments.pop("from_file")
        variables = arguments.pop("env")
        flags = {name: arguments.pop(name) for name, *_ in _FLAGS}
        given = from_file(file) if file else {}
        given |= {name: value for name, value in flags.items() if value not in (None, [])}
        if variables:
            given["default_environment"] = {**given.get("default_environment", {}), **environment(variables)}
        command(**arguments, given=given)

    hints = get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters.values()
    added = [
        *(_flag(name, kind, flags, about, shape) for name, kind, flags, about, shape in _FLAGS),
        _flag("env", list[str], ("--env", "-e"), "Environment variable; may be repeated.", _VARIABLE),
        _flag("from_file", str, ("--from-file",), "JSON object with these and all other fields; `-` is stdin.", "FILE"),
    ]
    parameters = [*(each.replace(annotation=hints[each.name]) for each in own if each.name != "given"), *added]
    vars(wrapped)["__signature__"] = inspect.Signature(parameters)
    wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
    return wrapped


def from_file(file: str) -> Fields:
    """The fields in a JSON file; both spellings of names, `max_workers` and `maxWorkers`."""
    try:
        content = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise Usage(f"{file} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise Usage(f"{file} is not a JSON object.")
    return of_content(content)


def of_content(content: Mapping[str, Any]) -> Fields:
    """The fields in a JSON or TOML file, by their names in the API; what else is there is left out."""
    given = {re.sub(r"([A-Z])", r"_\1", name).lower(): value for name, value in content.items()}
    return {name: value for name, value in given.items() if value is not None and name in NAMES}


def environment(texts: Iterable[str]) -> dict[str, str]:
    """The variables of `-e`: each `KEY=VALUE`, or a JSON object as in the old command line."""
    found: dict[str, str] = {}
    for text in texts:
        if text.lstrip().startswith("{"):
            found |= _object(text)
            continue
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise Usage(f"{text!r} is not {_VARIABLE}.")
        found[key] = value
    return found


def of_actor(actor: Mapping[str, Any]) -> Fields:
    """The fields that keep an actor as it is when it is registered again."""
    return {name: actor[name] for name in NAMES if actor.get(name) is not None}


def _object(text: str) -> dict[str, str]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise Usage(f"{text!r} is neither {_VARIABLE} nor JSON.") from error
    return {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in content.items()}


def _flag(name: str, kind: Any, flags: tuple[str, ...], about: str, shape: str | None) -> inspect.Parameter:
    option = typer.Option(*flags, help=about, metavar=shape, show_default=False)
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
