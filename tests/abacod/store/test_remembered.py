"""What is remembered is asked again once anything it may depend on has changed."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from abacod.config import StoreSettings
from abacod.errors import ActorNotFound
from abacod.ids import TenantId, Username
from abacod.models.permission import Subject
from abacod.models.user import Level
from abacod.store import actors, executions, permissions
from abacod.store.database import Database, beside_daemon
from abacod.store.remembered import Remembered
from tests.factories import actor, execution
from tests.fakes import FakeClock

SETTINGS = StoreSettings(synchronous="OFF")
ACTOR = actor()
SUBJECT = Subject.actor(ACTOR.id)
BOB = Username("bob")


class Asked:
    """An open database with an actor, and how often something was asked."""

    def __init__(self, database: Database, path: Path) -> None:
        self.database = database
        self.path = path
        self.clock = FakeClock()
        self.remembered: Remembered[Any] = Remembered(database, self.clock)
        self.times = 0

    async def level(self) -> Level:
        def look(tx: sqlite3.Connection) -> Level:
            self.times += 1
            return permissions.level_of(tx, SUBJECT, BOB)

        return Level(await self.remembered.ask("bob", look))


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    path = tmp_path / "abacod.db"
    database = Database(path, SETTINGS)
    await database.open()
    await database.write(lambda tx: actors.insert(tx, ACTOR))
    yield Asked(database, path)
    await database.close()


async def test_nothing_is_asked_twice_while_nothing_changes(asked: Asked) -> None:
    assert [await asked.level() for _ in range(3)] == [Level.NONE] * 3
    await asked.database.write(lambda tx: executions.insert(tx, execution(ACTOR)))
    await asked.level()
    assert asked.times == 1


async def test_a_change_is_seen_by_whoever_asks_after_it(asked: Asked) -> None:
    for level in (Level.READ, Level.UPDATE, Level.EXECUTE):
        await asked.level()
        await asked.database.write(lambda tx, new=level: permissions.grant(tx, SUBJECT, BOB, new))  # type: ignore[misc]
        assert await asked.level() is level
    await asked.database.write(lambda tx: permissions.remove_all(tx, SUBJECT))
    assert await asked.level() is Level.NONE


async def test_what_another_process_changes_is_seen_within_a_second(asked: Asked) -> None:
    await asked.level()
    with beside_daemon(asked.path, SETTINGS) as connection:
        permissions.grant(connection, SUBJECT, BOB, Level.READ)
    await asked.clock.advance(1)
    assert await asked.level() is Level.READ


async def test_a_refusal_is_not_remembered(asked: Asked) -> None:
    other = actor()
    remembered: Remembered[object] = Remembered(asked.database, asked.clock)
    with pytest.raises(ActorNotFound):
        await remembered.ask("it", lambda tx: actors.get(tx, other.tenant, other.id))
    await asked.database.write(lambda tx: executions.insert(tx, execution(ACTOR)))
    with pytest.raises(ActorNotFound):
        await remembered.ask("it", lambda tx: actors.get(tx, other.tenant, other.id))
    assert await remembered.ask("it", lambda tx: actors.get(tx, ACTOR.tenant, ACTOR.id)) == ACTOR


CHANGES: dict[str, tuple[str, tuple[object, ...]]] = {
    "an actor's status": ("UPDATE actors SET status_message = 'x' WHERE id = ?", (ACTOR.id,)),
    "an actor's state": ("UPDATE actors SET state = '{}' WHERE id = ?", (ACTOR.id,)),
    "an actor's end": ("DELETE FROM actors WHERE id = ?", (ACTOR.id,)),
    "a permission": ("DELETE FROM permissions WHERE subject = ?", (ACTOR.id,)),
    "an alias": (
        "INSERT INTO aliases (tenant, name, actor_id, owner) VALUES (?, 'name', ?, 'bob')",
        (TenantId("dev"), ACTOR.id),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_every_change_of_rights_is_noticed(asked: Asked, change: str) -> None:
    before = asked.database.rights_version
    await asked.database.write(lambda tx: tx.execute(*CHANGES[change]))
    assert asked.database.rights_version > before


@pytest.mark.parametrize(
    "write",
    [lambda tx: executions.insert(tx, execution(ACTOR)), lambda tx: tx.execute("DELETE FROM messages")],
    ids=["an execution", "messages"],
)
async def test_other_changes_are_none(asked: Asked, write: Callable[[sqlite3.Connection], object]) -> None:
    before = asked.database.rights_version
    await asked.database.write(write)
    assert asked.database.rights_version == before
