from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from abacod.config import LogSettings
from abacod.errors import StorageUnavailable
from abacod.models.states import ExecutionStatus
from abacod.store import logs
from abacod.store.database import Transaction
from tests.fakes import FakeContainer
from tests.harness import Diary, Lab

T = TypeVar("T")


async def test_a_locked_database_is_asked_until_it_takes_the_result(
    tmp_path: Path, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("abacod.services.settle._FIRST_RETRY", 0.001)
    async with Lab(tmp_path, busy_timeout=0.001) as lab:
        actor = await lab.create(diary)
        lab.runtime.stop_at = "ended"
        (execution,) = await lab.send(actor, "1")
        await lab.runtime.reached.wait()
        refusals = 0
        write = lab.database.write
        with closing(sqlite3.connect(lab.settings.database_path)) as other:
            other.execute("BEGIN IMMEDIATE")

            async def counted(question: object) -> object:
                nonlocal refusals
                refusals += 1
                return await write(question)  # type: ignore[arg-type]

            monkeypatch.setattr(lab.database, "write", counted)
            lab.runtime.go_on.set()
            await lab.until(lambda: refusals >= 4)
            assert (await lab.record(execution)).status is ExecutionStatus.RUNNING
            assert execution.id in lab.engine.containers
            other.rollback()
        (record,) = await lab.ended([execution])
        assert record.status is ExecutionStatus.COMPLETE
        assert await lab.log(execution) == "did 1\n"
        await lab.quiet()


async def test_a_full_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abacod.services.settle._FIRST_RETRY", 0.001)

    async def verbose(container: FakeContainer) -> int:
        container.write("x" * 900_000)
        return 0

    def limit(tx: Transaction, pages: int) -> None:
        tx.execute(f"PRAGMA max_page_count = {pages}")

    async with Lab(tmp_path) as lab:
        lab.engine.programs["image"] = verbose
        actor = await lab.create()
        await lab.idle(actor)
        used = await lab.database.read(lambda tx: int(tx.execute("PRAGMA page_count").fetchone()[0]))
        await lab.database.write(lambda tx: limit(tx, used + 10))
        refused: list[str] = []
        write = lab.database.write

        async def watched(question: Callable[[Transaction], T], **more: Any) -> T:
            try:
                return await write(question, **more)
            except StorageUnavailable:
                refused.append(question.__name__)
                raise

        monkeypatch.setattr(lab.database, "write", watched)
        (execution,) = await lab.send(actor, "1")
        await lab.until(lambda: not any(each.exit_code is None for each in lab.engine.containers.values()))
        # the result is refused, and meanwhile the log shows from memory
        await lab.until(lambda: "settle" in refused)
        assert (await lab.record(execution)).status is ExecutionStatus.RUNNING
        assert await lab.log(execution) == "x" * 900_000
        assert execution.id in lab.engine.containers
        await lab.database.write(lambda tx: limit(tx, 1_000_000))
        (record,) = await lab.ended([execution])
        assert record.status is ExecutionStatus.COMPLETE
        assert await lab.log(execution) == "x" * 900_000


@pytest.mark.parametrize(
    ("log_ex", "settings", "seconds"),
    [
        (None, LogSettings(), 43_200),
        (None, LogSettings(ttl_seconds=5), 5),
        (None, LogSettings(ttl_seconds=0), None),
        (60, LogSettings(), 60),
        (86_400, LogSettings(), 86_400),
        (999_999_999_999, LogSettings(), 86_400),
        (100, LogSettings(ttl_limit_seconds=7), 7),
        (0, LogSettings(), None),
        (-1, LogSettings(), None),
    ],
)
async def test_when_a_log_expires(
    tmp_path: Path, log_ex: int | None, settings: LogSettings, seconds: int | None
) -> None:
    async with Lab(tmp_path, logs=settings) as lab:
        actor = await lab.create(log_ex=log_ex)
        (record,) = await lab.ended(await lab.send(actor, "text"))
        assert record.finish_time is not None
        end = record.finish_time

        async def log_at(offset: float) -> bytes:
            return await lab.database.read(lambda tx: logs.whole(tx, record.id, end + timedelta(seconds=offset)))

        if seconds is None:
            assert await log_at(10 * 365 * 86_400) == b"text"
        else:
            assert await log_at(seconds - 1) == b"text"
            assert await log_at(seconds + 5) == b""
