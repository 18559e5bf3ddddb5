"""Sites, tenants, tokens and profiles: what clients need before their first call (spec/clients 2.1)."""

from __future__ import annotations

import base64
import binascii
import json
from contextlib import suppress
from typing import Annotated, Final, Literal, TypedDict
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import BaseModel, Field

from abacod.api.body import read_fields
from abacod.api.calls import Call, Content
from abacod.api.fields import Text, validated
from abacod.api.reply import Moment, Replies, envelope, moment
from abacod.errors import InvalidField, NotAuthenticated, UserNotFound
from abacod.ids import TenantId, Username
from abacod.models.user import User
from abacod.services.accounts import Accounts
from abacod.services.tokens import IssuedToken, Tokens

# A login is small; anything larger is an attempt to fill memory. In bytes.
_MAX_LOGIN: Final = 65_536
# Instead of a user name in the second version: whoever calls (spec/clients 6.2).
_ME: Final = "me"


class Login(BaseModel):
    """What tokens are given for: a user's password, or a refresh token."""

    grant_type: Literal["password", "refresh_token"] = Field("password", description="password or refresh_token.")
    username: Text | None = Field(None, description="The account's name, a text; or HTTP basic.")
    password: Text | None = Field(None, description="The account's password, a text.")
    refresh_token: Text | None = Field(None, description="A refresh token of this daemon, a text.")


class Validity(TypedDict):
    """How long a token is good, and its id."""

    expires_at: str
    expires_in: Annotated[int, Field(description="In seconds.")]
    jti: str


class AccessToken(Validity):
    """An access token."""

    access_token: str


class RefreshToken(Validity):
    """A refresh token."""

    refresh_token: str


class NewTokens(TypedDict):
    """Tokens for one user."""

    access_token: AccessToken
    refresh_token: RefreshToken


class SiteShown(TypedDict):
    """This server, as clients of the platform see it."""

    site_id: str
    base_url: str
    tenant_base_url_template: str
    primary: bool
    services: list[str]
    site_admin_tenant_id: str


class TenantShown(TypedDict):
    """A tenant."""

    tenant_id: str
    site_id: str
    base_url: str
    authenticator: str
    token_service: str
    security_kernel: str
    public_key: str
    status: Literal["active"]
    description: str
    owner: str
    admin_user: str
    token_gen_services: list[str]


class Profile(TypedDict):
    """A user."""

    username: str
    email: None
    create_time: Moment
    dn: str
    uid: int | None
    gid: int | None


class ProfileV2(TypedDict):
    """A user as the second version showed them."""

    username: str
    email: None
    firstName: None
    lastName: None
    fullName: None
    phone: None
    mobilePhone: None
    status: str
    createTime: Moment
    uid: int | None
    gid: int | None


class BareTokens(TypedDict):
    """Tokens for one user, as OAuth has them."""

    access_token: str
    refresh_token: str
    expires_in: Annotated[int, Field(description="Life time of the access token, in seconds.")]
    token_type: Literal["bearer"]


BARE_TOKENS: Final = Content(
    ("application/json",),
    "Tokens, without the envelope.",
    BareTokens,
)


