"""What the daemon writes for a supervisor's shell, and reads of what it says."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abacod.runtime.warm.supervisor import Begun, Ended, command, question, read_answer, refusal, script

_BUSYBOX = "/bin/busybox"
_SUPERVISOR = {"PATH": "/bin", "HOSTNAME": "here", "HOME": "/home"}
_WORDS = st.text(st.characters(exclude_characters="\0"), max_size=40)
_NAMES = st.text(st.characters(exclude_characters="\0=", exclude_categories=["Cs"]), min_size=1, max_size=20)


def _run(text: bytes, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a script as a supervisor does; what the program writes goes to the file `output`."""
    (folder / "script").write_bytes(text)
    shell = f"b={_BUSYBOX} d={folder}; exec 3</dev/null 4</dev/null 5</dev/null; ( . $d/script )"
    return subprocess.run([_BUSYBOX, "sh", "-c", shell], check=False, capture_output=True, env=_SUPERVISOR)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(_NAMES, _WORDS, max_size=5), st.lists(_WORDS, max_size=4))
def test_names_values_and_words_arrive_to_the_byte(
    tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str], words: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("said")
    expected = {"PATH": "/bin", "HOSTNAME": "here", "HOME": "/home", "A": "image", "B": "image"} | variables

    seen = _output(script(["A=image", "B=image"], variables, ["/bin/cat", "/proc/self/environ"]), folder)
    said = _output(script([], {}, ["/usr/bin/printf", "%s\\0", "", *words]), folder)

    assert sorted(seen.split(b"\0")[:-1]) == sorted(_bytes(f"{name}={value}") for name, value in expected.items())
    assert said == b"".join(_bytes(each) + b"\0" for each in ("", *words))


def _bytes(text: str) -> bytes:
    return "".join("\ufffd" if "\ud800" <= sign <= "\udfff" else sign for sign in text).encode()


def _output(text: bytes | None, folder: Path) -> bytes:
    assert text is not None
    assert _run(text, folder).returncode == 0
    return (folder / "output").read_bytes()


@pytest.mark.parametrize(
    ("variables", "words"),
    [({"": "x"}, ["/bin/true"]), ({"A=B": "x"}, ["/bin/true"]), ({"A": "\0"}, ["/bin/true"]), ({}, ["a=b"]), ({}, [])],
)
def test_what_cannot_be_said_is_left_to_the_engine(variables: dict[str, str], words: list[str]) -> None:
    assert script([], variables, words) is None


@pytest.mark.parametrize("program", ["/no/such/program", "no-such-program", "/etc"])
def test_a_program_that_cannot_be_executed_is_told_from_one_that_fails(tmp_path: Path, program: str) -> None:
    text = script([], {}, [program])
    assert text is not None

    status = _run(text, tmp_path).returncode

    reason = refusal(status, (tmp_path / "output").read_bytes())
    assert reason in ("no such file or directory", "permission denied")


@pytest.mark.parametrize(
    ("status", "output"),
    [
        (127, b""),
        (1, b"env: can't execute 'x': No such file or directory\n"),
        (127, b"env: can't execute 'x': No such file or directory\nand more\n"),
        (127, b"sh: x: not found\n"),
    ],
)
def test_what_a_program_says_itself_is_no_refusal(status: int, output: bytes) -> None:
    assert refusal(status, output) is None


def test_answers() -> None:
    assert read_answer(b"+ 7 123") == Begun(7, 123)
    assert read_answer(b"= - 0 0 0 0 0 0") == Ended(0, 0, 0, 0, 0, left=False, at=None)
    moment = datetime(2026, 11, 22, 22, 16, 12, 34000, UTC)
    said = f"= 7 137 12345 99 2 1 {moment.timestamp():.6f}".encode()
    assert read_answer(said) == Ended(7, 137, 12345, 99, 2, left=True, at=moment)
    assert read_answer(b"?ab12 " + said) == Ended(7, 137, 12345, 99, 2, left=True, at=moment, asked="ab12")


@given(st.binary(max_size=60))
def test_nonsense_is_no_answer(said: bytes) -> None:
    assert read_answer(said) is None or said[:1] in (b"+", b"=", b"?")


def test_commands_are_lines() -> None:
    assert command(12) == b"12\n"
    assert question("ab12") == b"?ab12\n"
