from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from abacod.config import StoreSettings
from abacod.errors import UserNotFound, UserTaken
from abacod.ids import TenantId, Username
from abacod.models.user import User
from abacod.store import users
from abacod.store.database import beside_daemon

DEV, LAB = TenantId("dev"), TenantId("lab")
ALICE = User(
    DEV, Username("alice"), frozenset({"abaco_admin", "abaco_privileged"}), datetime(2026, 1, 1, tzinfo=UTC), 1000, 100
)
BOB = User(DEV, Username("bob"), frozenset(), datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC))


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with beside_daemon(tmp_path / "abacod.db", StoreSettings()) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


def test_an_account_comes_back_as_it_went_in(tx: sqlite3.Connection) -> None:
    for user in (ALICE, BOB):
        users.insert(tx, user, "hash")
        assert users.get(tx, user.tenant, user.username) == user


def test_names_are_taken_by_tenant(tx: sqlite3.Connection) -> None:
    users.insert(tx, ALICE, "first")
    users.insert(tx, replace(ALICE, tenant=LAB), "other")
    with pytest.raises(UserTaken, match="dev has a user alice"):
        users.insert(tx, replace(ALICE, roles=frozenset()), "second")
    assert users.get(tx, DEV, ALICE.username) == ALICE
    assert users.password_hash(tx, DEV, ALICE.username) == "first"


def test_names_differ_by_case(tx: sqlite3.Connection) -> None:
    users.insert(tx, ALICE, "hash")
    assert users.find(tx, DEV, Username("Alice")) is None


def test_accounts_are_listed_by_name_of_one_tenant_or_of_all(tx: sqlite3.Connection) -> None:
    in_lab = replace(ALICE, tenant=LAB)
    for user in (in_lab, BOB, ALICE):
        users.insert(tx, user, "hash")
    assert users.listed(tx) == [ALICE, BOB, in_lab]
    assert users.listed(tx, DEV) == [ALICE, BOB]
    assert users.listed(tx, TenantId("none")) == []


def test_a_password_is_replaced_for_one_user(tx: sqlite3.Connection) -> None:
    users.insert(tx, ALICE, "alice's")
    users.insert(tx, BOB, "bob's")
    users.set_password(tx, DEV, ALICE.username, "new", BOB.created)
    assert users.password_hash(tx, DEV, ALICE.username) == "new"
    assert users.get(tx, DEV, ALICE.username) == replace(ALICE, password_changed=BOB.created)
    assert users.password_hash(tx, DEV, BOB.username) == "bob's"
    assert users.get(tx, DEV, BOB.username) == BOB


def test_roles_are_replaced_for_one_user(tx: sqlite3.Connection) -> None:
    users.insert(tx, ALICE, "hash")
    users.insert(tx, BOB, "hash")
    for roles in (["abaco_privileged", "abaco_admin"], []):
        users.set_roles(tx, DEV, ALICE.username, roles)
        assert users.get(tx, DEV, ALICE.username).roles == frozenset(roles)
    assert users.get(tx, DEV, BOB.username) == BOB


def test_a_removed_account_is_gone(tx: sqlite3.Connection) -> None:
    users.insert(tx, ALICE, "hash")
    users.insert(tx, BOB, "hash")
    users.delete(tx, DEV, ALICE.username)
    assert users.listed(tx) == [BOB]
    assert users.password_hash(tx, DEV, ALICE.username) is None


def test_what_is_asked_of_an_account_that_is_not_there_is_refused(tx: sqlite3.Connection) -> None:
    assert users.find(tx, DEV, ALICE.username) is None
    with pytest.raises(UserNotFound, match="Tenant dev has no user alice"):
        users.get(tx, DEV, ALICE.username)
    with pytest.raises(UserNotFound):
        users.set_password(tx, DEV, ALICE.username, "new", BOB.created)
    with pytest.raises(UserNotFound):
        users.set_roles(tx, DEV, ALICE.username, [])
    with pytest.raises(UserNotFound):
        users.delete(tx, DEV, ALICE.username)