class IdentityApi:
    """Handlers for logins and for what describes this server."""

    def __init__(
        self,
        accounts: Accounts,
        tokens: Tokens,
        replies: Replies,
        *,
        site_id: str,
        tenants: tuple[str, ...],
        api_server: str | None = None,
    ) -> None:
        """`api_server` is the URL under which containers come, where one is set."""
        self._accounts = accounts
        self._tokens = tokens
        self._replies = replies
        self._site_id = site_id
        self._tenants = tenants
        self._known_urls = {urlsplit(url).netloc: url.rstrip("/") for url in (api_server, replies.public_url) if url}

    async def sites(self, call: Call) -> web.StreamResponse:
        """GET /v3/sites: List this one site."""
        site: SiteShown = {
            "site_id": self._site_id,
            "base_url": self._base_url(call),
            "tenant_base_url_template": self._base_url(call),
            "primary": True,
            "services": ["actors", "authenticator", "tenants", "tokens"],
            "site_admin_tenant_id": self._tenants[0],
        }
        return self._replies.as_is([site], "Sites retrieved successfully.")

    async def tenants(self, call: Call) -> web.StreamResponse:
        """GET /v3/tenants: List the tenants."""
        # Where several have the client's address, tapipy takes the last one for its own: that of its logins there.
        at_home = None
        with suppress(NotAuthenticated):
            at_home = self._accounts.tenant_of_login(None, call.request.host)
        shown = [self._tenant(call, tenant) for tenant in sorted(self._tenants, key=lambda each: each == at_home)]
        return self._replies.as_is(shown, "Tenants retrieved successfully.")

    async def tenant(self, call: Call) -> web.StreamResponse:
        """GET /v3/tenants/{tenant}: Show a tenant."""
        tenant = call.parameters["tenant"]
        if tenant not in self._tenants:
            raise UserNotFound(f"No tenant found with tenant_id {tenant}.")
        return self._replies.as_is(self._tenant(call, tenant), "Tenant retrieved successfully.")

    async def create(self, call: Call) -> web.StreamResponse:
        """POST /v3/oauth2/tokens: Get tokens for a password or a refresh token."""
        fields = await read_fields(call.request, (), _MAX_LOGIN)
        login = validated(Login, fields, "login")
        if login.grant_type == "refresh_token":
            user = await self._accounts.refresh(_given("refresh_token", login.refresh_token))
        else:
            user = await self._login(call, login)
        access, refresh = self._tokens.issue(user, "access"), self._tokens.issue(user, "refresh")
        result: NewTokens = {
            "access_token": {"access_token": access.text, **_validity(access)},
            "refresh_token": {"refresh_token": refresh.text, **_validity(refresh)},
        }
        return envelope(result, "Token created successfully.", status=200)

    async def userinfo(self, call: Call) -> web.StreamResponse:
        """GET /v3/oauth2/userinfo: Show the caller."""
        user = await self._accounts.get(call.caller.tenant, call.caller.username)
        return self._replies.as_is(_profile(user), "User info retrieved successfully.")

    async def profile(self, call: Call) -> web.StreamResponse:
        """GET /v3/oauth2/profiles/{username}: Show a user of the caller's tenant."""
        user = await self._accounts.get(call.caller.tenant, Username(call.parameters["username"]))
        return self._replies.as_is(_profile(user), "User profile retrieved successfully.")

    async def profiles(self, call: Call) -> web.StreamResponse:
        """GET /v3/oauth2/profiles: List the users of the caller's tenant."""
        shown = [_profile(user) for user in await self._accounts.listed(call.caller.tenant)]
        return self._replies.as_is(shown, "Profiles retrieved successfully.")

    async def create_bare(self, call: Call) -> web.StreamResponse:
        """POST /token: Get tokens in OAuth's own form.

        For clients of the second version (spec/clients 6.2). HTTP basic names their OAuth client, never a user. Errors come in
        the envelope, as everywhere.
        """
        login = validated(Login, await read_fields(call.request, (), _MAX_LOGIN), "login")
        if login.grant_type == "refresh_token":
            user = await self._accounts.refresh(_given("refresh_token", login.refresh_token))
        else:
            username, password = _given("username", login.username), _given("password", login.password)
            user = await self._accounts.login(self._tenant_of(call), Username(username), password)
        access, refresh = self._tokens.issue(user, "access"), self._tokens.issue(user, "refresh")
        result: BareTokens = {
            "access_token": access.text,
            "refresh_token": refresh.text,
            "expires_in": access.expires_in,
            "token_type": "bearer",
        }
        return web.Response(
            body=json.dumps(result).encode(), content_type="application/json", headers={"Cache-Control": "no-store"}
        )

    async def profiles_v2(self, call: Call) -> web.StreamResponse:
        """GET /profiles/v2: List the users of the caller's tenant as the second version did."""
        shown = [_profile_v2(user) for user in await self._accounts.listed(call.caller.tenant)]
        return self._replies.as_is(shown, "Profiles retrieved successfully.")

    async def profile_v2(self, call: Call) -> web.StreamResponse:
        """GET /profiles/v2/{username}: Show a user of the caller's tenant, or with `me` the caller."""
        named = Username(call.parameters["username"])
        user = await self._accounts.get(call.caller.tenant, call.caller.username if named == _ME else named)
        return self._replies.as_is(_profile_v2(user), "User details retrieved successfully.")

    def _tenant_of(self, call: Call) -> TenantId:
        return self._accounts.tenant_of_login(call.request.headers.get("X-Tapis-Tenant"), call.request.host)

    async def _login(self, call: Call, login: Login) -> User:
        headers = call.request.headers
        if login.username is None and "Authorization" in headers:
            # Without a user in the body, HTTP basic names the user; with one, it names an OAuth client, which we have none of.
            username, password = _basic(headers["Authorization"])
        else:
            username, password = _given("username", login.username), _given("password", login.password)
        return await self._accounts.login(self._tenant_of(call), Username(username), password)

    def _tenant(self, call: Call, tenant: str) -> TenantShown:
        base_url = self._base_url(call)
        return {
            "tenant_id": tenant,
            "site_id": self._site_id,
            "base_url": base_url,
            "authenticator": f"{base_url}/v3/oauth2",
            "token_service": f"{base_url}/v3/tokens",
            "security_kernel": f"{base_url}/v3/security",
            "public_key": self._tokens.public_key_pem,
            "status": "active",
            "description": f"Tenant {tenant} of this abacod.",
            "owner": "",
            "admin_user": "",
            "token_gen_services": [],
        }

    def _base_url(self, call: Call) -> str:
        """The address the client used: tapipy looks for the tenant whose `base_url` equals its own (spec/clients 2.1)."""
        host = call.request.host
        # What comes through a proxy does not show whether the client spoke TLS with that.
        return self._known_urls.get(host) or f"{call.request.scheme}://{host}"


def _given(name: str, value: str | None) -> str:
    if not value:
        raise InvalidField(f"{name}: it is missing; give a text.")
    return value


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        raise NotAuthenticated("Invalid username or password.") from None
    return username, password


def _validity(token: IssuedToken) -> Validity:
    return {
        "expires_at": token.expires_at.isoformat(),
        "expires_in": token.expires_in,
        "jti": token.jti,
    }


def _profile_v2(user: User) -> ProfileV2:
    return {
        "username": user.username,
        "email": None,
        "firstName": None,
        "lastName": None,
        "fullName": None,
        "phone": None,
        "mobilePhone": None,
        "status": "",
        "createTime": moment(user.created),
        "uid": user.uid,
        "gid": user.gid,
    }


def _profile(user: User) -> Profile:
    return {
        "username": user.username,
        "email": None,
        "create_time": moment(user.created),
        "dn": f"cn={user.username},ou=People,o={user.tenant}",
        "uid": user.uid,
        "gid": user.gid,
    }
