from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path

import argon2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from abacod.config import AuthSettings
from abacod.errors import InvalidField, NotAuthenticated, UserNotFound
from abacod.ids import TenantId, Username
from abacod.models.user import Caller, User
from abacod.services import accounts as accounts_module
from abacod.services.accounts import Accounts, checked_username, hash_password, is_username
from abacod.services.tokens import SigningKey, Tokens
from abacod.store import users
from abacod.store.database import Database
from tests.fakes import FakeClock

START = datetime(2026, 1, 1, tzinfo=UTC)
DEV, LAB = TenantId("dev"), TenantId("lab")
ISSUER = "https://tokens.example.org/v3/tokens"
# The cost of checking a password is written in its hash: a cheap one keeps the tests fast.
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.fixture(scope="module")
def stranger() -> SigningKey:
    return SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def settings(tmp_path: Path, stranger: SigningKey) -> AuthSettings:
    path = tmp_path / "issuer.pem"
    path.write_text(stranger.public_key_pem)
    return AuthSettings(
        tenants=("lab",),
        hosts={"Lab.example.org": "lab", "gone.example.org": "gone", "::1": "lab"},
        issuers={ISSUER: path},
    )


@pytest.fixture
def tokens(key: SigningKey, settings: AuthSettings, clock: FakeClock) -> Tokens:
    return Tokens(key, settings, "http://127.0.0.1:8000", clock)


@pytest.fixture
async def accounts(database: Database, tokens: Tokens, settings: AuthSettings, clock: FakeClock) -> Accounts:
    return Accounts(database, tokens, settings, clock)


async def add(database: Database, name: str, tenant: TenantId = DEV, created: datetime = START) -> User:
    user = User(tenant, Username(name), frozenset({"abaco_admin"}), created)
    stored = CHEAP.hash(f"{name}'s password")
    await database.write(lambda tx: users.insert(tx, user, stored))
    return user


async def remove(database: Database, user: User) -> None:
    await database.write(lambda tx: users.delete(tx, user.tenant, user.username))


def foreign(stranger: SigningKey, username: str, kind: str = "access", roles: tuple[str, ...] = ()) -> str:
    return jwt.encode(
        {
            "iss": ISSUER,
            "exp": int(START.timestamp()) + 60,
            "tapis/tenant_id": "dev",
            "tapis/username": username,
            "tapis/token_type": kind,
            "tapis/roles": roles,
        },
        stranger.private,
        algorithm="RS256",
    )


# --- logins ----------------------------------------------------------------------------------------------------------


async def test_the_right_password_logs_in(database: Database, accounts: Accounts) -> None:
    alice = await add(database, "alice")
    assert await accounts.login(DEV, Username("alice"), "alice's password") == alice


@pytest.mark.parametrize(
    ("tenant", "name", "password"),
    [
        ("dev", "alice", "wrong"),
        ("dev", "alice", ""),
        ("dev", "alice", "\ud800"),
        ("dev", "bob", "alice's password"),
        ("lab", "alice", "alice's password"),
        ("gone", "alice", "alice's password"),
        ("dev", "\ud800", "alice's password"),
        ("dev", "ABACO_WORLD", ""),
    ],
)
async def test_every_other_login_gets_one_and_the_same_answer(
    database: Database, accounts: Accounts, tenant: str, name: str, password: str
) -> None:
    await add(database, "alice")
    with pytest.raises(NotAuthenticated) as refused:
        await accounts.login(TenantId(tenant), Username(name), password)
    assert refused.value.message == "Invalid username or password."


