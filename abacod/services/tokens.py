"""Tokens: RS256 JWTs that this daemon signs, and those of further issuers that it trusts (spec/actors-api 7.1)."""

from __future__ import annotations

import json
import math
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, get_args

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from abacod.clock import Clock, from_ms, to_ms
from abacod.config import AuthSettings
from abacod.errors import ConfigError, NotAuthenticated
from abacod.ids import TenantId, Username
from abacod.models.user import Role, User
from abacod.services.keyfile import key_at

TokenKind = Literal["access", "refresh"]

# The only algorithm, for signing and for checking: `none` and the shared-secret ones would let callers forge tokens.
_ALGORITHM: Final = "RS256"
_KEY_BITS: Final = 2048
# A claim of our own tokens: when the password last changed, as of the issue, in milliseconds; absent for never.
_CHANGED_CLAIM: Final = "abacod/password_ms"
# Verified tokens kept, in tokens.
_CACHED: Final = 1024
# Longest token looked at, in characters; real ones have about one thousand.
_LONGEST: Final = 16_384
# Only the signature is left to the library: it knows neither our clock nor the claims below `tapis/`.
_jws: Final = jwt.PyJWS(algorithms=[_ALGORITHM])


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A fresh token. `expires_in` is its life time in seconds."""

    text: str
    expires_at: datetime
    expires_in: int
    jti: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says.

    `own` tells whether this daemon's key signed it. `roles` is None where the token names none; our own tokens never do,
    roles of accounts are in the database. `password_changed` is that of the account when the token was issued.
    """

    tenant: TenantId
    username: Username
    token_type: TokenKind
    roles: frozenset[Role] | None
    own: bool
    issued: datetime | None
    expires: datetime
    password_changed: datetime | None = None


class SigningKey:
    """The RSA key of a data directory."""

    def __init__(self, private: rsa.RSAPrivateKey) -> None:
        self.private = private
        self.public = private.public_key()
        self.public_key_pem = self.public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    @classmethod
    def at(cls, path: Path) -> SigningKey:
        """The key in the file `path`, made there if there is none yet (see `keyfile`).

        Raises:
            ConfigError: the file cannot be read or made, or does not hold an RSA key of at least 2048 bits.
        """
        return cls(_private_key(key_at(path, "signing key", _new_key), path))


class Tokens:
    """Issues tokens and verifies them."""

    def __init__(self, key: SigningKey, settings: AuthSettings, base_url: str, clock: Clock) -> None:
        """`base_url` is the server's own, without a slash at its end; it appears in the claim `iss`.

        Raises:
            ConfigError: the public key of a configured issuer cannot be read.
        """
        self._key = key
        self._settings = settings
        self._tenants = frozenset((settings.default_tenant, *settings.tenants))
        self._issuer = f"{base_url}/v3/tokens"
        self._issuer_keys = issuer_keys(settings)
        if self._issuer in self._issuer_keys:
            raise ConfigError(f"auth.issuers: {self._issuer} is this server's own issuer name.")
        self._clock = clock
        self._verified: OrderedDict[str, Claims] = OrderedDict()

    @property
    def public_key_pem(self) -> str:
        """The key with which others can check our tokens, in PEM."""
        return self._key.public_key_pem

    def issue(self, user: User, kind: TokenKind, ttl_seconds: int | None = None) -> IssuedToken:
        """Sign a token for `user` with the claims that clients read (spec/clients 2.1).

        `ttl_seconds` defaults to the setting for this kind of token.
        """
        ttl = ttl_seconds if ttl_seconds is not None else self._default_ttl(kind)
        issued = self._clock.now().replace(microsecond=0)
        expires = issued + timedelta(seconds=ttl)
        jti = str(uuid.uuid4())
        claims: dict[str, object] = {
            "jti": jti,
            "iss": self._issuer,
            "sub": f"{user.username}@{user.tenant}",
            "iat": int(issued.timestamp()),
            "exp": int(expires.timestamp()),
            "tapis/tenant_id": user.tenant,
            "tapis/username": user.username,
            "tapis/account_type": "user",
            "tapis/token_type": kind,
            "tapis/delegation": False,
            "tapis/delegation_sub": None,
        }
        if user.password_changed is not None:
            claims[_CHANGED_CLAIM] = to_ms(user.password_changed)
        return IssuedToken(jwt.encode(claims, self._key.private, algorithm=_ALGORITHM), expires, ttl, jti)

    def verify(self, text: str, kind: TokenKind = "access") -> Claims:
        """What the token says, once its signature, its life time, its kind and its tenant are found to be good.

        Raises:
            NotAuthenticated: it is not good; the message tells why.
        """
        claims = self._verified.get(text)
        if claims is None:
            claims = self._checked(text)
            self._remember(text, claims)
        else:
            self._verified.move_to_end(text)
        if claims.expires <= self._clock.now():
            self._verified.pop(text, None)
            raise NotAuthenticated("The token has expired; get a new one.")
        if claims.token_type != kind:
            raise NotAuthenticated(f"This is a token of type {claims.token_type}; one of type {kind} is needed.")
        return claims

    def _default_ttl(self, kind: TokenKind) -> int:
        settings = self._settings
        return settings.access_token_ttl_seconds if kind == "access" else settings.refresh_token_ttl_seconds

    def _remember(self, text: str, claims: Claims) -> None:
        self._verified[text] = claims
        if len(self._verified) > _CACHED:
            self._verified.popitem(last=False)

    def _checked(self, text: str) -> Claims:
        issuer = _claimed_issuer(text)
        # An issuer's name never vouches for our own key nor the reverse: each name stands for exactly one key.
        issuer_key = self._issuer_keys.get(issuer)
        payload = self._signed_payload(text, issuer_key or self._key.public, issuer)
        claims = _claims(payload, own=issuer_key is None)
        if claims.tenant not in self._tenants:
            raise NotAuthenticated(f"The token is for tenant {claims.tenant}, which is unknown here.")
        not_before = _moment(payload, "nbf")
        if not_before is not None and not_before > self._clock.now():
            raise NotAuthenticated("The token is not valid yet.")
        return claims

    def _signed_payload(self, text: str, key: rsa.RSAPublicKey, issuer: str) -> Mapping[str, Any]:
        try:
            return _payload(_jws.decode_complete(text, key, algorithms=[_ALGORITHM]))
        except jwt.InvalidSignatureError as error:
            # Our own name may have changed with the public URL, so a strange one is told from a forgery only here.
            if issuer == self._issuer or issuer in self._issuer_keys:
                raise NotAuthenticated("The signature of the token is wrong.") from error
            raise NotAuthenticated(f"The token comes from an unknown issuer: {issuer or 'it names none'}.") from error
        except jwt.InvalidTokenError as error:
            raise NotAuthenticated(f"The token is malformed: {error}.") from error


