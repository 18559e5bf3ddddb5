"""Sites, tenants, tokens and profiles: what clients need before their first call (spec/clients 2.1)."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from abacod.api.body import read_fields
from abacod.api.calls import Call
from abacod.api.reply import Replies, envelope, moment
from abacod.errors import InvalidField, NotAuthenticated, UserNotFound
from abacod.ids import Username
from abacod.models.user import User
from abacod.services.accounts import Accounts
from abacod.services.tokens import IssuedToken, Tokens

# A login is small; anything larger is an attempt to fill memory. In bytes.
_MAX_LOGIN: Final = 65_536


class IdentityApi:
    """Handlers for logins and for what describes this server."""

    def __init__(
        self, accounts: Accounts, tokens: Tokens, replies: Replies, *, site_id: str, tenants: tuple[str, ...]
    ) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._replies = replies
        self._site_id = site_id
        self._tenants = tenants

    async def sites(self, call: Call) -> web.StreamResponse:
        """GET /v3/sites"""
        site = {
            "site_id": self._site_id,
            "base_url": self._base_url(call),
            "tenant_base_url_template": self._base_url(call),
            "primary": True,
            "services": ["actors", "authenticator", "tenants", "tokens"],
            "site_admin_tenant_id": self._tenants[0],
        }
        return self._replies.as_is([site], "Sites retrieved successfully.")

    async def tenants(self, call: Call) -> web.StreamResponse:
        """GET /v3/tenants"""
        shown = [self._tenant(call, tenant) for tenant in self._tenants]
        return self._replies.as_is(shown, "Tenants retrieved successfully.")

    async def tenant(self, call: Call) -> web.StreamResponse:
        """GET /v3/tenants/{tenant}"""
        tenant = call.parameters["tenant"]
        if tenant not in self._tenants:
            raise UserNotFound(f"No tenant found with tenant_id {tenant}.")
        return self._replies.as_is(self._tenant(call, tenant), "Tenant retrieved successfully.")

    async def create_tokens(self, call: Call) -> web.StreamResponse:
        """POST /v3/oauth2/tokens: the password grant, or a refresh."""
        fields = await read_fields(call.request, (), _MAX_LOGIN)
        grant = fields.get("grant_type", "password")
        if grant == "refresh_token":
            user = await self._accounts.refresh(_text(fields, "refresh_token"))
        elif grant == "password":
            user = await self._login(call, fields)
        else:
            raise InvalidField("grant_type: give password or refresh_token.")
        result = {
            "access_token": _shown_token(self._tokens.issue(user, "access"), "access_token"),
            "refresh_token": _shown_token(self._tokens.issue(user, "refresh"), "refresh_token"),
        }
        return envelope(result, "Token created successfully.", status=200)

    async def userinfo(self, call: Call) -> web.StreamResponse:
        """GET /v3/oauth2/userinfo"""
        user = await self._accounts.get(call.caller.tenant, call.caller.username)
        return self._replies.as_is(_profile(user), "User info retrieved successfully.")

    async def profile(self, call: Call) -> web.StreamResponse:
        """GET /v3/oauth2/profiles/{username}"""
        user = await self._accounts.get(call.caller.tenant, Username(call.parameters["username"]))
        return self._replies.as_is(_profile(user), "User profile retrieved successfully.")

    async def profiles(self, call: Call) -> web.StreamResponse:
        """GET /v3/oauth2/profiles"""
        shown = [_profile(user) for user in await self._accounts.listed(call.caller.tenant)]
        return self._replies.as_is(shown, "Profiles retrieved successfully.")

    async def _login(self, call: Call, fields: dict[str, Any]) -> User:
        headers = call.request.headers
        tenant = self._accounts.tenant_of_login(headers.get("X-Tapis-Tenant"), call.request.host)
        if "username" not in fields and "Authorization" in headers:
            # Without a user in the body, HTTP basic names the user; with one, it names an OAuth client, which we have none of.
            username, password = _basic(headers["Authorization"])
        else:
            username, password = _text(fields, "username"), _text(fields, "password")
        return await self._accounts.login(tenant, Username(username), password)

    def _tenant(self, call: Call, tenant: str) -> dict[str, Any]:
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
        public = urlsplit(self._replies.public_url)
        if call.request.host == public.netloc:
            return self._replies.public_url
        return f"{call.request.scheme}://{call.request.host}"


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
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


def _shown_token(token: IssuedToken, name: str) -> dict[str, Any]:
    return {
        name: token.text,
        "expires_at": token.expires_at.isoformat(),
        "expires_in": token.expires_in,
        "jti": token.jti,
    }


def _profile(user: User) -> dict[str, Any]:
    return {
        "username": user.username,
        "email": None,
        "create_time": moment(user.created),
        "dn": f"cn={user.username},ou=People,o={user.tenant}",
        "uid": user.uid,
        "gid": user.gid,
    }
