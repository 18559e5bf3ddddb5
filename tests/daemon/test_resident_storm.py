"""Synchronous messages to resident processes while the daemon is killed again and again: none runs twice, no answer is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from abacod.models.states import ExecutionStatus
from abacod.store.database import beside_daemon
from tests.daemon.leftovers import stop_with_nothing_left
from tests.daemon.process import Client, DaemonProcess
from tests.daemon.residents import registered, resident_settings

pytestmark = [pytest.mark.docker, pytest.mark.daemon]

# More of them, and other moments, by hand: STORM_KILLS=200 STORM_SEED=7 pytest tests/daemon/test_resident_storm.py
KILLS: Final = int(os.environ.get("STORM_KILLS", "5"))
SEED: Final = int(os.environ.get("STORM_SEED", "1"))
WORKERS: Final = 2

_NOTES: Final = """
from reactors.runtime import serve
def handle(context):
    with open("/out/ran", "a") as ran:
        ran.write(context.raw_message + "\\n")
    return {"ran": context.raw_message}
serve(handle)
"""


class Sender:
    """Asks one message after the other, each another one; `answered` are those that were answered."""

    def __init__(self, client: Client, actor: str, name: str) -> None:
        self._client = client
        self._path = f"/{actor}/messages?_abaco_synchronous=true"
        self._name = name
        self._sent = 0
        self._answer_came = asyncio.Event()
        self.answered: list[str] = []

    async def ask(self) -> bool:
        """Send one; whether it was answered. An answer must be that to this message."""
        self._sent += 1
        text = f"{self._name}-{self._sent}"
        try:
            reply = await self._client.bare("POST", self._path, json={"message": text})
        except aiohttp.ClientError:
            return False
        if reply.status != 200:
            # There is no process for it yet, or the daemon is being stopped.
            assert reply.status in (400, 408, 503), reply
            return False
        assert json.loads(reply.body) == {"ran": text}
        self.answered.append(text)
        self._answer_came.set()
        return True

    async def more_answers(self, count: int) -> None:
        """Wait until so many more have been answered."""
        wanted = len(self.answered) + count
        while len(self.answered) < wanted:
            self._answer_came.clear()
            await self._answer_came.wait()

    async def go_on(self) -> None:
        """Ask for ever."""
        while True:
            if not await self.ask():
                await asyncio.sleep(0.05)


@asynccontextmanager
async def asking(senders: list[Sender]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(sender.go_on()) for sender in senders]
    try:
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def executions(daemon: DaemonProcess) -> dict[str, ExecutionStatus]:
    """The status of each execution there is."""
    settings = daemon.settings()
    with beside_daemon(settings.database_path, settings.store) as connection:
        rows = connection.execute("SELECT id, status FROM executions").fetchall()
    return {row["id"]: ExecutionStatus(row["status"]) for row in rows}


@pytest.mark.timeout(120 + 10 * KILLS)
async def test_nothing_runs_twice_and_every_answer_is_right(tmp_path: Path, python_image: str) -> None:
    dice = random.Random(SEED)
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o777)
    async with DaemonProcess(tmp_path, resident_settings(f"{out}:/out:rw")) as daemon:
        token = daemon.token("alice", "abaco_admin")
        await daemon.start()
        await daemon.recovered()  # before that, no workers are to be had
        async with Client.opened(daemon, token) as client:
            actor = await registered(client, python_image, _NOTES, max_workers=WORKERS)
            await client.call("POST", f"/{actor}/workers", json={"num": WORKERS})
            senders = [Sender(client, actor, name) for name in ("a", "b", "c")]
            async with asking(senders):
                for _ in range(KILLS):
                    # Not before messages go through: else only starts would be killed.
                    await asyncio.gather(*(sender.more_answers(7) for sender in senders))
                    await asyncio.sleep(dice.uniform(0, 0.3))
                    await daemon.kill()
                    await daemon.start()
                await asyncio.gather(*(sender.more_answers(7) for sender in senders))
            await daemon.ended({each for each, status in executions(daemon).items() if not status.ended})
        ran = Counter((out / "ran").read_text().splitlines())
        assert set(ran.values()) == {1}, "a message ran twice"
        answered_all = [text for sender in senders for text in sender.answered]
        assert len(answered_all) > 20 * KILLS
        assert set(answered_all) <= set(ran), "an answer without a run"
        ends = Counter(executions(daemon).values())
        assert set(ends) <= {ExecutionStatus.COMPLETE, ExecutionStatus.ERROR}
        # A kill costs at most what the processes were in the midst of.
        assert ends[ExecutionStatus.ERROR] <= KILLS * WORKERS
        assert ends[ExecutionStatus.COMPLETE] >= len(answered_all)
        assert ends[ExecutionStatus.COMPLETE] <= len(ran) <= ends.total()
        # For long runs by hand: pytest -rP shows it.
        print(f"{KILLS} kills: {len(answered_all)} answered, {len(ran)} ran, {dict(ends)}")  # noqa: T201 - see above
        await stop_with_nothing_left(daemon)
