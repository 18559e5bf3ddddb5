"""Accounts: who may log in, and who makes a request."""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from abacod.clock import Clock
from abacod.config import AuthSettings
from abacod.errors import InvalidField, NotAuthenticated, UserNotFound
from abacod.ids import TenantId, Username
from abacod.models.user import WORLD, Caller, User
from abacod.services.tokens import Claims, Tokens
from abacod.store import users
from abacod.store.database import Database

_USERNAME: Final = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
# Passwords checked at once; each takes 64 MiB, so a storm of logins must queue.
_CHECKS_AT_ONCE: Final = 2
# How long a look at an account is good for, in seconds: what the command line does takes effect within this.
_FRESH_SECONDS: Final = 1.0
# Accounts kept in memory, in accounts.
_CACHED: Final = 4096

_hasher: Final = PasswordHasher()


@dataclass(frozen=True, slots=True)
class _Look:
    user: User
    until: float


@dataclass(frozen=True, slots=True)
class _Known:
    """Who sends a token: good while both the look at the account and the token are. By the monotonic clock, in seconds."""

    caller: Caller
    until: float


class Accounts:
    """The accounts of all tenants."""

    def __init__(self, database: Database, tokens: Tokens, settings: AuthSettings, clock: Clock) -> None:
        self._database = database
        self._tokens = tokens
        self._default_tenant = TenantId(settings.default_tenant)
        self._tenants = frozenset((settings.default_tenant, *settings.tenants))
        self._hosts = {host.lower(): tenant for host, tenant in settings.hosts.items()}
        self._clock = clock
        self._free = asyncio.Semaphore(_CHECKS_AT_ONCE)
        self._dummy = _dummy_hash()
        self._looks: dict[tuple[TenantId, Username], _Look] = {}
        self._known: dict[str, _Known] = {}

    async def login(self, tenant: TenantId, username: Username, password: str) -> User:
        """The user whose password this is. An unknown user takes as long as a wrong password.

        Raises:
            NotAuthenticated: there is no such user, or the password is another one; the message does not tell which.
        """
        user, stored = None, None
        if tenant in self._tenants and is_username(username):
            user, stored = await self._database.read(
                lambda tx: (users.find(tx, tenant, username), users.password_hash(tx, tenant, username))
            )
        matches = await self._matches(stored or self._dummy, password)
        if user is None or stored is None or not matches:
            raise NotAuthenticated("Invalid username or password.")
        return user

    async def caller_of(self, token_text: str) -> Caller:
        """Who sends this access token. Roles are those of the account; for other issuers' users, those in the token.

        Raises:
            NotAuthenticated: the token is not good, is older than the password, or the account it was made for is gone.
        """
        known = self._known.get(token_text)
        if known is not None and known.until > self._clock.monotonic():
            return known.caller
        claims = self._tokens.verify(token_text)
        if not claims.own:
            # Such a user has no account, so the rules for names apply here: a user must not be everyone, nor a path.
            if not is_username(claims.username):
                raise NotAuthenticated("The user name in the token is not allowed here.")
            return Caller(claims.tenant, claims.username, claims.roles or frozenset())
        key = (claims.tenant, claims.username)
        look = self._looks.get(key)
        if look is None or look.until <= self._clock.monotonic():
            look = await self._looked_up(claims)
        _refuse_outdated(claims, look.user)
        caller = Caller(look.user.tenant, look.user.username, look.user.roles)
        left = (claims.expires - self._clock.now()).total_seconds()
        if len(self._known) >= _CACHED:
            self._known.clear()
        self._known[token_text] = _Known(caller, min(look.until, self._clock.monotonic() + left))
        return caller

    async def refresh(self, refresh_token: str) -> User:
        """The user whom this refresh token entitles to new tokens.

        Raises:
            NotAuthenticated: the token is not good, not ours, older than the password, or its account is gone.
        """
        claims = self._tokens.verify(refresh_token, "refresh")
        if not claims.own:
            raise NotAuthenticated("Refresh this token where it was issued.")
        user = (await self._looked_up(claims)).user
        _refuse_outdated(claims, user)
        return user

    async def get(self, tenant: TenantId, username: Username) -> User:
        """The account.

        Raises:
            UserNotFound: there is none.
        """
        if not is_username(username):
            raise UserNotFound
        return await self._database.read(lambda tx: users.get(tx, tenant, username))

    async def listed(self, tenant: TenantId) -> list[User]:
        """The tenant's accounts, by name."""
        return await self._database.read(lambda tx: users.listed(tx, tenant))

    def tenant_of_login(self, header: str | None, host: str) -> TenantId:
        """The tenant a login is for: the one in `X-Tapis-Tenant`, else by the host name it was sent to, else the default.

        `host` is the request's Host, with or without a port.

        Raises:
            NotAuthenticated: this server does not know that tenant.
        """
        tenant = (header or "").strip() or self._hosts.get(_without_port(host)) or self._default_tenant
        if tenant not in self._tenants:
            raise NotAuthenticated(f"Tenant {tenant} is unknown here.")
        return TenantId(tenant)

    async def _matches(self, stored: str, password: str) -> bool:
        await self._free.acquire()
        checking = asyncio.ensure_future(asyncio.to_thread(_matches, stored, password))
        # A thread cannot be cancelled: its memory is free again when it ends, not when its caller has gone.
        checking.add_done_callback(lambda _: self._free.release())
        return await asyncio.shield(checking)

    async def _looked_up(self, claims: Claims) -> _Look:
        user = await self._database.read(lambda tx: users.find(tx, claims.tenant, claims.username))
        if user is None:
            self._looks.pop((claims.tenant, claims.username), None)
            raise NotAuthenticated(f"The user {claims.username} of this token has no account any more.")
        if len(self._looks) >= _CACHED:
            self._looks.clear()
        look = _Look(user, self._clock.monotonic() + _FRESH_SECONDS)
        self._looks[claims.tenant, claims.username] = look
        return look


