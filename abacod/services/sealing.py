"""Texts that a stolen database must not give away: encrypted with a key that lies in a file beside it (spec/decisions)."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken

from abacod.errors import ConfigError, SealBroken
from abacod.services.keyfile import key_at


class Seal:
    """Encrypts texts so that they can be read again, and only unchanged (Fernet: AES in CBC mode, with an HMAC)."""

    def __init__(self, key: bytes) -> None:
        """`key` is what `Fernet.generate_key` makes.

        Raises:
            ValueError: it is no such key.
        """
        self._fernet = Fernet(key)
        self._key = key

    @classmethod
    def at(cls, path: Path) -> Self:
        """The seal whose key is in the file `path`, made there if there is none yet (see `keyfile`).

        Raises:
            ConfigError: the file cannot be read or made, or does not hold such a key.
        """
        key = key_at(path, "sealing key", Fernet.generate_key)
        try:
            return cls(key.strip())
        except ValueError as error:
            raise ConfigError(
                f"{path} does not hold a sealing key. Restore it, or move it away: a new one will be made, and what was "
                "sealed with the old one is lost."
            ) from error

    def derived(self, purpose: str) -> bytes:
        """A key for another purpose, 32 bytes; none of them tells anything of another, nor of this one."""
        return hmac.digest(self._key, purpose.encode(), "sha256")

    def seal(self, text: str) -> str:
        """The text, encrypted, as ASCII; another one each time."""
        return self._fernet.encrypt(text.encode()).decode()

    def unseal(self, sealed: str) -> str:
        """The text that was sealed.

        Raises:
            SealBroken: it was sealed with another key, or changed.
        """
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except (InvalidToken, UnicodeError) as error:
            raise SealBroken from error
