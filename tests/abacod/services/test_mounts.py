from __future__ import annotations

import pytest

from abacod.errors import ConfigError
from abacod.ids import TenantId, Username
from abacod.models.actor import Mount
from abacod.services.mounts import mounts_for, parse_mount


def test_names_are_filled_in_and_the_mode_is_honoured() -> None:
    made = mounts_for(
        ("/home/{tenant_id}/{username}:/home:rw", "/x/{tasdir}:/work:ro"),
        tenant=TenantId("dev"),
        owner=Username("ada"),
        tasdir="1/ada",
    )
    assert made == (Mount("/home/dev/ada", "/home", "rw"), Mount("/x/1/ada", "/work", "ro"))


def test_a_mount_of_an_unknown_home_is_left_out() -> None:
    configured = ("/x/{tasdir}:/work:rw", "/data:/data:ro")
    made = mounts_for(configured, tenant=TenantId("dev"), owner=Username("ada"), tasdir=None)
    assert made == (Mount("/data", "/data", "ro"),)


@pytest.mark.parametrize("text", ["", "/a", "/a:/b", "/a:/b:rwx", "a:/b:ro", "/a:b:ro", "/a:/b:ro:z"])
def test_a_mount_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no mount"):
        parse_mount(text)
