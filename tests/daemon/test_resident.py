"""An actor with the hint `resident` on a real daemon: the example, and what a killed daemon leaves of it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.process import Client, DaemonProcess
from tests.daemon.residents import SDK, registered, resident_settings

pytestmark = [pytest.mark.docker, pytest.mark.daemon, pytest.mark.timeout(90)]

EXAMPLE: Final = SDK.parent / "examples" / "classifier" / "classifier.py"
_RUNS_THE_EXAMPLE: Final = "import runpy; runpy.run_path('/classifier.py', run_name='__main__')"
_SLEEPS: Final = """
import time
from reactors.runtime import serve
def handle(context):
    print("begun")
    time.sleep(1000 if context.raw_message == "sleep" else 0)
    return [context.state, context.raw_message]
serve(handle)
"""


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with DaemonProcess(tmp_path, resident_settings(f"{EXAMPLE}:/classifier.py:ro")) as daemon:
        await daemon.start()
        yield daemon


async def asked(client: Client, actor: str, text: str) -> Any:
    """The answer to a synchronous message."""
    path = f"/{actor}/messages?_abaco_synchronous=true"
    return json.loads((await client.bare("POST", path, json={"message": text})).body)


async def test_the_example_loads_with_the_first_message_only(daemon: DaemonProcess, python_image: str) -> None:
    async with Client.opened(daemon, daemon.token("alice", "abaco_privileged")) as client:
        actor = await registered(client, python_image, _RUNS_THE_EXAMPLE)
        began = time.monotonic()
        assert (await asked(client, actor, "the lazy dog"))["language"] == "english"
        assert time.monotonic() - began > 2
        began = time.monotonic()
        assert (await asked(client, actor, "el perro es rápido"))["language"] == "spanish"
        assert time.monotonic() - began < 1
    await stop_with_nothing_left(daemon)


async def test_a_killed_daemon_ends_what_it_left_and_goes_on(daemon: DaemonProcess, python_image: str) -> None:
    # given a stateful actor whose process is in the midst of a message, and one more that waits
    async with Client.opened(daemon, daemon.token("alice", "abaco_privileged")) as client:
        actor = await registered(client, python_image, _SLEEPS, stateless=False)
        await client.call("POST", f"/{actor}/state", json={"n": 1})
        sent = [
            (await client.call("POST", f"/{actor}/messages", json={"message": text}))["execution_id"]
            for text in ("sleep", "next")
        ]
        path = f"/{actor}/executions/{sent[0]}"
        assert await client.line_of_log(path) == b"begun\n"
        # when the daemon is killed and started again
        await daemon.kill()
        await daemon.start()
        # then nobody knows how the first one ended, and the second one runs once, in another process
        await daemon.ended({sent[1]})
        lost = await client.call("GET", path)
        assert (lost["status"], lost["exit_code"]) == ("ERROR", None)
        path = f"/{actor}/executions/{sent[1]}"
        assert (await client.call("GET", path))["exit_code"] == 0
        assert json.loads(await client.read(f"{path}/results")) == ['{"n": 1}', "next"]
        # and one that is halted ends, and is no trouble to the next
        halted = (await client.call("POST", f"/{actor}/messages", json={"message": "sleep"}))["execution_id"]
        path = f"/{actor}/executions/{halted}"
        assert await client.line_of_log(path) == b"begun\n"
        await client.call("DELETE", path)
        await daemon.ended({halted})
        seen = await client.call("GET", path)
        assert (seen["status"], seen["exit_code"]) == ("COMPLETE", 143)
        assert (await asked(client, actor, "after"))[1] == "after"
    await stop_with_nothing_left(daemon)
