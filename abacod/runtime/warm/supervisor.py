"""The language that the daemon and a container's supervisor speak. Pure: it only reads and writes texts.

Commands are lines: the number of an execution, whose script lies ready, or `?` with a word. Answers are lines too: `+ number
pid` when an execution begins, `= number status cpu io kills left time` when it has ended and everything of it is dead. A
question is answered with itself and the last `=` line. Commands are taken in their order, so that this line tells of all before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

PLACE: Final = "/_abaco_run"
"""Where a container finds the supervisor's directory."""

BUSYBOX: Final = f"{PLACE}/busybox"

SCRIPT: Final = Path(__file__).with_name("supervisor.sh").read_text()
"""What the supervisor is."""

_BEGUN: Final = re.compile(rb"\+ (\d+) (\d+)")
_ENDED: Final = re.compile(rb"(?:\?(\w+) )?= (\d+|-) (\d+) (-?\d+) (-?\d+) (\d+) ([01]) ?(\d*)\.?(\d*)")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")

# What env, or before it the shell, writes with status 126 or 127.
_NOT_RUN: Final = re.compile(rb"(?:env: can't execute '.*'|.*" + BUSYBOX.encode() + rb"): ([^\n]+)\n", re.DOTALL)
_NOT_RUN_STATUSES: Final = (126, 127)
MOST_OF_REFUSAL: Final = 1024
"""A refusal is not longer than this, in bytes, unless the program's name is longer than any sensible one."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An execution begins, as process `pid` of its container."""

    number: int
    pid: int


@dataclass(frozen=True, slots=True)
class Ended:
    """An execution has ended.

    `cpu` is in nanoseconds, `io` in bytes; `kills` is how often the kernel killed in this container for want of memory;
    `left` says that not everything of it could be killed; `at` is None where the shell is too old to tell; `asked` is the word
    of the question that this answers, None for an execution that has ended just now.
    """

    number: int
    status: int
    cpu: int
    io: int
    kills: int
    left: bool
    at: datetime | None
    asked: str | None = None


def command(number: int) -> bytes:
    """Has the supervisor run the script as the execution of that number; numbers begin with 1."""
    return b"%d\n" % number


def question(word: str) -> bytes:
    """Has the supervisor tell what has ended last, as soon as it waits."""
    return f"?{word}\n".encode()


def read_answer(line: bytes) -> Begun | Ended | None:
    """What a line says; None for one that no supervisor writes. Before its first execution the number is 0."""
    if begun := _BEGUN.fullmatch(line):
        return Begun(int(begun[1]), int(begun[2]))
    if ended := _ENDED.fullmatch(line):
        word, number, status, cpu, io, kills, left, seconds, fraction = ended.groups()
        return Ended(
            0 if number == b"-" else int(number),
            int(status),
            max(0, int(cpu)),
            max(0, int(io)),
            int(kills),
            left == b"1",
            _moment(seconds, fraction),
            None if word is None else word.decode(),
        )
    return None


def script(image_environment: Sequence[str], environment: Mapping[str, str], program: Sequence[str]) -> bytes | None:
    """The script of one execution: `program` with the variables of the image, over them those of `environment`.

    The engine sets PATH, HOSTNAME and HOME where the image does not, and the supervisor hands them on. None for what
    cannot be said that way, which an engine refuses or takes: a nameless variable, a NUL byte, `=` in the program's name.
    """
    if not program or "=" in program[0]:
        return None
    if any(not name or "=" in name for name in environment):
        return None
    variables = [*image_environment, *(f"{name}={value}" for name, value in environment.items())]
    if any("\0" in each for each in (*variables, *program)):
        return None
    words = b" ".join(_quoted(each) for each in (*variables, *program))
    handed_on = b'PATH="$PATH" HOSTNAME="$HOSTNAME" HOME="$HOME"'
    # The shell's own descriptors are not the program's business.
    files = b"</dev/null >$d/output 2>&1 3>&- 4>&- 5>&-"
    return b"exec $b env -i " + handed_on + b" " + words + b" " + files + b"\n"


def refusal(status: int, output: bytes) -> str | None:
    """Why the program could not be executed at all, in an engine's words; None if it was executed."""
    if status not in _NOT_RUN_STATUSES:
        return None
    found = _NOT_RUN.fullmatch(output)
    if found is None:
        return None
    reason = found[1].decode(errors="replace")
    return reason[0].lower() + reason[1:]


def _quoted(text: str) -> bytes:
    # As the engine does it: what is no character becomes a replacement sign.
    data = _SURROGATES.sub("\ufffd", text).encode()
    return b"'" + data.replace(b"'", b"'\\''") + b"'"


def _moment(seconds: bytes, fraction: bytes) -> datetime | None:
    if not seconds or not int(seconds):
        return None
    milliseconds = int(fraction[:3].ljust(3, b"0")) if fraction else 0
    return datetime.fromtimestamp(int(seconds), UTC).replace(microsecond=milliseconds * 1000)
