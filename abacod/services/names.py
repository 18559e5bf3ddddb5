"""What aliases and configs may be called: both stand in addresses."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from abacod.errors import InvalidField

# In characters. Longer names make addresses that other programs do not take.
_LONGEST: Final = 255


def check_name(name: str, *, reserved: Container[str], forbidden: str, field: str, another: str) -> None:
    """Refuse a name that is a word of addresses, or has a sign that is not visible or has a meaning there.

    For the messages, `field` says where the name stands, as `alias: name`, and `another` what to choose instead.

    Raises:
        InvalidField: the message says what is wrong with it.
    """
    if name in reserved:
        raise InvalidField(f"{name} is a reserved word. Choose {another}.")
    for sign in name:
        if sign in forbidden or not sign.isprintable() or sign.isspace():
            raise InvalidField(f"{sign!r} is a forbidden character. Choose {another}.")
    if len(name) > _LONGEST:
        raise InvalidField(f"Invalid {field}: it is longer than {_LONGEST} characters.")
