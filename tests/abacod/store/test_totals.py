from __future__ import annotations

import sqlite3

from abacod.ids import TenantId
from abacod.models.execution import Totals
from abacod.models.overview import ActorSums
from abacod.store import actors, executions, totals
from tests.factories import TENANT, actor, execution

LAB = TenantId("lab")


def test_sums_outlive_their_actor(tx: sqlite3.Connection) -> None:
    # given one actor with two executions, an idle one, and one in another tenant
    busy, idle, elsewhere = actor(), actor(), actor(tenant=LAB)
    for each in (busy, idle, elsewhere):
        actors.insert(tx, each)
    for _ in range(2):
        executions.insert(tx, execution(busy))
    # when the busy one goes
    before = totals.of_tenant(tx, TENANT)
    assert before == ActorSums(2, 1, Totals(executions=2)) == totals.of_tenant(tx, TENANT, existing=True)
    actors.delete(tx, busy.id)
    # then what it did stays counted, and only the others exist
    assert totals.of_tenant(tx, TENANT) == before
    assert totals.of_tenant(tx, TENANT, existing=True) == ActorSums(1, 0, Totals())
    assert totals.of_tenant(tx, LAB) == ActorSums(1, 0, Totals())
    assert totals.by_actor(tx, TENANT) == {busy.id: Totals(executions=2), idle.id: Totals()}
    assert (actors.count(tx), totals.actors_ever(tx)) == (2, 3)


def test_a_tenant_without_actors_has_empty_sums(tx: sqlite3.Connection) -> None:
    assert totals.of_tenant(tx, LAB) == ActorSums(0, 0, Totals())
    assert totals.by_actor(tx, LAB) == {}
