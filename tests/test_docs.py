"""The documentation names what the code has: no more and no less."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest.mock import Mock

import pytest
import typer

import abacod
from abacod.api.routes import actor_routes, other_routes
from abacod.cli.main import app
from abacod.client.main import app as client_app
from abacod.errors import AbacoError, ConfigError, RunLost, RunNotStarted
from abacod.settings_file import load_settings

REPOSITORY: Final = Path(__file__).resolve().parent.parent
DOCS: Final = REPOSITORY / "docs"
HTTP_API: Final = DOCS / "reference" / "http-api.md"
ABACO_CLI: Final = DOCS / "reference" / "abaco-cli.md"
ERRORS: Final = DOCS / "reference" / "errors.md"
LOG_EVENTS: Final = DOCS / "reference" / "log-events.md"
DEPENDENCIES: Final = DOCS / "explanation" / "dependencies.md"

PAGES: Final = sorted(
    [
        *DOCS.rglob("*.md"),
        *(REPOSITORY / "examples").rglob("*.md"),
        *(REPOSITORY / name for name in ("README.md", "reactors/README.md", "schemas/README.md")),
    ]
)
SOURCES: Final = sorted((REPOSITORY / "abacod").rglob("*.py"))

_FENCED: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_INLINE: Final = re.compile(r"`([^`\n]+)`")
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


# --- reading Markdown -----------------------------------------------------------------------------------------------


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each row of the tables in `text`, heads and rules left out."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        is_head = number + 1 < len(lines) and lines[number + 1].startswith("| ---")
        if line.startswith("|") and not line.startswith("| ---") and not is_head:
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def section(page: Path, heading: str) -> str:
    """What stands under a heading of the second level."""
    _, found, rest = page.read_text().partition(f"\n## {heading}\n")
    assert found, f"{name_of(page)} has no section {heading}"
    return rest.split("\n## ")[0]


def anchors(page: Path) -> set[str]:
    """The anchors that headings have on the usual hosts."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def bare(cell: str) -> str:
    """A cell without its backticks."""
    return cell.strip("`")


# --- routes ---------------------------------------------------------------------------------------------------------


def test_every_route_is_documented_with_its_need() -> None:
    routes = section(HTTP_API, "All routes")
    documented = [(row[0], bare(row[1]), bare(row[2])) for row in rows(routes) if len(row) == 4]
    served = [(route.method, route.path, route.need.name) for route in (*actor_routes(Mock()), *other_routes(Mock()))]
    assert sorted(documented) == sorted(served)


def test_every_route_is_described() -> None:
    described = set(re.findall(r"^### ([A-Z]+ /.*)$", HTTP_API.read_text(), re.MULTILINE))
    assert described == {f"{route.method} {route.path}" for route in (*actor_routes(Mock()), *other_routes(Mock()))}


def test_success_messages_are_those_of_the_code() -> None:
    handlers = "".join(path.read_text() for path in (REPOSITORY / "abacod" / "api").glob("*.py"))
    for row in rows(section(HTTP_API, "All routes")):
        for message in _INLINE.findall(row[3]) if len(row) == 4 else ():
            assert message.split("<")[0] in handlers, message


# --- errors ---------------------------------------------------------------------------------------------------------


