from __future__ import annotations

from datetime import timedelta

from abacod.clock import SystemClock
from abacod.store import executions, logs
from abacod.store.database import Transaction
from tests.factories import START, actor, execution
from tests.fakes import FakeClock
from tests.harness import Lab


async def test_logs_whose_time_has_passed_are_removed_and_others_stay(lab: Lab) -> None:
    clock = FakeClock(SystemClock().now())
    of = actor()
    old, new, endless = [[execution(of) for _ in range(count)] for count in (250, 3, 2)]

    def record(tx: Transaction) -> None:
        for each, expires in (*((e, 1) for e in old), *((e, 100) for e in new), *((e, None) for e in endless)):
            moment = None if expires is None else clock.now() + timedelta(seconds=expires)
            executions.insert(tx, each)
            executions.fail(tx, each.id, {}, clock.now(), moment)
            logs.append(tx, each.id, 0, b"text")

    def with_logs(tx: Transaction) -> set[str]:
        return {each.id for each in (*old, *new, *endless) if logs.whole(tx, each.id, START)}

    async def left() -> set[str]:
        return await lab.database.read(with_logs)

    await lab.database.write(record)
    assert len(await left()) == 255
    await clock.advance(2)
    lab.janitor._clock = clock
    await lab.janitor.run_once()
    assert await left() == {each.id for each in (*new, *endless)}
    await lab.janitor.run_once()
    await clock.advance(100)
    await lab.janitor.run_once()
    assert await left() == {each.id for each in endless}
