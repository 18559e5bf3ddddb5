from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from hashids import Hashids
from hypothesis import given
from hypothesis import strategies as st

from abacod.ids import ActorId, TenantId, dbid, hashid_of, is_hashid, new_actor_id, new_execution_id, new_worker_id


def test_ids_are_distinct_and_look_as_clients_expect() -> None:
    made = [make() for make in (new_actor_id, new_execution_id, new_worker_id) for _ in range(200)]
    assert len(set(made)) == len(made)
    for each in made:
        assert each.isalnum()
        assert 10 <= len(each) <= 14
        assert is_hashid(each)


def test_an_alias_is_no_id() -> None:
    assert is_hashid("JWpkNmBwKewYo")
    for text in ("", "counter", "my-actor", "JWpkNmBwKewY", "ü" * 13, "JWpkNmBwKewYo "):
        assert not is_hashid(text)


@given(st.text(max_size=30))
def test_any_text_can_be_asked_about(text: str) -> None:
    assert is_hashid(text) in (True, False)


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_ids_are_those_of_the_library(number: int) -> None:
    assert hashid_of(number) == Hashids(salt="eJa5wZlEX4eWU").encode(number)


def test_ids_are_made_of_time_based_uuids() -> None:
    before, made, after = uuid.uuid1(), new_execution_id(), uuid.uuid1()
    (high,) = Hashids(salt="eJa5wZlEX4eWU").decode(made)
    between = uuid.UUID(int=high << 64 | 1 << 63)
    assert between.version == 1
    assert before.time <= between.time <= after.time


def test_the_internal_id() -> None:
    assert dbid(TenantId("dev"), ActorId("abc")) == "dev_abc"


def test_ids_made_in_many_threads_differ() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: new_execution_id(), range(5000)))
    assert len(set(made)) == len(made)
