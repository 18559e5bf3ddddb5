"""Tokens that allow changes to one pipeline or job, and administrative ones that allow them to all (spec/pipelinejobs 4).

A document's token is computed and not stored: a stolen database gives away none, and the token never changes.
"""

from __future__ import annotations

import secrets

from abacod.clock import Clock
from abacod.errors import TokenRefused
from abacod.ids import TenantId
from abacod.services.sealing import Seal
from reactors.pipelinejobs.tokens import admin_token, document_token, is_admin_token, matches

# Random bytes that make tokens of equal documents differ.
_SALT_BYTES = 16


class DocumentTokens:
    """Computes and checks tokens."""

    def __init__(self, seal: Seal, clock: Clock) -> None:
        self._documents = seal.derived("document tokens")
        self._administration = seal.derived("administrative tokens")
        self._clock = clock

    def new_salt(self) -> str:
        """What is stored of a new document for its token."""
        return secrets.token_hex(_SALT_BYTES)

    def of(self, tenant: TenantId, uuid: str, salt: str) -> str:
        """The token of a document, 16 hexadecimal digits."""
        return document_token(self._documents, salt, tenant, uuid)

    def administrative(self) -> str:
        """An administrative token, good for 30 to 60 seconds."""
        return admin_token(self._administration, self._clock.now())

    def is_administrative(self, given: str | None) -> bool:
        """Whether it is an administrative token of now."""
        return given is not None and is_admin_token(self._administration, given, self._clock.now())

    def require(self, tenant: TenantId, uuid: str, salt: str, given: str | None) -> None:
        """Check that the token is that of the document, or an administrative one.

        Raises:
            TokenRefused: it is neither.
        """
        if given is None or not (matches(self.of(tenant, uuid, salt), given) or self.is_administrative(given)):
            raise TokenRefused(
                f"token: it is not the update token of {uuid}, nor an administrative token of this minute."
            )

    def require_administrative(self, given: str | None) -> None:
        """Check that the token is an administrative one.

        Raises:
            TokenRefused: it is none, or has expired.
        """
        if not self.is_administrative(given):
            raise TokenRefused("token: this needs an administrative token; get a fresh one with abacod admin-token.")
