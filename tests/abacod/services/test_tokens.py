from __future__ import annotations

import base64
import hashlib
import hmac
import json
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from structlog.testing import capture_logs

from abacod.config import AuthSettings
from abacod.errors import ConfigError, NotAuthenticated
from abacod.ids import TenantId, Username
from abacod.models.user import User
from abacod.services import tokens as tokens_module
from abacod.services.tokens import Claims, SigningKey, TokenKind, Tokens
from tests.fakes import FakeClock

START = datetime(2026, 1, 1, tzinfo=UTC)
BASE = "http://127.0.0.1:8000"
ISSUER = "https://tokens.example.org/v3/tokens"
ALICE = User(TenantId("dev"), Username("alice"), frozenset({"abaco_admin"}), START)


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def private_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey(rsa_key())


@pytest.fixture(scope="module")
def stranger() -> SigningKey:
    return SigningKey(rsa_key())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def settings(tmp_path: Path, stranger: SigningKey) -> AuthSettings:
    """Trusts the stranger's key under the name ISSUER."""
    path = tmp_path / "issuer.pem"
    path.write_text(stranger.public_key_pem)
    return AuthSettings(tenants=("lab",), issuers={ISSUER: path})


@pytest.fixture
def tokens(key: SigningKey, settings: AuthSettings, clock: FakeClock) -> Tokens:
    return Tokens(key, settings, BASE, clock)


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a good token of ours; a change to None takes a claim away."""
    names = {name: f"tapis/{name}" for name in ("tenant_id", "username", "token_type", "roles")}
    good: dict[str, Any] = {
        "iss": f"{BASE}/v3/tokens",
        "iat": int(START.timestamp()),
        "exp": int(START.timestamp()) + 60,
        "tapis/tenant_id": "dev",
        "tapis/username": "alice",
        "tapis/token_type": "access",
    }
    changed = good | {names.get(name, name): value for name, value in changes.items()}
    return {name: value for name, value in changed.items() if value is not None}


def signed(key: SigningKey, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key.private, algorithm="RS256")


def segment(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# --- the key ---------------------------------------------------------------------------------------------------------


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "signing-key.pem"
    first = SigningKey.at(path)
    assert SigningKey.at(path).public_key_pem == first.public_key_pem
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "data" / "signing-key.pem"
    with ThreadPoolExecutor(4) as pool:
        keys = [future.result() for future in [pool.submit(SigningKey.at, path) for _ in range(4)]]
    assert len({key.public_key_pem for key in keys}) == 1
    assert [each.name for each in path.parent.iterdir()] == ["signing-key.pem"]


def test_a_key_that_others_can_read_is_reported(tmp_path: Path, key: SigningKey) -> None:
    path = tmp_path / "signing-key.pem"
    path.write_bytes(private_pem(key.private))
    path.chmod(0o640)
    with capture_logs() as lines:
        assert SigningKey.at(path).public_key_pem == key.public_key_pem
    assert [(line["event"], line["mode"]) for line in lines] == [("key_exposed", "0640")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (lambda: b"no key", "does not hold a private key"),
        (lambda: private_pem(rsa_key(1024)), "2048"),
        (lambda: private_pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
    ],
)
def test_a_file_without_a_fit_key_is_refused(tmp_path: Path, content: Callable[[], bytes], problem: str) -> None:
    path = tmp_path / "signing-key.pem"
    path.write_bytes(content())
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=problem):
        SigningKey.at(path)


def test_a_place_where_no_key_can_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a directory")
    with pytest.raises(ConfigError, match="signing key"):
        SigningKey.at(tmp_path / "data" / "signing-key.pem")


# --- issuing ---------------------------------------------------------------------------------------------------------


def test_an_issued_token_carries_what_clients_read(tokens: Tokens) -> None:
    issued = tokens.issue(ALICE, "access")
    # tapipy checks with the published key in just this way.
    read = jwt.decode(issued.text, tokens.public_key_pem, algorithms=["RS256"], options={"verify_exp": False})
    assert read == {
        "jti": issued.jti,
        "iss": "http://127.0.0.1:8000/v3/tokens",
        "sub": "alice@dev",
        "iat": int(START.timestamp()),
        "exp": int(START.timestamp()) + 14_400,
        "tapis/tenant_id": "dev",
        "tapis/username": "alice",
        "tapis/account_type": "user",
        "tapis/token_type": "access",
        "tapis/delegation": False,
        "tapis/delegation_sub": None,
    }
    assert (issued.expires_in, issued.expires_at) == (14_400, START + timedelta(hours=4))


@pytest.mark.parametrize(
    ("kind", "ttl", "expected"), [("access", None, 14_400), ("refresh", None, 31_536_000), ("access", 30, 30)]
)
def test_the_life_time_is_the_one_asked_for_or_set(
    tokens: Tokens, kind: TokenKind, ttl: int | None, expected: int
) -> None:
    issued = tokens.issue(ALICE, kind, ttl)
    assert issued.expires_in == expected
    assert tokens.verify(issued.text, kind).expires == START + timedelta(seconds=expected)


def test_no_two_tokens_share_an_id(tokens: Tokens) -> None:
    assert tokens.issue(ALICE, "access").jti != tokens.issue(ALICE, "access").jti


# --- verifying -------------------------------------------------------------------------------------------------------


def test_an_own_token_tells_who_but_not_which_roles(tokens: Tokens, key: SigningKey) -> None:
    found = tokens.verify(signed(key, roles=["abaco_admin"]))
    assert (found.tenant, found.username, found.token_type) == ("dev", "alice", "access")
    assert (found.own, found.roles, found.issued) == (True, None, START)


def test_a_token_issued_under_an_earlier_public_url_stays_good(tokens: Tokens, key: SigningKey) -> None:
    assert tokens.verify(signed(key, iss="http://old-name:8000/v3/tokens")).own


def test_a_trusted_issuer_may_name_roles(tokens: Tokens, stranger: SigningKey) -> None:
    found = tokens.verify(signed(stranger, iss=ISSUER, roles=["abaco_privileged", "unheard-of", 7]))
    assert not found.own
    assert found.roles == frozenset({"abaco_privileged"})
    assert tokens.verify(signed(stranger, iss=ISSUER)).roles is None


@pytest.mark.parametrize("cached", [True, False])
async def test_a_token_expires_whether_it_was_seen_before_or_not(
    tokens: Tokens, clock: FakeClock, *, cached: bool
) -> None:
    text = tokens.issue(ALICE, "access", 10).text
    await clock.advance(9.9)
    if cached:
        tokens.verify(text)
    await clock.advance(0.1)
    for _ in range(2):
        with pytest.raises(NotAuthenticated, match="expired"):
            tokens.verify(text)


@pytest.mark.parametrize(("kind", "other"), [("access", "refresh"), ("refresh", "access")])
def test_a_token_serves_only_its_own_purpose(tokens: Tokens, kind: TokenKind, other: TokenKind) -> None:
    text = tokens.issue(ALICE, kind).text
    tokens.verify(text, kind)
    with pytest.raises(NotAuthenticated, match=f"type {kind}; one of type {other}"):
        tokens.verify(text, other)


def test_another_signature_under_our_name_is_refused(tokens: Tokens, stranger: SigningKey) -> None:
    with pytest.raises(NotAuthenticated, match="signature"):
        tokens.verify(signed(stranger))


def test_an_issuer_that_is_not_configured_is_refused(tokens: Tokens, stranger: SigningKey) -> None:
    with pytest.raises(NotAuthenticated, match="unknown issuer: https://elsewhere"):
        tokens.verify(signed(stranger, iss="https://elsewhere"))
    with pytest.raises(NotAuthenticated, match="unknown issuer: it names none"):
        tokens.verify(signed(stranger, iss=None))


def test_our_key_does_not_speak_for_another_issuer(tokens: Tokens, key: SigningKey) -> None:
    with pytest.raises(NotAuthenticated, match="signature"):
        tokens.verify(signed(key, iss=ISSUER))


def test_a_changed_payload_is_refused(tokens: Tokens, key: SigningKey) -> None:
    header, _, signature = signed(key).split(".")
    with pytest.raises(NotAuthenticated, match="signature"):
        tokens.verify(".".join((header, segment(claims(username="root")), signature)))


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", None, 1])
def test_only_rs256_is_accepted(tokens: Tokens, algorithm: object) -> None:
    signing_input = f"{segment({'alg': algorithm, 'typ': 'JWT'})}.{segment(claims())}"
    # The classic forgery: the public key, which everybody knows, taken as the shared secret.
    digest = hmac.digest(tokens.public_key_pem.encode(), signing_input.encode(), hashlib.sha256)
    for signature in (segment(digest), ""):
        with pytest.raises(NotAuthenticated):
            tokens.verify(f"{signing_input}.{signature}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "opaque",
        "a.b",
        "a.b.c",
        "....",
        "\ud800.é.x",
        "x" * 100_000,
        f"{segment({'alg': 'RS256'})}.{segment(b'not json')}.x",
        f"{segment({'alg': 'RS256'})}.{segment([1])}.x",
        f"{segment({'alg': 'RS256'})}.{segment(b'[' * 5000)}.x",
        f"{segment(b'[' * 5000)}.{segment(claims())}.x",
        f"{segment({'alg': 'RS256', 'b64': False, 'crit': ['b64']})}..x",
    ],
)
def test_what_is_no_token_is_refused_as_malformed(tokens: Tokens, text: str) -> None:
    with pytest.raises(NotAuthenticated, match="malformed"):
        tokens.verify(text)


@pytest.mark.parametrize("name", ["exp", "tenant_id", "username", "token_type"])
def test_a_missing_claim_is_named(tokens: Tokens, key: SigningKey, name: str) -> None:
    with pytest.raises(NotAuthenticated, match=f"lacks the claim (tapis/)?{name}"):
        tokens.verify(signed(key, **{name: None}))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"exp": True}, "exp is not a number"),
        ({"exp": "tomorrow"}, "exp is not a number"),
        ({"exp": float("inf")}, "exp is not a number"),
        ({"exp": 1e300}, "exp is out of range"),
        ({"iat": "now"}, "iat is not a number"),
        ({"tenant_id": 7}, "lacks the claim tapis/tenant_id"),
        ({"username": ""}, "lacks the claim tapis/username"),
        ({"token_type": "id"}, "neither an access token nor a refresh token"),
        ({"tenant_id": "prod"}, "tenant prod, which is unknown"),
        ({"nbf": START.timestamp() + 5}, "not valid yet"),
    ],
)
def test_a_bad_claim_is_named(tokens: Tokens, key: SigningKey, changes: dict[str, Any], problem: str) -> None:
    header, payload = segment({"alg": "RS256"}), segment(claims(**changes))
    signature = jwt.get_algorithm_by_name("RS256").sign(f"{header}.{payload}".encode(), key.private)
    with pytest.raises(NotAuthenticated, match=problem):
        tokens.verify(f"{header}.{payload}.{segment(signature)}")


def test_a_token_is_checked_once_and_the_memory_of_that_is_bounded(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "_CACHED", 2)
    checked: list[str] = []
    check = tokens._checked

    def recorded(text: str) -> Claims:
        checked.append(text)
        return check(text)

    monkeypatch.setattr(tokens, "_checked", recorded)
    a, b, c = (tokens.issue(ALICE, "access").text for _ in range(3))
    for text in (a, b, a, c, a, b):
        tokens.verify(text)
    assert checked == [a, b, c, b]


# --- issuers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot read"),
        (b"no key", "does not hold a public key"),
        (
            ec.generate_private_key(ec.SECP256R1())
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            "not an RSA key",
        ),
    ],
)
def test_an_issuer_without_a_fit_key_is_refused(
    tmp_path: Path, key: SigningKey, clock: FakeClock, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        Tokens(key, AuthSettings(issuers={ISSUER: path}), BASE, clock)


def test_our_own_issuer_name_cannot_be_given_away(settings: AuthSettings, key: SigningKey, clock: FakeClock) -> None:
    with pytest.raises(ConfigError, match="own issuer name"):
        Tokens(key, settings, "https://tokens.example.org", clock)
