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


_SEND_RESULTS: Final = """
import os, signal, socket, time

def send(sizes):
    for number, size in enumerate(sizes.split()):
        while True:
            try:
                results.sendto(bytes([number]) * int(size), "/_abaco_results.sock")
                break
            except ConnectionRefusedError:  # no daemon
                time.sleep(0.01)

told = []
signal.signal(signal.SIGTERM, lambda *_: told.append("TERM"))
results = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
send(os.environ["SIZES"])
print("ready", flush=True)
if "AGAIN" in os.environ:
    while not told:
        time.sleep(0.01)
    send(os.environ["AGAIN"])
"""


def sending(sizes: str, again: str | None = None) -> dict[str, str]:
    """The environment of a program that sends results with these sizes in bytes; after SIGTERM those of `again`, if given.

    The n-th of a row consists of bytes n.
    """
    environment = {"PROGRAM": _SEND_RESULTS, "SIZES": sizes}
    return environment if again is None else {**environment, "AGAIN": again}


def results_of(sizes: str) -> list[bytes]:
    """What that program sends."""
    return [bytes([number]) * int(size) for number, size in enumerate(sizes.split())]


async def send_results(container: FakeContainer) -> int:
    """The same program for the fake engine."""
    await _send(container, container.spec.environment["SIZES"])
    container.write("ready\n")
    if "AGAIN" in container.spec.environment:
        await container.terminated.wait()
        await _send(container, container.spec.environment["AGAIN"])
    return 0


async def _send(container: FakeContainer, sizes: str) -> None:
    for data in results_of(sizes):
        while True:
            try:
                await container.send_result(data)
                break
            except ConnectionRefusedError:
                await container.engine.change()