def issuer_keys(settings: AuthSettings) -> Mapping[str, rsa.RSAPublicKey]:
    """The public keys of the further issuers, by claim `iss`.

    Raises:
        ConfigError: a file cannot be read or does not hold an RSA public key.
    """
    return {issuer: _public_key(issuer, path) for issuer, path in settings.issuers.items()}


def _public_key(issuer: str, path: Path) -> rsa.RSAPublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"auth.issuers: cannot read the key of {issuer}: {error}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"auth.issuers: {path} does not hold a public key in PEM.") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise ConfigError(f"auth.issuers: the key in {path} is not an RSA key, as {_ALGORITHM} needs.")
    return key


# --- the key file ----------------------------------------------------------------------------------------------------


def _new_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _private_key(pem: bytes, path: Path) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{path} does not hold a private key in PEM. Restore it, or move it away: a new one will be made, and all "
            "tokens become invalid."
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _KEY_BITS:
        raise ConfigError(f"The key in {path} is not an RSA key of at least {_KEY_BITS} bits, as {_ALGORITHM} needs.")
    return key


# --- what tokens say -------------------------------------------------------------------------------------------------


def _claimed_issuer(text: str) -> str:
    """The claim `iss` of a token that is not verified yet, empty if there is none: it only chooses the key."""
    if len(text) > _LONGEST or not text.isascii():
        raise NotAuthenticated("The token is malformed: it is too long or has other characters than ASCII.")
    try:
        unverified = _jws.decode_complete(text, options={"verify_signature": False})
    except (jwt.InvalidTokenError, RecursionError) as error:
        raise NotAuthenticated(f"The token is malformed: {error}.") from error
    algorithm = unverified["header"].get("alg")
    if algorithm != _ALGORITHM:
        raise NotAuthenticated(f"The token is signed with {algorithm}; only {_ALGORITHM} is accepted.")
    issuer = _payload(unverified).get("iss")
    return issuer if isinstance(issuer, str) else ""


def _payload(decoded: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        payload = json.loads(decoded["payload"])
    except (ValueError, RecursionError) as error:
        raise NotAuthenticated("The token is malformed: its payload is not JSON.") from error
    if not isinstance(payload, dict):
        raise NotAuthenticated("The token is malformed: its payload is not a JSON object.")
    return payload


def _claims(payload: Mapping[str, Any], *, own: bool) -> Claims:
    expires = _moment(payload, "exp")
    if expires is None:
        raise NotAuthenticated("The token lacks the claim exp.")
    return Claims(
        tenant=TenantId(_text(payload, "tapis/tenant_id")),
        username=Username(_text(payload, "tapis/username")),
        token_type=_kind(_text(payload, "tapis/token_type")),
        roles=None if own else _roles(payload),
        own=own,
        issued=_moment(payload, "iat"),
        expires=expires,
        password_changed=_password_changed(payload) if own else None,
    )


def _password_changed(payload: Mapping[str, Any]) -> datetime | None:
    changed_ms = payload.get(_CHANGED_CLAIM)
    return from_ms(changed_ms) if isinstance(changed_ms, int) else None


def _text(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not value:
        raise NotAuthenticated(f"The token lacks the claim {name}.")
    return value


def _kind(text: str) -> TokenKind:
    for kind in get_args(TokenKind):
        if text == kind:
            found: TokenKind = kind
            return found
    raise NotAuthenticated("The token is neither an access token nor a refresh token.")


def _moment(payload: Mapping[str, Any], name: str) -> datetime | None:
    value = payload.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise NotAuthenticated(f"The token's claim {name} is not a number of seconds.")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise NotAuthenticated(f"The token's claim {name} is out of range.") from error


def _roles(payload: Mapping[str, Any]) -> frozenset[Role] | None:
    named = payload.get("tapis/roles")
    if not isinstance(named, list):
        return None
    return frozenset(role for role in get_args(Role) if role in named)
