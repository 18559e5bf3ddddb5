from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest

from abacod.errors import ActorNotFound
from abacod.ids import TenantId, Username, new_actor_id
from abacod.models.actor import Mount
from abacod.models.permission import Subject
from abacod.models.states import ActorStatus
from abacod.models.user import WORLD, Level
from abacod.store import actors, permissions
from tests.factories import OWNER, START, TENANT, actor

BOB = Username("bob")


def test_an_actor_comes_back_as_it_was_stored(tx: sqlite3.Connection) -> None:
    stored = actor(
        name="näme",
        default_environment={"A": "ü"},
        hints=("a", "b"),
        token=True,
        mem_limit="1g",
        cron_schedule="now + 1 day",
        state={"deep": [None, 1.5]},
        mounts=(Mount("/a", "/b", "rw"),),
        uid=0,
        gid=0,
        tasdir="1/ada",
        cron_start=START,
        cron_next=START + timedelta(days=1),
    )
    actors.insert(tx, stored)
    assert actors.get(tx, TENANT, stored.id) == actors.find(tx, stored.id) == stored
    assert permissions.level_of(tx, Subject.actor(stored.id), OWNER) is Level.UPDATE


def test_what_is_not_there(tx: sqlite3.Connection) -> None:
    stored = actor()
    actors.insert(tx, stored)
    with pytest.raises(ActorNotFound):
        actors.get(tx, TenantId("other"), stored.id)
    assert actors.find(tx, new_actor_id()) is None
    assert actors.statuses_of(tx, [new_actor_id()]) == {}
    with pytest.raises(ActorNotFound):
        actors.replace(tx, actor())


def test_replacing_keeps_the_state_and_what_never_changes(tx: sqlite3.Connection) -> None:
    stored = actor(state=1)
    actors.insert(tx, stored)
    actors.set_state(tx, stored.id, 2)
    later = START + timedelta(hours=1)
    changed = replace(
        stored, state=3, owner=BOB, create_time=later, revision=2, last_update_time=later, status_message="m"
    )
    actors.replace(tx, changed)
    assert actors.find(tx, stored.id) == replace(changed, state=2, owner=OWNER, create_time=START)


def test_a_status_changes_only_for_the_revision_it_is_about(tx: sqlite3.Connection) -> None:
    stored = actor(revision=2)
    actors.insert(tx, stored)
    assert not actors.set_status(tx, stored.id, ActorStatus.ERROR, "old", revision=1)
    assert actors.set_status(tx, stored.id, ActorStatus.READY, " ", revision=2)
    assert not actors.set_status(tx, stored.id, ActorStatus.READY, " ", revision=2)
    assert actors.set_status(tx, stored.id, ActorStatus.SHUTTING_DOWN, "")
    # nothing leads back
    assert not actors.set_status(tx, stored.id, ActorStatus.READY, " ")
    assert actors.statuses_of(tx, [stored.id]) == {stored.id: ActorStatus.SHUTTING_DOWN}
    assert [each.id for each in actors.in_status(tx, ActorStatus.SHUTTING_DOWN)] == [stored.id]
    assert actors.in_status(tx, ActorStatus.READY, ActorStatus.ERROR) == []


def test_who_may_read_what(tx: sqlite3.Connection) -> None:
    own, shared, public, hidden = (actor(), *(actor(owner=BOB) for _ in range(3)))
    foreign = actor(tenant=TenantId("other"))
    for each in (own, shared, public, hidden, foreign):
        actors.insert(tx, each)
    permissions.grant(tx, Subject.actor(shared.id), OWNER, Level.READ)
    permissions.grant(tx, Subject.actor(public.id), WORLD, Level.EXECUTE)
    permissions.grant(tx, Subject.actor(hidden.id), OWNER, Level.READ)
    permissions.grant(tx, Subject.actor(hidden.id), OWNER, Level.NONE)
    assert [each.id for each in actors.readable_by(tx, TENANT, OWNER)] == [own.id, shared.id, public.id]
    levels = [permissions.level_of(tx, Subject.actor(each.id), OWNER) for each in (own, shared, public, hidden)]
    assert levels == [Level.UPDATE, Level.READ, Level.EXECUTE, Level.NONE]


def test_the_link_graph_of_a_tenant(tx: sqlite3.Connection) -> None:
    first, second, foreign = actor(), actor(link="x"), actor(tenant=TenantId("other"), link="y")
    for each in (first, second, foreign):
        actors.insert(tx, each)
    assert actors.links(tx, TENANT) == {second.id: "x"}


def test_permissions_go_with_the_actor(tx: sqlite3.Connection) -> None:
    stored = actor()
    actors.insert(tx, stored)
    actors.delete(tx, stored.id)
    assert actors.find(tx, stored.id) is None
    assert permissions.level_of(tx, Subject.actor(stored.id), OWNER) is Level.NONE
