from __future__ import annotations

import pytest

from abacod.models.actor import parse_memory
from abacod.models.states import ActorStatus
from tests.factories import actor


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("-1", None),
        (" -1 ", None),
        ("1", 1),
        ("1073741824", 2**30),
        ("10b", 10),
        ("4k", 4096),
        ("512m", 512 * 2**20),
        ("512M", 512 * 2**20),
        ("512mb", 512 * 2**20),
        ("3 g", 3 * 2**30),
        ("3GB", 3 * 2**30),
    ],
)
def test_memory_sizes(text: str, size: int | None) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "0", "0m", "-2", "1.5g", "g", "m5", "5t", "5 gigabytes", "5g5", "1e9"])
def test_what_is_no_memory_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a memory size; write for example 512m"):
        parse_memory(text)


def test_an_actor_knows_its_internal_id_and_its_hint() -> None:
    plain, sync = actor(), actor(hints=("other", "sync"))
    assert plain.dbid == f"dev_{plain.id}"
    assert (plain.has_sync_hint, sync.has_sync_hint) == (False, True)
    failed = plain.with_status(ActorStatus.ERROR, "why")
    assert (failed.status, failed.status_message, failed.id) == (ActorStatus.ERROR, "why", plain.id)