@cache
def error_classes() -> dict[str, type[AbacoError]]:
    """The whole tree, wherever a class is defined."""
    for module in pkgutil.walk_packages(abacod.__path__, "abacod."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: dict[str, type[AbacoError]] = {}
    waiting = [AbacoError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if error.__module__.startswith("abacod."):
            found[error.__name__] = error
    return found


def documented_errors(heading: str) -> dict[str, list[str]]:
    return {bare(row[0]): row[1:] for row in rows(section(ERRORS, heading))}


def test_every_error_is_documented_once() -> None:
    documented = [bare(row[0]) for row in rows(ERRORS.read_text())]
    assert sorted(documented) == sorted(error_classes())


def test_errors_have_the_documented_status() -> None:
    for name, (status, abaco, *_) in documented_errors("Over HTTP").items():
        error = error_classes()[name]
        assert int(status) == error.status, name
        assert (int(abaco) if abaco else None) == error.abaco_status, name


def test_errors_stand_where_they_show() -> None:
    for name in documented_errors("In an execution"):
        assert issubclass(error_classes()[name], RunNotStarted | RunLost), name
    over_http = documented_errors("Over HTTP")
    for name, error in error_classes().items():
        assert not (issubclass(error, RunNotStarted | RunLost | ConfigError) and name in over_http), name


def test_errors_that_are_not_raised_are_said_to_be_so() -> None:
    elsewhere = "".join(path.read_text() for path in SOURCES if path.name != "errors.py")
    unused = {name for name in error_classes() if not re.search(rf"\b{name}\b", elsewhere)}
    assert set(documented_errors("Not raised in this release")) == unused


# --- log events -----------------------------------------------------------------------------------------------------

_METHODS: Final = ("debug", "info", "warning", "error", "exception")


def logged() -> dict[str, tuple[set[str], set[str]]]:
    """Each event in the code: its levels and its fields."""
    events: dict[str, tuple[set[str], set[str]]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            logger = node.func.value
            if isinstance(logger, ast.Name) and logger.id in ("_log", "logger") and node.func.attr in _METHODS:
                event = node.args[0]
                assert isinstance(event, ast.Constant), f"{path}: an event name is a literal"
                levels, fields = events.setdefault(str(event.value), (set(), set()))
                levels.add(node.func.attr)
                fields.update(str(word.arg) for word in node.keywords if word.arg != "exc_info")
    return events


def test_every_log_event_is_documented_with_its_level_and_fields() -> None:
    documented = {
        bare(event): ({level}, set(_INLINE.findall(fields))) for event, level, fields, _ in rows(LOG_EVENTS.read_text())
    }
    assert documented == logged()


# --- dependencies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heading", ["At run time", "For development"])
def test_every_dependency_has_its_reason(heading: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    groups = {"At run time": project["project"]["dependencies"], "For development": project["dependency-groups"]["dev"]}
    required = [re.split(r"[<>=!~; ]", requirement)[0] for requirement in groups[heading]]
    assert sorted(row[0] for row in rows(section(DEPENDENCIES, heading))) == sorted(required)


# --- links ----------------------------------------------------------------------------------------------------------


def relative_links(page: Path) -> Iterator[tuple[Path, str]]:
    """Where each relative link of a page leads, and its anchor."""
    for target in _LINK.findall(_INLINE.sub("", _FENCED.sub("", page.read_text()))):
        path, _, anchor = str(target).partition("#")
        if "://" not in path:
            yield (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target, anchor in relative_links(page):
        assert target.exists(), f"{name_of(page)}: {target}"
        assert not anchor or anchor in anchors(target), f"{name_of(page)}: {target} has no {anchor}"


def test_the_index_leads_to_every_page() -> None:
    index = DOCS / "index.md"
    assert {target for target, _ in relative_links(index)} >= set(DOCS.rglob("*.md")) - {index}


# --- command lines --------------------------------------------------------------------------------------------------

_COMMAND: Final = r"(?:^[ ]*|\$\(|\|\s*)(?:sudo(?: -u \w+)? )?(?:\S*/)?%s +((?:\"[^\"]*\"|'[^']*'|[^)|>&;#\n])+)"
PROGRAMS: Final = {"abacod": app, "abaco": client_app}


def command_lines(page: Path, program: str = "abacod") -> Iterator[list[str]]:
    """The arguments of each call of `program` in the code of a page."""
    command = re.compile(_COMMAND % program, re.MULTILINE)
    text = page.read_text()
    blocks = [code for _, language, code in _FENCED.findall(text) if language in ("sh", "")]
    for code in (*blocks, *_INLINE.findall(_FENCED.sub("", text))):
        for arguments in command.findall(code.replace("\\\n", " ")):
            yield shlex.split(arguments)


@cache
def commands_of(program: str) -> Any:
    """All commands of a program; making them takes long."""
    return typer.main.get_command(PROGRAMS[program])


def problem(arguments: list[str], program: str = "abacod") -> str | None:
    """What the command line does not know of `arguments`."""
    command: Any = commands_of(program)
    words = iter(arguments)
    positional = 0
    for word in words:
        subcommands = getattr(command, "commands", None)
        if word.startswith("-") and word != "-":
            options = {name: each for each in command.params for name in (*each.opts, *each.secondary_opts)}
            if word not in options and word != "--help":
                return f"{word} is no option"
            if word in options and not options[word].is_flag:
                next(words, None)
        elif subcommands is not None:
            if word not in subcommands:
                return f"{word} is no command"
            command = subcommands[word]
        else:
            positional += 1
    taken = [each.nargs for each in command.params if each.param_type_name == "argument"]
    if -1 not in taken and positional > len(taken):
        return "too many arguments"
    return None


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_command_lines_exist(page: Path, program: str) -> None:
    for arguments in command_lines(page, program):
        assert problem(arguments, program) is None, f"{name_of(page)}: {program} {shlex.join(arguments)}"


def test_every_command_of_abaco_is_described_and_shown() -> None:
    def names(command: Any, path: str) -> Iterator[str]:
        for name, each in getattr(command, "commands", {}).items():
            if not each.hidden:
                yield from names(each, f"{path} {name}") if hasattr(each, "commands") else [f"{path} {name}"]

    described = re.findall(r"^### (abaco .*)$", ABACO_CLI.read_text(), re.MULTILINE)
    assert sorted(described) == sorted(names(typer.main.get_command(client_app), "abaco"))
    assert len(list(command_lines(ABACO_CLI, "abaco"))) > len(described)


def test_command_lines_are_found_and_judged() -> None:
    assert ["token", "demo"] in list(command_lines(REPOSITORY / "README.md"))
    assert len([line for page in PAGES for line in command_lines(page)]) > 10
    assert problem(["users", "add", "x", "--uid", "1"]) is None
    assert problem(["users", "ad", "x"])
    assert problem(["users", "add", "x", "--colour", "red"])
    assert problem(["serve", "now"])
    assert ["run", "-m", "$(jq -c . my_pipeline.json)"] in [line[:3] for line in command_lines(ABACO_CLI, "abaco")]
    assert problem(["rm", "-y", "a", "b"], "abaco") is None
    assert problem(["create", "x", "--stateful"], "abaco") is None
    assert problem(["halt", "a", "b", "c"], "abaco")


# --- the sample configuration and the unit ----------------------------------------------------------------------------


def test_the_sample_configuration_is_valid_as_it_is_and_with_all_its_lines(tmp_path: Path) -> None:
    sample = REPOSITORY / "systemd" / "abacod.toml"
    load_settings(sample)
    whole = tmp_path / "abacod.toml"
    whole.write_text(re.sub(r"^# (?=[a-z_]+ = |\[\[)", "", sample.read_text(), flags=re.MULTILINE))
    assert load_settings(whole).engine.registry_logins


def test_the_unit_starts_a_command_that_exists() -> None:
    unit = (REPOSITORY / "systemd" / "abacod.service").read_text()
    start = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    assert problem(shlex.split(start.removeprefix("ExecStart="))[1:]) is None
