from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from abacod.ids import ActorId, TenantId, dbid, is_hashid, new_actor_id, new_execution_id, new_worker_id


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


def test_the_internal_id() -> None:
    assert dbid(TenantId("dev"), ActorId("abc")) == "dev_abc"
