from __future__ import annotations

import re

from reactors.pipelinejobs.sessions import ADJECTIVES, ANIMALS, session


def test_there_are_enough_short_words() -> None:
    for words in (ADJECTIVES, ANIMALS):
        assert len(set(words)) == len(words) >= 200
        assert all(re.fullmatch("[a-z]{3,8}", word) for word in words)


def test_a_session_is_an_adjective_and_an_animal() -> None:
    made = {session() for _ in range(50)}
    for each in made:
        adjective, animal = each.split("-")
        assert adjective in ADJECTIVES
        assert animal in ANIMALS
    assert len(made) > 25
