from __future__ import annotations

from pathlib import Path

from abacod.config import StoreSettings
from abacod.services.status import Readiness, Status
from abacod.store.database import Database
from tests.harness import Lab


async def test_ready_when_everything_answers(lab: Lab) -> None:
    status = Status(lab.database, lab.watch)
    assert (await status.readiness()).ready
    assert status.engine_trouble is None


async def test_what_does_not_answer_is_named(lab: Lab, tmp_path: Path) -> None:
    database = Database(tmp_path / "other.db", StoreSettings(synchronous="OFF"))
    await database.open()
    status = Status(database, lab.watch)
    lab.engine.up = False
    readiness = await status.readiness()
    assert readiness == Readiness(None, "The container engine does not answer.")
    assert status.engine_trouble == readiness.engine
    lab.engine.up = True
    await database.close()
    readiness = await status.readiness()
    assert readiness == Readiness("The database is closed.", None)
    assert not readiness.ready
