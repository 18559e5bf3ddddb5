"""How commands begin and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from abacod import __version__
from abacod.client.server import Server
from tests.abacod.api.serving import Client
from tests.abacod.client.conftest import COMMAND, Abaco

START = "from abacod.client.main import main; main()"


def process(*arguments: str, **how: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", START, *arguments], capture_output=True, check=False, **how)


def test_help_loads_neither_the_server_nor_the_http_client() -> None:
    program = (
        "import sys\nfrom abacod.client.main import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'aiohttp', 'httpx', 'pydantic', 'aiodocker', 'rich', 'jwt'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert ran.stdout.endswith("\n[]\n")


def test_the_version(nobody: Abaco) -> None:
    assert nobody.now("--version").out == f"abaco {__version__}\n"


def test_without_a_command_there_is_help(nobody: Abaco) -> None:
    shown = nobody.now()
    assert shown.code == 2
    assert "Commands:" in shown.err + shown.out


def test_every_command_has_help_and_takes_json() -> None:
    def leaves(command: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            return [(path, command)]
        return [leaf for name, each in subcommands.items() for leaf in leaves(each, (*path, name))]

    for path, command in leaves(COMMAND, ()):
        assert command.help, path
        options = {option for each in command.params for option in each.opts}
        assert ("--json" in options) == (path[0] not in ("login", "logout", "completion")), path


def test_a_command_that_is_none(nobody: Abaco) -> None:
    refused = nobody.now("nope")
    assert refused.code == 2
    assert refused.err.startswith("abaco: No such command 'nope'.")
    assert refused.err.endswith("Try `abaco --help`.\n")
    assert refused.err.count("\n") == 1


def test_nobody_is_logged_in(nobody: Abaco) -> None:
    refused = nobody.now("ls")
    assert refused.code == 3
    assert refused.err.startswith("abaco: You are not logged in.")
    assert refused.err.count("\n") == 1


def test_a_server_that_is_not_there(nobody: Abaco, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABACO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("ABACO_TOKEN", "x")
    refused = nobody.now("ls")
    assert (refused.code, refused.out) == (5, "")
    assert refused.err.count("\n") == 1


def test_ctrl_c_ends_a_command_without_a_word_of_python(nobody: Abaco, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> Server:
        raise KeyboardInterrupt

    monkeypatch.setattr("abacod.client.account.load", interrupted)
    ended = nobody.now("ls")
    assert ended.code == 130
    assert "Traceback" not in ended.err


def test_a_pipe_that_nobody_reads_ends_the_command_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = subprocess.Popen(
        [sys.executable, "-c", START, "completion", "bash"], stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    _, err = command.communicate()
    assert (command.returncode, err) == (141, b"")
    assert command.returncode == 128 + signal.SIGPIPE


def test_an_output_that_is_full_is_one_line() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        command = subprocess.run(
            [sys.executable, "-c", START, "completion", "bash"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert command.returncode == 1
    assert command.stderr == b"abaco: [Errno 28] No space left on device\n"


def test_an_old_terminal_is_no_reason_to_fail() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "ABACO_CONFIG": "/no/such"}
    told = process("run", "-q", "ä", "-m", "x", "y", env=environment)
    assert told.returncode == 2
    assert rb"\xe4" in told.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(nobody: Abaco, shell: str) -> None:
    assert "_ABACO_COMPLETE" in nobody.now("completion", shell).out
    assert nobody.now("completion", "csh").code == 2


async def test_actors_are_completed(abaco: Abaco, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await alice.register(name="counter")
    await alice.register(name="two words")
    monkeypatch.setenv("_ABACO_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "abaco show ")
    monkeypatch.setenv("COMP_CWORD", "2")
    offered = (await abaco()).out.split()
    assert "counter" in offered
    assert made["id"] in offered
    assert "two" not in offered
    monkeypatch.setenv("COMP_WORDS", "abaco exec")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert (await abaco()).out.split() == ["executions"]


def test_completion_without_a_server_offers_nothing(nobody: Abaco, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ABACO_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "abaco show ")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert nobody.now().out.split() == []
