"""What the images of our tests do, each told twice: as a command for a real engine and as a program for the fake one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from tests.fakes import TERMINATED, FakeContainer, Program


@dataclass(frozen=True, slots=True)
class Behaviour:
    """An image of the tests; without a `fake` its program does not exist."""

    name: str
    command: tuple[str, ...]
    fake: Program | None


def _shell(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


async def _environment(container: FakeContainer) -> int:
    container.write("".join(f"{name}={value}\0" for name, value in container.spec.environment.items()))
    return 0


async def _lines(container: FakeContainer) -> int:
    container.write("".join(f"{number}\n" for number in range(1, 101)))
    return 0


async def _flood(container: FakeContainer) -> int:
    for start in range(1, 750_001, 1000):
        container.write("".join(f"{number}\n" for number in range(start, start + 1000)))
        await asyncio.sleep(0)
    return 0


async def _exit(container: FakeContainer) -> int:
    return int(container.spec.environment["CODE"])


async def _obey(container: FakeContainer) -> int:
    container.write("ready\n")
    await container.terminated.wait()
    container.write("bye\n")
    return TERMINATED


async def _ignore(container: FakeContainer) -> int:
    container.write("ready\n")
    return await asyncio.Event().wait()


# A shell would drop variables whose names it cannot write.
ENVIRONMENT: Final = Behaviour("environment", ("/bin/cat", "/proc/self/environ"), _environment)
LINES: Final = Behaviour("lines", ("/bin/seq", "1", "100"), _lines)
FLOOD: Final = Behaviour("flood", ("/bin/seq", "1", "750000"), _flood)
EXIT: Final = Behaviour("exit", _shell('exit "$CODE"'), _exit)
OBEY: Final = Behaviour("obey", _shell("trap 'echo bye; exit 143' TERM; echo ready; sleep 1000 & wait"), _obey)
IGNORE: Final = Behaviour("ignore", _shell("trap '' TERM; echo ready; while :; do sleep 1000; done"), _ignore)
NO_PROGRAM: Final = Behaviour("no-program", ("/no/such/program",), None)

BEHAVIOURS: Final = (ENVIRONMENT, LINES, FLOOD, EXIT, OBEY, IGNORE, NO_PROGRAM)