def hash_password(text: str) -> str:
    """The argon2 hash under which a password is stored; takes some 50 ms and 64 MiB.

    Raises:
        InvalidField: the password is empty or not valid text.
    """
    if not text:
        raise InvalidField("The password is empty.")
    try:
        return _hasher.hash(text)
    except UnicodeEncodeError as error:
        raise InvalidField("The password is not valid UTF-8.") from error


def is_username(text: str) -> bool:
    """Whether a user may be called `text`. Names stand in paths of mounts, so `.` and `..` are none."""
    return _USERNAME.fullmatch(text) is not None and text not in {WORLD, ".", ".."}


def checked_username(text: str) -> Username:
    """`text` as a user name.

    Raises:
        InvalidField: a user may not be called so.
    """
    if not is_username(text):
        raise InvalidField(
            f"{text!r} is no user name: use 1 to 64 letters, digits and . _ @ + - (and not {WORLD}, which means everyone)."
        )
    return Username(text)


def _matches(stored: str, password: str) -> bool:
    try:
        # JSON can carry half a surrogate pair: that is a wrong password, not a failure.
        return _hasher.verify(stored, password.encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False


def _dummy_hash() -> str:
    """A hash that no password has and that takes as long to check as a real one; making it costs nothing."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).rstrip(b"=").decode()
        for length in (_hasher.salt_len, _hasher.hash_len)
    )
    cost = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${digest}"


def _refuse_outdated(claims: Claims, user: User) -> None:
    """Refuse a token older than the account: it was made for somebody who had this name before.

    Refuse one that was issued under another password, too: it may be why the password was changed. Not the moments are
    compared: a login that has checked the old password while it is changed gets its token after the change.
    """
    if claims.issued is None or claims.issued < user.created.replace(microsecond=0):
        raise NotAuthenticated("The token is older than the account of this name; log in again.")
    if claims.password_changed != user.password_changed:
        raise NotAuthenticated("The password was changed since this token was issued; log in again.")


def _without_port(host: str) -> str:
    """`[::1]:8000` without `:8000`, in lower case; brackets go too."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]
