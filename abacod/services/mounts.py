"""Which directories of the host an actor's containers see (spec/actors-api 5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from abacod.errors import ConfigError
from abacod.ids import TenantId, Username
from abacod.models.actor import Mount

_PARTS = 3


def mounts_for(
    configured: Sequence[str], *, tenant: TenantId, owner: Username, tasdir: str | None
) -> tuple[Mount, ...]:
    """The configured mounts with {tenant_id}, {username} (the owner) and {tasdir} filled in.

    A mount that names {tasdir} is left out for an owner whose directory is not known.
    """
    return tuple(
        parse_mount(text.replace("{tenant_id}", tenant).replace("{username}", owner).replace("{tasdir}", tasdir or ""))
        for text in configured
        if tasdir is not None or "{tasdir}" not in text
    )


def parse_mount(text: str) -> Mount:
    """Read `host:container:mode`, the mode being `ro` or `rw`.

    Raises:
        ConfigError: it has another form.
    """
    parts = text.split(":")
    if len(parts) != _PARTS or not all(part.startswith("/") for part in parts[:2]) or parts[2] not in ("ro", "rw"):
        raise ConfigError(f"{text!r} is no mount; write /host/path:/container/path:ro, or rw at the end.")
    mode: Literal["ro", "rw"] = "ro" if parts[2] == "ro" else "rw"
    return Mount(parts[0], parts[1], mode)