async def test_an_unknown_user_costs_as_much_as_a_wrong_password(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    monkeypatch.setattr(accounts_module, "_matches", lambda stored, _: checked.append(stored))
    with pytest.raises(NotAuthenticated):
        await accounts.login(DEV, Username("nobody"), "secret")
    (dummy,) = checked
    assert argon2.extract_parameters(dummy) == argon2.extract_parameters(hash_password("secret"))


async def test_a_stored_hash_that_is_damaged_is_a_wrong_password(database: Database, accounts: Accounts) -> None:
    alice = await add(database, "alice")
    await database.write(lambda tx: users.set_password(tx, DEV, alice.username, "damaged", START))
    with pytest.raises(NotAuthenticated):
        await accounts.login(DEV, alice.username, "alice's password")


async def test_a_storm_of_logins_checks_two_passwords_at_once_even_when_callers_leave(
    database: Database, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await add(database, "alice")
    loop, may_end, both_run = asyncio.get_running_loop(), threading.Event(), asyncio.Event()
    begun: list[str] = []

    def check(_stored: str, password: str) -> bool:
        begun.append(password)
        if len(begun) == 2:
            loop.call_soon_threadsafe(both_run.set)
        return may_end.wait(5)

    monkeypatch.setattr(accounts_module, "_matches", check)
    logins = {text: asyncio.create_task(accounts.login(DEV, alice.username, text)) for text in "abcdef"}
    await both_run.wait()
    left = logins.pop(begun[0])
    left.cancel()
    # Any thread that the cancelled login had let in would have been started by these rounds.
    for _ in range(10):
        await database.read(users.listed)
    assert len(begun) == 2
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await left
    assert await asyncio.gather(*logins.values()) == [alice] * 5
    assert sorted(begun) == list("abcdef")


# --- callers ---------------------------------------------------------------------------------------------------------


async def test_a_caller_has_the_roles_of_the_account(database: Database, accounts: Accounts, tokens: Tokens) -> None:
    alice = await add(database, "alice", LAB)
    caller = await accounts.caller_of(tokens.issue(alice, "access").text)
    assert caller == Caller(LAB, Username("alice"), frozenset({"abaco_admin"}))


async def test_a_removed_account_is_refused_within_a_second(
    database: Database, accounts: Accounts, tokens: Tokens, clock: FakeClock
) -> None:
    alice = await add(database, "alice")
    token = tokens.issue(alice, "access").text
    await accounts.caller_of(token)
    await remove(database, alice)
    await clock.advance(0.9)
    assert (await accounts.caller_of(token)).username == "alice"
    await clock.advance(0.1)
    for _ in range(2):
        with pytest.raises(NotAuthenticated, match="no account any more"):
            await accounts.caller_of(token)


async def change_password(database: Database, clock: FakeClock, user: User) -> User:
    await database.write(lambda tx: users.set_password(tx, user.tenant, user.username, CHEAP.hash("new"), clock.now()))
    return await database.read(lambda tx: users.get(tx, user.tenant, user.username))


async def test_tokens_from_before_a_change_of_password_are_refused_within_a_second(
    database: Database, accounts: Accounts, tokens: Tokens, clock: FakeClock
) -> None:
    alice = await add(database, "alice")
    access, refresh = tokens.issue(alice, "access").text, tokens.issue(alice, "refresh").text
    await accounts.caller_of(access)
    alice = await change_password(database, clock, alice)
    # when a second has passed in which the account was not looked at again
    await clock.advance(1)
    with pytest.raises(NotAuthenticated, match="password was changed"):
        await accounts.caller_of(access)
    # and no new ones are to be had for the old one from that moment, while a login of the same instant is good
    with pytest.raises(NotAuthenticated, match="password was changed"):
        await accounts.refresh(refresh)
    assert (await accounts.caller_of(tokens.issue(alice, "access").text)).username == "alice"
    assert await accounts.refresh(tokens.issue(alice, "refresh").text) == alice


async def test_a_login_with_the_old_password_that_is_overtaken_by_its_change_gets_a_token_that_is_refused(
    database: Database, accounts: Accounts, tokens: Tokens, clock: FakeClock
) -> None:
    logged_in = await accounts.login(DEV, (await add(database, "alice")).username, "alice's password")
    await change_password(database, clock, logged_in)
    await clock.advance(5)
    with pytest.raises(NotAuthenticated, match="password was changed"):
        await accounts.caller_of(tokens.issue(logged_in, "access").text)


async def test_within_that_second_the_database_is_not_asked(
    database: Database, accounts: Accounts, tokens: Tokens
) -> None:
    token = tokens.issue(await add(database, "alice"), "access").text
    first = await accounts.caller_of(token)
    await database.close()
    assert await accounts.caller_of(token) == first


async def test_the_memory_of_accounts_is_bounded(
    database: Database, accounts: Accounts, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts_module, "_CACHED", 2)
    for name in ("a", "b", "c"):
        await accounts.caller_of(tokens.issue(await add(database, name), "access").text)
    assert len(accounts._looks) <= 2


async def test_a_new_account_does_not_inherit_the_tokens_of_an_earlier_one_of_its_name(
    database: Database, accounts: Accounts, tokens: Tokens, clock: FakeClock
) -> None:
    earlier = await add(database, "alice")
    access, refresh = tokens.issue(earlier, "access").text, tokens.issue(earlier, "refresh").text
    await remove(database, earlier)
    await clock.advance(2.5)
    later = await add(database, "alice", created=clock.now())
    with pytest.raises(NotAuthenticated, match="older than the account"):
        await accounts.caller_of(access)
    with pytest.raises(NotAuthenticated, match="older than the account"):
        await accounts.refresh(refresh)
    assert (await accounts.caller_of(tokens.issue(later, "access").text)).username == "alice"


async def test_the_users_of_another_issuer_need_no_account(accounts: Accounts, stranger: SigningKey) -> None:
    plain = await accounts.caller_of(foreign(stranger, "carol"))
    assert plain == Caller(DEV, Username("carol"), frozenset())
    admin = await accounts.caller_of(foreign(stranger, "carol", roles=("abaco_admin",)))
    assert admin.is_admin


@pytest.mark.parametrize("name", ["ABACO_WORLD", "..", "a/b", "ä", "x" * 65])
async def test_another_issuer_cannot_bring_in_a_name_that_users_may_not_have(
    accounts: Accounts, stranger: SigningKey, name: str
) -> None:
    with pytest.raises(NotAuthenticated, match="user name"):
        await accounts.caller_of(foreign(stranger, name))


async def test_what_is_no_token_has_no_caller(accounts: Accounts) -> None:
    with pytest.raises(NotAuthenticated, match="malformed"):
        await accounts.caller_of("opaque")


# --- refreshing ------------------------------------------------------------------------------------------------------


async def test_a_refresh_token_stands_for_its_user(database: Database, accounts: Accounts, tokens: Tokens) -> None:
    alice = await add(database, "alice")
    assert await accounts.refresh(tokens.issue(alice, "refresh").text) == alice


async def test_an_access_token_does_not_refresh(database: Database, accounts: Accounts, tokens: Tokens) -> None:
    alice = await add(database, "alice")
    with pytest.raises(NotAuthenticated, match="type refresh"):
        await accounts.refresh(tokens.issue(alice, "access").text)


async def test_another_issuers_refresh_token_is_not_ours_to_refresh(accounts: Accounts, stranger: SigningKey) -> None:
    with pytest.raises(NotAuthenticated, match="where it was issued"):
        await accounts.refresh(foreign(stranger, "carol", "refresh"))


async def test_a_removed_user_cannot_refresh_from_that_moment(
    database: Database, accounts: Accounts, tokens: Tokens
) -> None:
    alice = await add(database, "alice")
    token = tokens.issue(alice, "refresh").text
    await accounts.refresh(token)
    await remove(database, alice)
    with pytest.raises(NotAuthenticated):
        await accounts.refresh(token)


# --- accounts, tenants, names ----------------------------------------------------------------------------------------


async def test_accounts_can_be_looked_up(database: Database, accounts: Accounts) -> None:
    bob, alice = await add(database, "bob"), await add(database, "alice")
    await add(database, "carol", LAB)
    assert await accounts.get(DEV, Username("bob")) == bob
    assert await accounts.listed(DEV) == [alice, bob]
    for name in ("carol", "\ud800"):
        with pytest.raises(UserNotFound):
            await accounts.get(DEV, Username(name))


@pytest.mark.parametrize(
    ("header", "host", "tenant"),
    [
        (None, "127.0.0.1:8000", "dev"),
        ("lab", "127.0.0.1:8000", "lab"),
        (" dev ", "lab.example.org", "dev"),
        ("", "lab.example.org", "lab"),
        (None, "LAB.example.org:8000", "lab"),
        (None, "[::1]:8000", "lab"),
        (None, "", "dev"),
    ],
)
def test_a_login_is_for_the_tenant_named_or_the_hosts_or_the_default(
    accounts: Accounts, header: str | None, host: str, tenant: str
) -> None:
    assert accounts.tenant_of_login(header, host) == tenant


@pytest.mark.parametrize(("header", "host"), [("gone", ""), (None, "gone.example.org")])
def test_an_unknown_tenant_is_named(accounts: Accounts, header: str | None, host: str) -> None:
    with pytest.raises(NotAuthenticated, match="Tenant gone is unknown"):
        accounts.tenant_of_login(header, host)


def test_passwords_are_hashed_with_argon2_and_a_salt() -> None:
    first, second = hash_password("secret"), hash_password("secret")
    assert first.startswith("$argon2id$")
    assert first != second
    assert argon2.PasswordHasher().verify(first, "secret")


@pytest.mark.parametrize("text", ["", "\ud800"])
def test_a_password_must_be_text(text: str) -> None:
    with pytest.raises(InvalidField):
        hash_password(text)


def test_user_names() -> None:
    for good in ("a", "alice@lab.example.org", "A.b_c+d-1", "x" * 64):
        assert is_username(good)
        assert checked_username(good) == good
    for bad in ("", "x" * 65, "a b", "a/b", "ä", "a\n", "ABACO_WORLD", ".", ".."):
        assert not is_username(bad)
        with pytest.raises(InvalidField, match="user name"):
            checked_username(bad)
