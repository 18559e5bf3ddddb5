from __future__ import annotations

import sqlite3

import pytest

from abacod.ids import TenantId, Username
from abacod.models.permission import Kind, Subject
from abacod.models.user import WORLD, Level
from abacod.store import permissions
from abacod.store.migrations import _scripts, _statements
from tests.factories import OWNER, TENANT, actor

SUBJECTS = [Subject.actor(actor().id), Subject.alias(TENANT, "name"), Subject.config(TENANT, "name")]
BOB = Username("bob")


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.kind)
def test_the_last_grant_counts_and_is_listed_by_name(tx: sqlite3.Connection, subject: Subject) -> None:
    for username, level in ((BOB, Level.READ), (OWNER, Level.UPDATE), (BOB, Level.NONE)):
        permissions.grant(tx, subject, username, level)
    assert list(permissions.levels(tx, subject).items()) == [(OWNER, Level.UPDATE), (BOB, Level.NONE)]
    assert permissions.level_of(tx, subject, OWNER) is Level.UPDATE
    assert permissions.level_of(tx, subject, BOB) is Level.NONE


@pytest.mark.parametrize(("own", "world"), [(Level.READ, Level.UPDATE), (Level.UPDATE, Level.READ)])
def test_the_higher_of_ones_own_and_everyones_level_counts(tx: sqlite3.Connection, own: Level, world: Level) -> None:
    permissions.grant(tx, SUBJECTS[0], BOB, own)
    permissions.grant(tx, SUBJECTS[0], WORLD, world)
    assert permissions.level_of(tx, SUBJECTS[0], BOB) is Level.UPDATE
    assert permissions.level_of(tx, SUBJECTS[0], OWNER) is world


def test_subjects_of_one_name_are_apart(tx: sqlite3.Connection) -> None:
    subjects = [*SUBJECTS, Subject.alias(TenantId("other"), "name"), Subject(Kind.ACTOR, SUBJECTS[1].key)]
    for subject in subjects:
        permissions.grant(tx, subject, OWNER, Level.READ)
    permissions.grant(tx, SUBJECTS[1], BOB, Level.UPDATE)
    permissions.remove_all(tx, SUBJECTS[1])
    left = [subject for subject in subjects if permissions.levels(tx, subject)]
    assert left == [subject for subject in subjects if subject != SUBJECTS[1]]


def test_what_somebody_may_do_by_kind(tx: sqlite3.Connection) -> None:
    a, b, c, d = (Subject.config(TENANT, name) for name in "abcd")
    for subject, username, level in (
        (a, BOB, Level.READ),
        (b, WORLD, Level.EXECUTE),
        (c, OWNER, Level.UPDATE),
        (d, BOB, Level.NONE),
        (SUBJECTS[1], BOB, Level.UPDATE),
    ):
        permissions.grant(tx, subject, username, level)
    levels = {subject: permissions.level_of(tx, subject, BOB) for subject in (a, b, c, d)}
    assert {subject for subject in levels if levels[subject] >= Level.READ} == {a, b}
    assert {subject for subject in levels if levels[subject] >= Level.EXECUTE} == {b}


def test_earlier_permissions_of_actors_are_taken_over() -> None:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    for statement in _statements(_scripts()[1]):
        connection.execute(statement)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("INSERT INTO actor_permissions VALUES ('JWpkNmBwKewYo', 'bob', 2)")
    for statement in _statements(_scripts()[2]):
        connection.execute(statement)
    assert [tuple(row) for row in connection.execute("SELECT * FROM permissions")] == [
        ("actor", "JWpkNmBwKewYo", "bob", 2)
    ]
    connection.close()


def test_the_actors_somebody_may_read_are_found_by_index(tx: sqlite3.Connection) -> None:
    plan = tx.execute(
        "EXPLAIN QUERY PLAN SELECT subject FROM permissions WHERE kind = 'actor' AND username IN (?, ?) AND level >= ?",
        (BOB, WORLD, Level.READ),
    ).fetchall()
    assert "COVERING INDEX permissions_of_user" in plan[0]["detail"]
